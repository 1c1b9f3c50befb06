"""Serve a stand-in to the engine over gRPC, with errors that a person can read."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from localcloud.plugins.codec import CloudError, InitError
from localcloud.plugins.values import from_plain_map, hide_assets, show_assets

if TYPE_CHECKING:
    from pulumi.provider.experimental.provider import Provider

_UNLIMITED = [("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.max_send_message_length", -1)]
"""The engine's own limit: a state with an archive in it is larger than gRPC's 4 MB."""

Handler = Callable[[Any, Any], Awaitable[Any]]


class Servicer(ProviderServicer):
    """The SDK's servicer, with whole assets, old inputs and clean errors."""

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().CheckConfig, request, context)

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Configure, request, context)

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Invoke, request, context)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Check, request, context)

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Diff, request, context)

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Create, request, context)

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Read, request, context)

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Update, request, context)

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _answer(super().Delete, request, context)


async def _answer(handler: Handler, request: Any, context: Any) -> Any:
    try:
        return show_assets(await handler(hide_assets(request), context))
    except Exception as shown:  # noqa: BLE001 (the SDK raises bare exceptions)
        # The SDK puts a Python stack into the text; what the provider raised is kept as the context.
        cause = shown.__context__ or shown
        text = str(cause) if isinstance(cause, CloudError | InitError) else f"{type(cause).__name__}: {shown}"
        if isinstance(cause, InitError):
            context.set_trailing_metadata([("grpc-status-details-bin", _details(cause))])
        await context.abort(grpc.StatusCode.UNKNOWN, text)


def _details(error: InitError) -> bytes:
    """The resource as it is now, so that the engine keeps it in the state."""
    failed = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        properties=PropertyValue.marshal_map(from_plain_map(error.state, error.secrets)),
        inputs=PropertyValue.marshal_map(from_plain_map(error.inputs, error.secrets)),
        reasons=[error.reason],
    )
    show_assets(failed)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=error.reason)
    status.details.add().Pack(failed)
    return status.SerializeToString()


class EngineLog:
    """The engine's log, for lines that a command prints."""

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def info(self, urn: str, text: str) -> None:
        """Show a passing line beside the resource; a lost line is no reason to fail."""
        line = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True)
        try:
            self._engine.Log(line, timeout=5)
        except grpc.RpcError:
            return

    def warning(self, urn: str, text: str) -> None:
        """Show a line that stays on the screen."""
        line = engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text, urn=urn)
        try:
            self._engine.Log(line, timeout=5)
        except grpc.RpcError:
            return


async def listen(provider: Provider, version: str, engine: str) -> tuple[grpc.aio.Server, int]:
    """Start answering on a free port of this machine; gives the server and the port."""
    server = grpc.aio.server(options=_UNLIMITED)
    servicer = Servicer([], version, provider, engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


def serve(provider: Provider, version: str, engine: str) -> None:
    """Answer the engine until it ends this process, or is killed itself; the port goes to stdout, as it expects."""
    parent = os.getppid()

    async def run() -> None:
        server, port = await listen(provider, version, engine)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        while os.getppid() == parent:
            await asyncio.sleep(1)
        await server.stop(None)

    asyncio.run(run())
