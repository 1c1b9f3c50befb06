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
README = ROOT / "README.md"
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


_CYCLE = "the power cycle of the droplet, one or two minutes at the provider"
_STAYS = "none: disk, volumes and addresses stay; a snapshot and verified off-site backups exist before"
_STOP = "the stop for the last copy, at most `maxStopSeconds` (60), else refused before it"
_OUT = (
    "databases copied while the application runs, stopped, copied again, every table's rows and hashes compared; files "
    "likewise; queues drained; the volumes on the host stay until `tts release-old`"
)
_IN = (
    "the same copy the other way, with the same comparisons; cluster, bucket and broker host stay until "
    "`tts release-old`"
)
_NOTHING_MOVES = "none: the first host stays as it is, the others hold nothing"
_UP = (
    "none with `dnsZone`: the record moves once the balancer answers, the web ports close once old answers are over; "
    "without a domain the address changes"
)
_DOWN = "none with `dnsZone`: the web ports open, the record goes back, the balancer goes once old answers are over"
TRANSITIONS = (
    Transition(Rung.SINGLE, Rung.RESIZED, _CYCLE, _STAYS, "`rung: single`: the disk did not grow"),
    Transition(Rung.RESIZED, Rung.EXTERNALISED, _STOP, _OUT, "`rung: resized` moves what is new back too"),
    Transition(Rung.EXTERNALISED, Rung.BALANCED, _UP, _NOTHING_MOVES, "`rung: externalised`"),
    Transition(Rung.BALANCED, Rung.EXTERNALISED, _DOWN, _NOTHING_MOVES, "`rung: balanced`"),
    Transition(Rung.EXTERNALISED, Rung.RESIZED, _STOP, _IN, "`rung: externalised`, into the same cluster"),
    Transition(Rung.RESIZED, Rung.SINGLE, _CYCLE, _STAYS, "`rung: resized`"),
)
"""Every step, first all the way up, then all the way down."""


def transitions() -> str:
    """The table of every step that this version can make: what changes, and what it costs in time and money."""
    head = "| Step | What changes | Downtime | Data path | Way back | USD a month, before | after |"
    steps = [each for each in TRANSITIONS if (each.start, each.goal) in neighbours()]
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *map(_transition, steps), ""])


def _transition(step: Transition) -> str:
    before, after = row(step.start), row(step.goal)
    cells = (f"`{step.start}` → `{step.goal}`", _changes(before, after), step.downtime, step.data, step.back)
    return f"| {' | '.join(cells)} | {cost(before)} | {cost(after)} |"


def _changes(before: Row, after: Row) -> str:
    """Every column of the ladder's table in which the two differ, and the workers."""
    pairs = (
        ("`{}`", before.size, after.size),
        ("{} hosts", before.hosts, after.hosts),
        ("entry {}", _words(before.entry), _words(after.entry)),
        ("database {}", _words(before.database), _words(after.database)),
        ("media {}", _words(before.media), _words(after.media)),
        ("broker {}", _words(before.broker), _words(after.broker)),
        ("workflow workers {}", before.workflow_concurrency, after.workflow_concurrency),
        ("notification workers {}", before.notification_concurrency, after.notification_concurrency),
    )
    return ", ".join(f"{form.format(old)} → {form.format(new).split()[-1]}" for form, old, new in pairs if old != new)


def _words(word: str) -> str:
    return word.replace("_", "-")


def bill(each: Row) -> pricing.Bill:
    """What a rung is made of, with the defaults of Pulumi.yaml and the second vault, as the stack `prod` has them."""
    defaults = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]["database"]["default"]
    others = tuple((f"web-{number}", each.size) for number in range(2, each.hosts + 1))
    return pricing.Bill(
        imaged=(("web-1", each.size),),
        plain=(*others, *((("broker", pricing.SMALLEST),) if each.outside else ())),
        database=defaults["size"],
        nodes=1 + defaults["standbys"] if each.outside else 0,
        balancer=each.balanced,
        spaces=True,
    )


def cost(each: Row) -> str:
    """The estimate for a rung, with its date."""
    found = pricing.estimate(bill(each))
    return f"{found.total:.2f} (prices of {found.price_date})"


def guide() -> str:
    """What the guide estimated for two hosts behind a balancer, and what exactly that costs at the present prices."""
    smallest, plan = pricing.SMALLEST, next(iter(pricing.DATABASES))
    same = pricing.Bill((), (("one", smallest), ("other", smallest)), plan, 1, balancer=True, spaces=True)
    now, full = pricing.estimate(same), pricing.estimate(bill(row(Rung.BALANCED)))
    return (
        f"The guide estimates {pricing.GUIDE_BALANCED:.0f} dollars a month for `{Rung.BALANCED}`: two droplets of 12,\n"
        f"one database node of 15, a balancer of 10, storage of 5. The same parts ({smallest}, {plan}) cost\n"
        f"{now.total:.2f} at prices of {now.price_date}. What this program deploys by default costs {full.total:.2f}\n"
        f"(prices of {full.price_date}): bigger droplets, two standbys, a host for the broker, weekly images.\n"
    )


def climb(page: str) -> str:
    """The page on climbing with the table as it is now."""
    return _TABLE.sub(lambda _: f"{transitions()}\n{guide()}", page)


def costs() -> str:
    """The table of what each rung that can be deployed costs, by what is paid for."""
    heads = {
        "hosts": "droplet",
        "weekly images": "weekly backups",
        "PostgreSQL": "PostgreSQL",
        "balancer": "load balancer",
        "Spaces": "Spaces",
    }
    lines = [f"| rung | {' | '.join(heads)} | together | prices of |", f"|{'---|' * (len(heads) + 3)}"]
    for rung in built():
        found = pricing.estimate(bill(row(rung)))
        sums = [sum(item.usd for item in found.items if item.item.startswith(start)) for start in heads.values()]
        cells = [f"{each:.2f}" if each else "" for each in sums]
        lines.append(f"| `{rung}` | {' | '.join(cells)} | **{found.total:.2f}** | {found.price_date} |")
    return "\n".join([*lines, ""])


def readme(page: str) -> str:
    """The README with the table of costs as it is now, and the guide's estimate beside it."""
    return _TABLE.sub(lambda _: f"{costs()}\n{guide()}", page)


def neighbours() -> set[tuple[Rung, Rung]]:
    """Every step between two rungs that this version builds."""
    rungs = list(Rung)
    pairs = pairwise(rungs)
    return {step for low, high in pairs if {low, high} <= set(built()) for step in ((low, high), (high, low))}


def main() -> None:
    """Write every page."""
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    CLIMB.write_text(climb(CLIMB.read_text(encoding="utf-8")), encoding="utf-8")
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    CONFIGURATION.write_text(configuration(project), encoding="utf-8")


if __name__ == "__main__":
    main()
