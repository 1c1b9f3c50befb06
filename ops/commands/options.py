"""The options that commands share, so that they read and mean the same everywhere."""

from typing import Annotated

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
