"""Reads what `pulumi up --json` says while it works: one event a line."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WORDS = {
    "create": "created", "update": "updated", "delete": "deleted", "replace": "replaced", "read": "read",
    "create-replacement": "created anew", "delete-replaced": "deleted the old", "same": "unchanged",
}  # fmt: skip
UNCHANGED = ("same", "read", "refresh")
QUIET = (*UNCHANGED, "replace")  # operations that are nothing to wait for


def label(metadata: dict[str, Any]) -> str:
    """Name a resource for a person: `Droplet web-1`."""
    return f"{metadata['type'].rpartition(':')[2]} {metadata['urn'].rpartition('::')[2]}"


@dataclass
class Progress:
    """What has happened so far. `changes` counts by operation and is complete when the engine has ended well."""

    under_way: dict[str, str] = field(default_factory=dict)
    done: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)  # of the program: mistakes in its configuration

    @property
    def note(self) -> str:
        """Say in a few words what the engine is at."""
        if not self.under_way:
            return f"{self.done} resources"
        first, *others = self.under_way.values()
        return f"{self.done} resources, {first}" + (f" and {len(others)} more" if others else "")

    @property
    def summary(self) -> str:
        """Say what the run changed, as `31 created` or `nothing changed, 31 resources`."""
        counts = {op: count for op, count in self.changes.items() if op not in UNCHANGED and count}
        if not counts:
            return f"nothing changed, {self.changes.get('same', 0)} resources"
        return ", ".join(f"{count} {WORDS.get(op, op)}" for op, count in counts.items())

    def take(self, event: dict[str, Any]) -> str | None:
        """Take one event in; returns the line for the log, if it deserves one."""
        for kind in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            if kind in event:
                return self._resource(kind, event[kind]["metadata"])
        if "summaryEvent" in event:
            self.changes = event["summaryEvent"].get("resourceChanges") or {}
        if "diagnosticEvent" in event:
            return self._diagnostic(event["diagnosticEvent"])
        return None

    def _resource(self, kind: str, metadata: dict[str, Any]) -> str | None:
        urn, operation = metadata["urn"], metadata["op"]
        if kind == "resourcePreEvent":
            if operation not in QUIET and metadata.get("provider"):  # a component has none, and is only its parts
                self.under_way[urn] = label(metadata)
            return None
        self.under_way.pop(urn, None)
        self.done += 1
        word = "failed" if kind == "resOpFailedEvent" else WORDS.get(operation, operation)
        return f"{word:<14} {label(metadata)}"

    def _diagnostic(self, diagnostic: dict[str, Any]) -> str | None:
        message = f"{diagnostic.get('prefix', '')}{diagnostic.get('message', '')}".rstrip()
        if not message.strip() or diagnostic.get("ephemeral") or diagnostic.get("severity") == "debug":
            return None
        if diagnostic.get("severity") == "error":
            message = message.removeprefix("error: ")
            urn = diagnostic.get("urn") or ""
            self.errors.append(f"{urn.rpartition('::')[2]}: {message}" if urn and "Stack" not in urn else message)
        if diagnostic.get("severity") == "info#err":
            self.stderr.append(message.removeprefix("error: "))
        return message


def parse(lines: Iterable[str]) -> Iterable[dict[str, Any] | str]:
    """Give each line as an event, or as it stands if it is none."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        yield event if isinstance(event, dict) else line.rstrip("\n")
