"""Property values between the engine's wire form and plain Python.

Plain Python here means: None, bool, int, float, str, list, dict, `Asset` and `UNKNOWN`. Secrets are not seen by a
stand-in: it tells the engine so, and the engine itself carries the marks of inputs over to the outputs of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import struct_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime import rpc

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
HIDDEN_SIGNATURE: Final = "hidden-signature"
OLD_INPUTS: Final = "__inputs"
# How the real plugin's own form of a state differs from the outputs beside it. Without it that plugin reads the outputs
# alone; where it no longer fits them, that plugin ends.
RAW_STATE: Final = "__pulumi_raw_state_delta"


class Unknown:
    """The value is not known before the operation has run."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Asset:
    """A file, text or tree handed to a resource; `hash` is the engine's and decides whether it changed."""

    archive: bool
    hash: str
    content: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def path(self) -> str | None:
        return self.content.get("path") or None

    @property
    def text(self) -> str | None:
        """The text of a text asset; also the empty text, but None for the other kinds."""
        return self.content.get("text", "") if not (self.path or self.content.get("uri") or self.archive) else None


def to_plain(value: PropertyValue) -> Any:
    """Take a property value apart; whole numbers become int."""
    raw: Any = value.value
    if isinstance(raw, Mapping):
        items = {key: to_plain(item) for key, item in raw.items()}
        signature = items.pop(HIDDEN_SIGNATURE, None)
        if signature is None:
            return items
        return Asset(signature == ARCHIVE_SIGNATURE, items.pop("hash", "") or "", items)
    if isinstance(raw, tuple):
        return [to_plain(item) for item in raw]
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    return UNKNOWN if raw == rpc.UNKNOWN else raw


def from_plain(value: Any) -> PropertyValue:
    """Build a property value."""
    if isinstance(value, Unknown):
        return PropertyValue(rpc.UNKNOWN)
    if isinstance(value, Asset):
        signature = ARCHIVE_SIGNATURE if value.archive else ASSET_SIGNATURE
        return from_plain({HIDDEN_SIGNATURE: signature, "hash": value.hash, **value.content})
    if isinstance(value, Mapping):
        return PropertyValue({key: from_plain(item) for key, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return PropertyValue([from_plain(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def to_plain_map(values: Mapping[str, PropertyValue]) -> dict[str, Any]:
    """Plain values of a property map; properties that are null are left out, as if they had not been given."""
    plain = {key: to_plain(value) for key, value in values.items()}
    return {key: value for key, value in plain.items() if value is not None}


def from_plain_map(values: Mapping[str, Any], secrets: frozenset[str] = frozenset()) -> dict[str, PropertyValue]:
    """Property map of plain values, with the named properties marked secret."""
    return {
        key: from_plain(value).with_secret(key in secrets and value is not None)
        for key, value in values.items()
        if value is not None
    }


def hide_assets(request: Any) -> Any:
    """Prepare a request for the SDK's own reader, which drops the hash of an asset and the old inputs.

    Asset signatures get another key, so that assets arrive as maps; the old inputs travel inside the old state.
    """
    for descriptor, value in request.ListFields():
        if isinstance(value, struct_pb2.Struct):
            _rename(value, SIGNATURE, HIDDEN_SIGNATURE)
        if descriptor.name == "old_inputs" and hasattr(request, "olds"):
            request.olds.fields[OLD_INPUTS].struct_value.CopyFrom(value)
    return request


def show_assets(response: Any) -> Any:
    """Undo `hide_assets` on the way back to the engine."""
    for _, value in response.ListFields():
        if isinstance(value, struct_pb2.Struct):
            _rename(value, HIDDEN_SIGNATURE, SIGNATURE)
    return response


def _rename(struct: struct_pb2.Struct, old: str, new: str) -> None:
    signature = struct.fields.get(old)
    if signature is not None and signature.string_value in {ASSET_SIGNATURE, ARCHIVE_SIGNATURE}:
        struct.fields[new].string_value = signature.string_value
        del struct.fields[old]
    for value in struct.fields.values():
        _rename_value(value, old, new)


def _rename_value(value: struct_pb2.Value, old: str, new: str) -> None:
    if value.HasField("struct_value"):
        _rename(value.struct_value, old, new)
    elif value.HasField("list_value"):
        for item in value.list_value.values:
            _rename_value(item, old, new)
