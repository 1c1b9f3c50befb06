"""Where this host's application keeps its state: in containers and volumes here, or outside, as it has recorded itself.

A host without a record keeps its state on itself, except a new one that is to use the outside and holds nothing yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_host import state
from tts_host.log import stamp

if TYPE_CHECKING:
    from pathlib import Path

HOST, OUTSIDE = "host", "outside"
PLACEMENTS = (HOST, OUTSIDE)
STATE = "placement"


@dataclass(frozen=True)
class Home:
    """Where this host keeps its state files."""

    state_dir: Path


def record(home: state.Home) -> dict[str, Any]:
    """What is recorded: `placement`, `since`, the database's `image`, and the `old` volumes that a move has left."""
    return state.read(home, STATE)


def recorded(home: state.Home) -> str:
    found = record(home).get("placement", HOST)
    return found if found in PLACEMENTS else HOST


def is_recorded(home: state.Home) -> bool:
    return record(home).get("placement") in PLACEMENTS


def write(home: state.Home, placement: str, **facts: Any) -> None:
    """Record the placement in one step. Facts that are not given stay as they are; None takes one away."""
    before = record(home)
    since = before.get("since") if before.get("placement") == placement else None
    found = {**before, "placement": placement, "since": since or stamp(), **facts}
    wanted = {key: value for key, value in found.items() if value is not None}
    if wanted != before:
        state.write(home, STATE, wanted)
