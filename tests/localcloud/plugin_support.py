"""What the tests of the stand-in plugins share: a plugin without an engine, an object store, a real engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from localcloud.plugins.serve import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.plugins.base import StandIn

REPOSITORY = Path(__file__).resolve().parents[2]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"


class InitFailureError(Exception):
    """What the engine keeps of a resource that was made but did not become usable."""

    def __init__(self, resource_id: str, properties: dict[str, Any], reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.resource_id, self.properties = resource_id, properties


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def reveal(value: Any) -> Any:
    """A value without the marks of secrets."""
    if isinstance(value, dict):
        return reveal(value["value"]) if value.get(SIGNATURE) == SECRET else {k: reveal(v) for k, v in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


class Plugin:
    """A stand-in behind real gRPC, spoken to as the engine does."""

    def __init__(self, provider: StandIn, package: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server, port = asyncio.run_coroutine_threadsafe(
            listen(provider, "1.0.0", "127.0.0.1:1"), self._loop
        ).result()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.package = package

    def close(self) -> None:
        self._channel.close()
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def urn(self, token: str, name: str = "thing") -> str:
        return f"urn:pulumi:stack::project::{self.package}:{token}::{name}"

    def configure(self, **settings: Any) -> None:
        variables = {f"{self.package}:config:{key}": value for key, value in settings.items()}
        self.stub.Configure(provider_pb2.ConfigureRequest(variables=variables, args=struct(settings)))

    def check(
        self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None, name: str = "thing"
    ) -> tuple[dict[str, Any], dict[str, str]]:
        request = provider_pb2.CheckRequest(
            urn=self.urn(token, name), news=struct(news), olds=struct(olds or {}), randomSeed=b"seed"
        )
        answer = self.stub.Check(request)
        return plain(answer.inputs), {failure.property: failure.reason for failure in answer.failures}

    def inputs(self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> dict[str, Any]:
        inputs, failures = self.check(token, news, olds)
        assert failures == {}
        return inputs

    def diff(
        self, token: str, olds: dict[str, Any], news: dict[str, Any], ignore: tuple[str, ...] = ()
    ) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            id="i",
            urn=self.urn(token),
            olds=struct(olds),
            old_inputs=struct(olds),
            news=struct(news),
            ignoreChanges=ignore,
        )
        return self.stub.Diff(request)

    def create(
        self, token: str, inputs: dict[str, Any], *, preview: bool = False, name: str = "thing"
    ) -> tuple[str, dict[str, Any]]:
        request = provider_pb2.CreateRequest(urn=self.urn(token, name), properties=struct(inputs), preview=preview)
        try:
            answer = self.stub.Create(request)
        except grpc.RpcError as error:
            raise _init_failure(error) or error from None
        return answer.id, plain(answer.properties)

    def read(
        self, token: str, resource_id: str, state: dict[str, Any], inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        request = provider_pb2.ReadRequest(
            id=resource_id, urn=self.urn(token), properties=struct(reveal(state)), inputs=struct(inputs)
        )
        answer = self.stub.Read(request)
        return answer.id, plain(answer.properties), plain(answer.inputs)

    def update(
        self,
        token: str,
        resource_id: str,
        state: dict[str, Any],
        olds: dict[str, Any],
        news: dict[str, Any],
        *,
        preview: bool = False,
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            id=resource_id,
            urn=self.urn(token),
            olds=struct(reveal(state)),
            old_inputs=struct(olds),
            news=struct(news),
            preview=preview,
        )
        return plain(self.stub.Update(request).properties)

    def delete(self, token: str, resource_id: str, state: dict[str, Any]) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(id=resource_id, urn=self.urn(token), properties=struct(reveal(state)))
        )

    def invoke(self, token: str, **args: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=f"{self.package}:{token}", args=struct(args))
        return plain(getattr(self.stub.Invoke(request), "return"))


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def plain(values: struct_pb2.Struct) -> dict[str, Any]:
    return json_format.MessageToDict(values)


def _init_failure(error: grpc.RpcError) -> InitFailureError | None:
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            failed = provider_pb2.ErrorResourceInitFailed()
            status_pb2.Status.FromString(value).details[0].Unpack(failed)
            return InitFailureError(failed.id, plain(failed.properties), list(failed.reasons))
    return None


@contextlib.contextmanager
def object_store(directory: Path) -> Iterator[dict[str, Any]]:
    """Run the local cloud's object store; gives its URL and keys."""
    command = [sys.executable, "-m", "localcloud.objects", "--dir", str(directory), "--port", "0"]
    with (directory.parent / "objects.log").open("w") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (directory.parent / "objects.log").read_text()
            keys = json.loads(line)
            yield {**keys, "url": f"http://127.0.0.1:{keys['port']}"}
        finally:
            process.terminate()
            process.wait()
            if process.stdout:
                process.stdout.close()


@dataclass
class Engine:
    """The real engine with the stand-ins, a stack of its own and a program that a test writes."""

    program: Path
    home: Path
    pulumi: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, code: str) -> None:
        (self.program / "__main__.py").write_text(code)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))},
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": f"file://{self.home.parent}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "PYTHONWARNINGS": "ignore",
            **self.environment,
        }
        done = subprocess.run(
            [self.pulumi, "-C", self.program, "--non-interactive", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(f"pulumi {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def up(self, *arguments: str, check: bool = True) -> dict[str, int]:
        """Apply the program; gives how many resources were created, updated, replaced, left alone."""
        done = self.run("up", "--yes", "--skip-preview", "--json", *arguments, check=check)
        return _summary(done.stdout)

    def preview(self, *arguments: str) -> dict[str, str]:
        """What would happen to each resource, by its logical name."""
        steps = json.loads(self.run("preview", "--json", *arguments).stdout)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}

    def outputs(self) -> dict[str, Any]:
        return json.loads(self.run("stack", "output", "--json", "--show-secrets").stdout)

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state of each resource by its logical name, secrets as they are kept."""
        state = json.loads(self.run("stack", "export").stdout)
        return {item["urn"].rpartition("::")[2]: item for item in state["deployment"]["resources"]}


def _summary(text: str) -> dict[str, int]:
    for line in reversed(text.splitlines()):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if "summaryEvent" in event:
                return event["summaryEvent"]["resourceChanges"]
    return {}
