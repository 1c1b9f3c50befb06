"""Runs the real `__main__.py` under a monitor that records what an engine would see.

The SDK's own mocks shorten URNs to the immediate parent's type, hide options, and let a missing output pass as None.
This monitor computes URNs with the engine's full type chain, keeps the raw request with its secrets marked, and fails
on a remote command without a host.
"""

import asyncio
import contextvars
import logging
import runpy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
from google.protobuf import empty_pb2, json_format
from pulumi.runtime import configure, run_in_stack
from pulumi.runtime.mocks import MockCallArgs, MockEngine, MockMonitor, MockResourceArgs, Mocks, MockSettings
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key  # pyright: ignore[reportPrivateUsage]

from tests.unit.config import ROOT, StackConfig

STACK_TYPE = "pulumi:pulumi:Stack"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n"
REMOTE = ("command:remote:Command", "command:remote:CopyToRemote")


@dataclass(frozen=True)
class Registered:
    """One registration as the engine sees it. `secrets` are the paths of the inputs that are marked secret."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    inputs: dict[str, Any]
    secrets: frozenset[str]
    options: dict[str, Any]
    dependencies: frozenset[str]


@dataclass
class Graph:
    """What a run of the program declared. `told` are the stack's outputs each time that it told of some."""

    resources: list[Registered] = field(default_factory=list[Registered])
    finished: set[str] = field(default_factory=set[str])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    secret_outputs: frozenset[str] = frozenset()
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    hooks: dict[str, pulumi.ResourceHook] = field(default_factory=dict[str, pulumi.ResourceHook])

    def of(self, *types: str) -> list[Registered]:
        """The resources of the given types; a type is named by its end, as `Droplet`."""
        return [each for each in self.resources if each.type.rpartition(":")[2] in types]

    def urns(self) -> list[str]:
        """All URNs, sorted."""
        return sorted(each.urn for each in self.resources)


class Cloud(Mocks):
    """Answers with the outputs that providers compute."""

    def __init__(self, deployed: dict[str, Any]) -> None:
        self.deployed = deployed

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        if args.token == "digitalocean:index/getDatabaseCa:getDatabaseCa":
            return {**args.args, "id": "ca", "certificate": CERTIFICATE}, []
        raise AssertionError(f"the program calls {args.token}: nothing was planned to be looked up")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        if args.typ == "pulumi:pulumi:StackReference":
            return args.name, {**args.inputs, "outputs": self.deployed, "secretOutputNames": []}
        if args.typ in REMOTE and not unwrap(args.inputs)[0].get("connection", {}).get("host"):
            raise AssertionError(f"{args.name} has no host to connect to")
        kind = args.typ.rpartition(":")[2]
        identity, computed = _COMPUTED.get(kind, lambda args: (f"{args.name}-id", {}))(args)
        return identity, {**args.inputs, **computed}


def _droplet(args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
    number = args.name.rpartition("-")[2].replace("broker", "90")
    return f"10{number}", {
        "ipv4Address": f"203.0.113.{number}",
        "ipv4AddressPrivate": f"10.20.0.{number}",
        "dropletUrn": f"do:droplet:10{number}",
    }


def _key_id(args: MockResourceArgs) -> str:
    return f"KEY-{args.name}".upper()


_COMPUTED: dict[str, Callable[[MockResourceArgs], tuple[str, dict[str, Any]]]] = {
    "Droplet": _droplet,
    "ReservedIp": lambda args: (
        "203.0.113.200",
        {"ipAddress": "203.0.113.200", "reservedIpUrn": "do:reservedip:203.0.113.200"},
    ),
    "DatabaseCluster": lambda args: (
        "c1u5t3r",
        {
            "name": "db-0a1b2c3",
            "privateHost": "private-db.example.org",
            "port": 25060,
            "user": "doadmin",
            "password": "secret-of-db",
            "clusterUrn": "do:dbaas:c1u5t3r",
        },
    ),
    "DatabaseUser": lambda args: (args.name, {"password": f"secret-of-{args.name}"}),
    "DatabaseConnectionPool": lambda args: (
        args.name,
        {"privateHost": "private-db.example.org", "port": 25061, "password": f"secret-of-{args.name}"},
    ),
    "LoadBalancer": lambda args: ("lb1", {"ip": "203.0.113.250", "loadBalancerUrn": "do:loadbalancer:lb1"}),
    "Certificate": lambda args: ("cert-0a1b2c3", {"name": "cert-0a1b2c3"}),
    "SshKey": lambda args: ("7", {"fingerprint": "aa:bb"}),
    "SpacesBucket": lambda args: (args.inputs["name"], {"bucketUrn": f"do:space:{args.inputs['name']}"}),
    "SpacesKey": lambda args: (_key_id(args), {"accessKey": _key_id(args), "secretKey": f"secret-of-{args.name}"}),
    "Bucket": lambda args: (args.inputs["bucket"], {"arn": f"arn:aws:s3:::{args.inputs['bucket']}"}),
    "User": lambda args: (f"{args.name}-id", {"name": f"{args.name}-0a1b2c3"}),
    "AccessKey": lambda args: (_key_id(args), {"secret": f"secret-of-{args.name}"}),
}


class RecordingMonitor(MockMonitor):
    """A monitor that writes down each request before it answers."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self.graph = Graph()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        chain = parent.split("::")[2] if parent else ""
        qualified = f"{chain}${type_}" if chain and chain != STACK_TYPE else type_
        return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 the SDK's name
        if request.type != STACK_TYPE:
            self.graph.resources.append(self._record(request))
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 the SDK's name
        self.graph.finished.add(request.urn)
        if f"::{STACK_TYPE}::" in request.urn:
            self.graph.outputs, self.graph.secret_outputs = unwrap(json_format.MessageToDict(request.outputs))
            self.graph.told.append(self.graph.outputs)
        return super().RegisterResourceOutputs(request)

    def _record(self, request: Any) -> Registered:
        inputs, secret = unwrap(json_format.MessageToDict(request.object))
        options = {
            "protect": request.protect,
            "retain_on_delete": request.retainOnDelete,
            "import": request.importId,
            "ignore_changes": list(request.ignoreChanges),
            "deleted_with": request.deletedWith,
            "delete_before_replace": request.deleteBeforeReplace,
            "additional_secret_outputs": set(request.additionalSecretOutputs),
            "before_create": list(request.hooks.before_create),
            "before_update": list(request.hooks.before_update),
            "before_delete": list(request.hooks.before_delete),
        }
        urn = self.make_urn(request.parent, request.type, request.name)
        return Registered(
            urn,
            request.type,
            request.name,
            request.parent,
            request.custom,
            inputs,
            secret,
            options,
            frozenset(request.dependencies),
        )


class Callbacks:
    """Takes the place of the server through which an engine calls hooks: it only writes them down."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        self._graph.hooks[hook.name] = hook


def unwrap(value: dict[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The value without its secret markers, and the paths at which they stood."""
    paths: set[str] = set()

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, dict):
            mapping = cast("dict[str, Any]", node)
            if mapping.get(_special_sig_key) == _special_secret_sig:
                paths.add(path)
                return walk(mapping["value"], path)
            return {key: walk(each, f"{path}.{key}".lstrip(".")) for key, each in mapping.items()}
        if isinstance(node, list):
            return [walk(each, f"{path}[{index}]") for index, each in enumerate(cast("list[Any]", node))]
        return node

    return walk(value, ""), frozenset(paths)


def run(
    config: StackConfig,
    *,
    stack: str = "prod",
    deployed: str | dict[str, Any] | None = None,
    program: Callable[[], None] | None = None,
) -> Graph:
    """Run the program (`__main__.py` unless given) with `config` and return what it declared. Raises what it raises.

    `deployed` are the outputs of the last completed update; a text stands for the rung alone.
    """
    before = {"rung": deployed} if isinstance(deployed, str) else deployed or {}
    monitor = RecordingMonitor(Cloud(before))

    def inside() -> None:
        config.install()
        features = set(monitor.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures)
        configure(
            MockSettings(
                monitor=monitor,
                monitor_features=features,
                engine=MockEngine(logging.getLogger("engine")),
                project="tts",
                stack=stack,
                dry_run=False,
                organization="organization",
                callbacks=cast("Any", Callbacks(monitor.graph)),
            )
        )
        _drain(program or _main)

    contextvars.copy_context().run(inside)
    return monitor.graph


def _drain(program: Callable[[], None]) -> None:
    """Run the program to its end. The monitor answers in threads that need event loops, which are closed here."""
    loops: list[asyncio.AbstractEventLoop] = []

    def with_loop() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    main = asyncio.new_event_loop()
    try:
        main.set_default_executor(ThreadPoolExecutor(8, initializer=with_loop))
        main.run_until_complete(run_in_stack(program))
    finally:
        main.run_until_complete(main.shutdown_default_executor())
        for loop in [*loops, main]:
            loop.close()


def _main() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def texts(value: Any) -> Iterator[str]:
    """Every text inside `value`."""
    if isinstance(value, dict):
        for each in cast("dict[str, Any]", value).values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from texts(each)
    elif isinstance(value, str):
        yield value
