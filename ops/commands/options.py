"""The options that commands share, so that they read and mean the same everywhere."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

Stack = Annotated[
    str | None,
    typer.Option(
        "--stack", "-s", envvar="TTS_STACK", help="The stack; without it the one `pulumi stack select` chose."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a screen.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
From = Annotated[
    str, typer.Option("--from", help="The repository: local, on the host, or the name of an off-site one: aws, spaces.")
]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take its last parameter, a dataclass whose fields are options, as these single options."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())
    group = own.pop()
    fields = inspect.signature(group.annotation, eval_str=True).parameters

    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in fields}
        command(**given, **{group.name: group.annotation(**chosen)})

    parameters = [*own, *fields.values()]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]  # read by typer
    return run
