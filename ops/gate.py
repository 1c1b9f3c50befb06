"""What a preview would destroy: read from `pulumi preview --json`, which tells of each step what was and what will be.

The engine refuses to delete or replace what is protected. It does not refuse a change that takes the protection away
and destroys in one go: it looks at the new options only. So every loss of protection is a finding here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.errors import ExitCode, OpsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

STATEFUL: Final = frozenset(
    {
        "aws:s3/bucket:Bucket",
        "digitalocean:index/databaseCluster:DatabaseCluster",
        "digitalocean:index/databaseDb:DatabaseDb",
        "digitalocean:index/reservedIp:ReservedIp",
        "digitalocean:index/spacesBucket:SpacesBucket",
        "digitalocean:index/volume:Volume",
        "digitalocean:index/vpc:Vpc",
    }
)
"""Types that hold state wherever they are. A droplet does only if it is protected: further web hosts hold nothing."""
DESTROYING: Final = frozenset({"delete", "replace", "create-replacement", "delete-replaced", "discard-replaced"})


class Resource(msgspec.Struct, frozen=True):
    """One side of a step."""

    type: str
    protect: bool = False


class Step(msgspec.Struct, frozen=True, rename="camel"):
    """What the engine would do with one resource."""

    op: str
    urn: str
    old_state: Resource | None = None
    new_state: Resource | None = None
    replace_reasons: tuple[str, ...] | None = None
    diff_reasons: tuple[str, ...] | None = None


class Diagnostic(msgspec.Struct, frozen=True):
    """What the engine or the program said."""

    message: str
    severity: str


class Preview(msgspec.Struct, frozen=True):
    """The document of `pulumi preview --json`, as far as it matters here."""

    steps: tuple[Step, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """Why the engine (`error`) or the program (`info#err`) refused, if one did."""
        said = [each.message.strip("\n") for each in self.diagnostics if each.severity in {"error", "info#err"}]
        return tuple(text for text in said if text.strip())


class Loss(msgspec.Struct, frozen=True):
    """One resource that would be lost, or would lose its protection, and why."""

    urn: str
    what: str
    why: str

    @property
    def name(self) -> str:
        """The resource as a person knows it: its type and name."""
        kind = self.urn.rsplit("::", 2)[-2].rpartition("$")[2].rpartition(":")[2]
        return f"{kind} {self.urn.rpartition('::')[2]}"


def parse(text: str) -> Preview:
    """The preview in `text`.

    Raises:
        OpsError: it is not one.
    """
    try:
        return msgspec.json.decode(text, type=Preview)
    except msgspec.DecodeError as error:
        raise OpsError(
            "This is not the output of `pulumi preview --json`.",
            where=str(error),
            fix="pulumi preview --json > preview.json",
            code=ExitCode.CONFIG,
        ) from None


def losses(preview: Preview, allowed: Collection[str] = ()) -> tuple[Loss, ...]:
    """Everything that the preview would destroy or lay open, once for each resource, but for the `allowed` URNs."""
    found: dict[str, Loss] = {}
    for step in preview.steps:
        for loss in _of(step):
            if loss.urn not in allowed:
                found.setdefault(loss.urn, loss)
    return tuple(found.values())


def _of(step: Step) -> Iterator[Loss]:
    old, new = step.old_state, step.new_state
    if old is None:
        return
    reasons = ", ".join(step.replace_reasons or step.diff_reasons or ())
    if step.op in DESTROYING and (old.protect or old.type in STATEFUL):
        verb = "deleted" if step.op == "delete" else "replaced"
        why = f"changed: {reasons}" if reasons else "the program no longer declares it"
        yield Loss(step.urn, verb, why)
    elif old.protect and new is not None and not new.protect:
        yield Loss(step.urn, "no longer protected", "the next update could destroy it")


def document(preview: Preview, found: tuple[Loss, ...]) -> dict[str, Any]:
    """What `--json` prints."""
    return {"losses": found, "errors": preview.errors}
