"""Where the stack stands, read from its own state: what its last completed update said of itself.

Three ways were compared. A config key that a tool writes after each update is stale as soon as somebody types plain
`pulumi up`. The engine's checkpoint file is private to the backend. A `StackReference` of the stack to itself is
answered by the engine from whatever backend is in use, needs no network beyond it, works in preview, is empty before
the first update, and keeps the old answer through a failed or killed one: the engine does not store the outputs of a
program that failed, and the program lets the output `rung` wait for its last step. Observed with engine 3.259.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi


@dataclass(frozen=True)
class Deployed:
    """What the last completed update left; empty before the first one.

    `cluster` is the database cluster outside the hosts, in use or held, and `releasing` says that its protection was
    already taken away.
    """

    rung: str | None = None
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    cluster: str = ""
    database_size: str = ""
    releasing: bool = False


async def read() -> Deployed:
    """The outputs of the last completed update that the next one depends on."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    reference = pulumi.StackReference("deployed", stack_name=name)
    known = {key: (await reference.get_output_details(key)).value for key in ("rung", "fixed", "database")}
    database = cast("dict[str, Any]", known["database"] or {})
    return Deployed(
        rung=None if known["rung"] is None else str(known["rung"]),
        fixed=cast("dict[str, str]", known["fixed"] or {}),
        cluster=str(database.get("id", "")),
        database_size=str(database.get("size", "")),
        releasing=database.get("state") == "releasing",
    )
