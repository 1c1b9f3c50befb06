"""The one provider behind all stand-ins: it knows the engine's protocol; a codec knows one resource type."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from pulumi.provider.experimental import provider as sdk

from localcloud.plugins import schema
from localcloud.plugins.codec import CloudError, Codec, InitError, Properties, Work, working_on
from localcloud.plugins.diff import GENERATED, compare, respond
from localcloud.plugins.values import OLD_INPUTS, RAW_STATE, UNKNOWN, from_plain_map, to_plain, to_plain_map

Result = TypeVar("Result")
Function = Callable[[Any, Properties], Properties]

_WORKERS = 64
"""Operations at the same time: they wait for the network, not for the processor."""


class StandIn(sdk.Provider):
    """A stand-in for one plugin.

    `connect` turns the provider's configuration into the session that codecs and functions work with; it refuses
    whatever is not on this machine, and is called once, by Configure.
    """

    def __init__(
        self,
        name: str,
        codecs: list[Codec[Any]],
        functions: Mapping[str, Function],
        connect: Callable[[Properties], Any],
        config: str | None = None,
    ) -> None:
        self.name = name
        self.codecs = {codec.kind: codec for codec in codecs}
        self.functions = functions
        self._connect = connect
        self._config = config
        self._session: Any = None
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix=name)

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        inputs = to_plain_map(request.new_inputs)
        known = schema.fields(schema.args_class(self._config)) if self._config else {}
        failures = [
            sdk.CheckFailure(name, f"'{name}' is not a setting of the provider {self.name}")
            for name in inputs
            if self._config and name not in known and name not in {"version", "pluginDownloadURL"}
        ]
        return sdk.CheckResponse(inputs=request.new_inputs, failures=failures)

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        prefix = f"{self.name}:config:"
        settings = {key.removeprefix(prefix): value for key, value in request.variables.items()}
        self._session = self._connect({**settings, **to_plain_map(request.args)})
        return sdk.ConfigureResponse(accept_secrets=False, supports_preview=True)

    async def cancel(self) -> None:
        if self._session is not None:
            self._session.cancelled.set()

    async def invoke(self, request: sdk.InvokeRequest) -> sdk.InvokeResponse:
        function = self.functions.get(request.tok)
        if function is None:
            raise CloudError(f"the stand-in for {self.name} has no function '{request.tok}'")
        result = await self._run(function, self._session, to_plain_map(request.args))
        return sdk.InvokeResponse(return_value=from_plain_map(result))

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        codec = self._codec(request.urn)
        inputs = to_plain_map(request.new_inputs)
        problems = await self._run(_problems, codec, inputs)
        if not problems:
            inputs = codec.complete(inputs)
            _autoname(codec, request, to_plain_map(request.old_inputs), inputs)
        return sdk.CheckResponse(
            inputs=from_plain_map(inputs, codec.secrets),
            failures=[sdk.CheckFailure(problem.path, problem.reason) for problem in problems],
        )

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        codec = self._codec(request.urn)
        old, new = _old_inputs(request.old_state), to_plain_map(request.new_inputs)
        return respond(codec, old, new, compare(codec, old, new, request.ignore_changes))

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        working_on(request.urn)
        codec, inputs = self._codec(request.urn), to_plain_map(request.properties)
        if request.preview:
            return sdk.CreateResponse("", from_plain_map(_expected(codec, inputs), codec.secrets))
        resource_id, state = await self._run(self._create, codec, inputs)
        return sdk.CreateResponse(resource_id, from_plain_map(state, codec.secrets))

    def _create(self, codec: Codec[Any], inputs: Properties) -> tuple[str, Properties]:
        with _telling(f"Error creating {codec.label}"):
            resource_id, told = codec.create(Work(self._session, inputs=inputs))
        work = Work(self._session, resource_id, {**_given(codec, inputs), **told}, inputs)
        try:
            codec.settle(work)
            return resource_id, {**work.state, **(codec.read(work) or {})}
        except CloudError as error:
            reason = f"Error creating {codec.label}: {error}"
            raise InitError(resource_id, work.state, inputs, codec.secrets, reason) from error

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        codec, old = self._codec(request.urn), _old_state(request.properties)
        found = await self._run(self._read, codec, Work(self._session, request.resource_id, old))
        if found is None:
            return sdk.ReadResponse("")
        inputs = _read_inputs(codec, to_plain_map(request.inputs), found)
        # What a person imports by may say more than the id that is kept.
        resource_id = found.pop("id", None) or request.resource_id
        state = from_plain_map({**old, **found}, codec.secrets)
        return sdk.ReadResponse(resource_id, state, from_plain_map(inputs, codec.secrets))

    def _read(self, codec: Codec[Any], work: Work[Any]) -> Properties | None:
        with _telling(f"Error reading {codec.label}"):
            return codec.read(work)

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        working_on(request.urn)
        codec, new = self._codec(request.urn), to_plain_map(request.news)
        inputs, old = _old_inputs(request.olds), _old_state(request.olds)
        change = compare(codec, inputs, new, list(request.ignore_changes))
        state = {name: value for name, value in old.items() if name not in inputs or name in new}
        state |= _given(codec, new)
        if request.preview:
            state |= dict.fromkeys(codec.recomputed, UNKNOWN)
        else:
            work = Work(self._session, request.resource_id, old, new, change.changed)
            state = await self._run(self._update, codec, work, state)
        return sdk.UpdateResponse(from_plain_map(state, codec.secrets))

    def _update(self, codec: Codec[Any], work: Work[Any], state: Properties) -> Properties:
        with _telling(f"Error updating {codec.label}"):
            state = {**state, **(codec.update(work) or {})}
            return {**state, **(codec.read(replace(work, state=state)) or {})}

    async def delete(self, request: sdk.DeleteRequest) -> None:
        working_on(request.urn)
        work = Work(self._session, request.resource_id, to_plain_map(request.properties))
        await self._run(self._delete, self._codec(request.urn), work)

    def _delete(self, codec: Codec[Any], work: Work[Any]) -> None:
        with _telling(f"Error deleting {codec.label}"):
            codec.delete(work)

    def _codec(self, urn: str) -> Codec[Any]:
        """The codec of a URN, whose type holds the whole chain of parents: `parent:Type$own:Type`."""
        kind = urn.split("::")[2].rpartition("$")[2]
        if kind not in self.codecs:
            raise CloudError(
                f"the stand-in for {self.name} does not know the resource type '{kind}'; it knows "
                + ", ".join(sorted(item.rpartition(":")[2] for item in self.codecs))
            )
        return self.codecs[kind]

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Do what blocks in a thread, which inherits the resource worked on."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(function, *arguments))


class _telling:  # noqa: N801 (used as a function)
    """Put before an error of the cloud what was being done."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, CloudError):
            raise CloudError(f"{self._prefix}: {error}") from error


def _problems(codec: Codec[Any], inputs: Properties) -> list[schema.Problem]:
    cls = schema.args_class(codec.sdk)
    return list(schema.check_object(inputs, cls, required=codec.required)) or codec.check(inputs)


def _autoname(codec: Codec[Any], request: sdk.CheckRequest, old: Properties, inputs: Properties) -> None:
    """Generate the name if it was not given, as `<logical name>-<7 hex digits>`, once for the life of the resource."""
    if codec.autoname is None:
        return
    generated = inputs.get(codec.autoname) is None
    if generated and codec.autoname in old.get(GENERATED, []):
        inputs[codec.autoname] = old[codec.autoname]
    elif generated:
        seed = request.random_seed or secrets.token_bytes(16)
        digits = hashlib.sha256(seed + request.urn.encode()).hexdigest()[:7]
        inputs[codec.autoname] = f"{request.name[: codec.autoname_limit - 8]}-{digits}"
    inputs[GENERATED] = [codec.autoname] if generated else []


def _old_state(properties: Mapping[str, Any]) -> Properties:
    """What is known of a resource, without what is only true of the state as the real plugin left it."""
    hidden = (OLD_INPUTS, RAW_STATE)
    return {name: value for name, value in to_plain_map(properties).items() if name not in hidden}


def _old_inputs(state: Mapping[str, Any]) -> Properties:
    inputs = state.get(OLD_INPUTS)
    return {name: value for name, value in (to_plain(inputs) if inputs else {}).items() if value is not None}


def _given(codec: Codec[Any], inputs: Properties) -> Properties:
    """What a state says about inputs: what was given, else the default."""
    return {**codec.defaults, **{name: value for name, value in inputs.items() if not name.startswith("__")}}


def _expected(codec: Codec[Any], inputs: Properties) -> Properties:
    """The state of a resource that is only previewed: every output that is not an input is unknown."""
    return dict.fromkeys(schema.output_names(codec.sdk), UNKNOWN) | _given(codec, inputs)


def _read_inputs(codec: Codec[Any], old: Properties, found: Properties) -> Properties:
    """The inputs as the cloud has them: kept where they mean the same; all that are set, when there were none."""
    if not old:
        known = schema.fields(schema.args_class(codec.sdk))
        return {name: found[name] for name in known if name in found and not codec.same(name, None, found[name])}
    return {
        name: found[name] if name in found and not codec.same(name, value, found[name]) else value
        for name, value in old.items()
    }
