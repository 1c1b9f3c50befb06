"""Where the stack stands: the rung of its last completed update, read from its own state.

Three ways were compared. A config key that a tool writes after each update is stale as soon as somebody types plain
`pulumi up`. The engine's checkpoint file is private to the backend. A `StackReference` of the stack to itself is
answered by the engine from whatever backend is in use, needs no network beyond it, works in preview, is empty before
the first update, and keeps the old answer through a failed or killed one: the engine does not store the outputs of a
program that failed, and the program lets the output `rung` wait for its last step. Observed with engine 3.259.0.
"""

import pulumi

OUTPUT = "rung"


async def deployed_rung() -> str | None:
    """Value of the stack output `rung` of the last completed update; None when there was none."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    reference = pulumi.StackReference("deployed", stack_name=name)
    details = await reference.get_output_details(OUTPUT)
    return None if details.value is None else str(details.value)
