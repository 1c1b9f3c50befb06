"""Makes the reference pages that follow from the sources: `python docs/generate.py`. A test says when one is stale."""

import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pricing  # noqa: E402  # the sources stand beside this folder
from phases import Row, Rung, built, row  # noqa: E402

CONFIGURATION = ROOT / "docs/reference/configuration.md"
CLIMB = ROOT / "docs/how-to/climb.md"
_TABLE = re.compile(r"(?<=: begin -->\n).*(?=<!-- made by python docs/generate.py: end -->)", re.DOTALL)

_SIGNS = re.compile(r"(Secret[,.] )?(\[fixed\]\.? )?")
"""How a description in Pulumi.yaml begins: `Secret. `, `[fixed] `, `Secret, [fixed]. ` or neither."""
_SHOWN = {"[fixed]": "**Fixed**", "Secret": "**Secret**"}
_HEAD = """\
# Configuration

Made from `Pulumi.yaml` by `python docs/generate.py`; change it there.

Set a key with `pulumi config set KEY VALUE --stack STACK`, a part of an object with `--path 'KEY.PART'`, and a secret
with `--secret`. `tts init` writes what can be made by chance. All mistakes are reported at once, before anything
changes.

**Fixed** keys cannot change after the first deployment: the change would replace something that holds data. **Secret**
keys are refused unless they are encrypted.
"""


def configuration(project: dict[str, Any]) -> str:
    """The page on every key of the project's own namespace: first a table, then each key."""
    keys = {key: entry for key, entry in project["config"].items() if ":" not in key}
    rows = [f"| [`{key}`](#{key.lower()}) | {_type(entry)} | {_marks(entry)} |" for key, entry in keys.items()]
    table = "\n".join(["| Key | Type | |", "| --- | --- | --- |", *rows])
    return "\n".join([_HEAD, table, "", *(_section(key, entry) for key, entry in keys.items())])


def _section(key: str, entry: dict[str, Any]) -> str:
    marks, about = _marks(entry), _SIGNS.sub("", entry["description"], count=1)
    return f"## {key}\n\n{marks}{'. ' if marks else ''}{about}\n\n{_default(key, entry)}\n"


def _type(entry: dict[str, Any]) -> str:
    return f"list of {entry['items']['type']}s" if entry["type"] == "array" else entry["type"]


def _marks(entry: dict[str, Any]) -> str:
    signs = _SIGNS.match(entry["description"])
    return ", ".join(shown for sign, shown in _SHOWN.items() if signs and sign in signs[0])


def _default(key: str, entry: dict[str, Any]) -> str:
    default = entry["default"]
    if default in ("", [], {}):
        return "Default: none."
    if not isinstance(default, dict):
        return f"Default: `{str(default).lower() if isinstance(default, bool) else default}`."
    text = yaml.safe_dump({key: default}, sort_keys=False, default_flow_style=None, width=100)
    return f"Default:\n\n```yaml\n{text}```"


@dataclass(frozen=True)
class Transition:
    """One step between neighbouring rungs, in the words of the page on climbing."""

    start: Rung
    goal: Rung
    downtime: str
    data: str
    back: str


_RESIZE_DOWN = "the power cycle of the droplet, one or two minutes at the provider"
_RESIZE_DATA = "none: disk, volumes and addresses stay; a snapshot and verified off-site backups exist before"
TRANSITIONS = (
    Transition(Rung.SINGLE, Rung.RESIZED, _RESIZE_DOWN, _RESIZE_DATA, "`rung: single`: the disk did not grow"),
    Transition(Rung.RESIZED, Rung.SINGLE, _RESIZE_DOWN, _RESIZE_DATA, "`rung: resized`"),
)


def transitions() -> str:
    """The table of every step that this version can make: what changes, and what it costs in time and money."""
    head = "| Step | What changes | Downtime | Data path | Way back | USD a month, before | after |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *map(_transition, TRANSITIONS), ""])


def _transition(step: Transition) -> str:
    before, after = row(step.start), row(step.goal)
    cells = (f"`{step.start}` → `{step.goal}`", _changes(before, after), step.downtime, step.data, step.back)
    return f"| {' | '.join(cells)} | {_cost(before)} | {_cost(after)} |"


def _changes(before: Row, after: Row) -> str:
    workers = [
        f"{name} workers {old} → {new}"
        for name, old, new in (
            ("workflow", before.workflow_concurrency, after.workflow_concurrency),
            ("notification", before.notification_concurrency, after.notification_concurrency),
        )
        if old != new
    ]
    return ", ".join([f"`{before.size}` → `{after.size}`", *workers])


def _cost(each: Row) -> str:
    """Droplets with weekly backups and the second vault, as the stack `prod` has them."""
    found = pricing.estimate([(f"web-{number}", each.size) for number in range(1, each.hosts + 1)], spaces=True)
    return f"{found.total:.2f} (prices of {found.price_date})"


def climb(page: str) -> str:
    """The page on climbing with the table as it is now."""
    return _TABLE.sub(lambda _: transitions(), page)


def neighbours() -> set[tuple[Rung, Rung]]:
    """Every step between two rungs that this version builds."""
    rungs = list(Rung)
    pairs = pairwise(rungs)
    return {step for low, high in pairs if {low, high} <= set(built()) for step in ((low, high), (high, low))}


def main() -> None:
    """Write every page."""
    CLIMB.write_text(climb(CLIMB.read_text(encoding="utf-8")), encoding="utf-8")
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    CONFIGURATION.write_text(configuration(project), encoding="utf-8")


if __name__ == "__main__":
    main()
