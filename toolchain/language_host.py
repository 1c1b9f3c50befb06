"""`pulumi-language-python` for an engine that was built from its Go module, which carries no language host.

The engine starts this program, reads one port number from its output and asks it over gRPC to run the Pulumi program.
The SDK's own `LanguageServer` does the work; added here are where the program is found and what a person sees when it
fails: the message alone for a `pulumi.RunError`, the frames of the program (not of the SDK) for anything else.
"""

import asyncio
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import grpc
from pulumi import RunError
from pulumi.automation import _server
from pulumi.runtime import run_in_stack
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # what the engine's own plugins allow
LOOK_SECONDS = 1.0
Program = Callable[[], Awaitable[None] | None]


def describe(problem: BaseException, directory: Path) -> str:
    """Say what went wrong in a program: its type, its message, and the frames that are files under `directory`."""
    installed = directory / ".local"
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if Path(frame.filename).is_relative_to(directory) and not Path(frame.filename).is_relative_to(installed)
    ]
    places = [f"  {Path(f.filename).relative_to(directory)}:{f.lineno} in {f.name}: {f.line}" for f in frames]
    return "\n".join([f"{type(problem).__name__}: {problem}", *places])


async def run_cleanly(program: Program) -> None:
    """Run a program as the SDK does, but turn what it failed with into the message that a person reads."""
    try:
        await run_in_stack(program)
    except (RunError, grpc.RpcError, asyncio.CancelledError):
        raise
    except (Exception, SystemExit) as problem:
        raise RunError(describe(problem, Path.cwd())) from problem


class Host(_server.LanguageServer):
    """Serves one program, the one of the directory that the engine names in its request."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 the name is the protocol's
        return language_pb2.LanguageHandshakeResponse()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        directory = Path(request.info.program_directory or request.pwd)
        entry = directory / (request.info.entry_point or ".")
        os.chdir(directory)
        sys.path.insert(0, str(directory))
        self.program = lambda: (runpy.run_path(str(entry), run_name="__main__"), None)[1]
        response = super().Run(request, context)
        # The message was logged already: "bail" tells the engine not to print it a second time.
        return language_pb2.RunResponse(bail=True) if response.error else response


def serve() -> None:
    """Serve until the engine ends this process, or is killed itself; print the port and nothing else."""
    ended, engine = threading.Event(), os.getppid()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    # The one place in the SDK where a failure can still be put into words.
    _server.run_in_stack = run_cleanly  # pyright: ignore[reportPrivateImportUsage]
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    while os.getppid() == engine and not ended.wait(LOOK_SECONDS):
        pass
    server.stop(grace=None)
    sys.stdout.flush()
    os._exit(0)  # an unfinished program's threads must neither hold the exit up nor complain on the way


if __name__ == "__main__":
    serve()
