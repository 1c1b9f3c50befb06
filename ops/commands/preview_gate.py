"""`tts preview-gate`: a preview that would destroy what holds data is a failure."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ops.commands import options
from ops.engine import Engine, project_directory
from ops.errors import ExitCode
from ops.gate import Loss, Preview, document, losses, parse
from ops.progress import waiting
from ops.screen import marks, next_line, out, print_json

File = Annotated[
    Path | None, typer.Option("--file", help="Judge this output of `pulumi preview --json` instead of making one.")
]
Allow = Annotated[
    list[str] | None, typer.Option("--allow", help="URN of a resource whose loss is meant; may be repeated.")
]


def preview_gate(
    file: File = None, allow: Allow = None, stack: options.Stack = None, json: options.Json = False
) -> None:
    """Preview the stack and fail if anything that holds data would be deleted, replaced or lose its protection.

    Exit code 3 when it would, 1 when the preview itself is refused, 0 when nothing is lost.
    """
    if file:
        preview = parse(file.read_text(encoding="utf-8"))
    else:
        with waiting("Previewing"):
            preview = parse(Engine(stack, project_directory()).preview())
    found = losses(preview, allow or ())
    if json:
        print_json(document(preview, found))
    else:
        _show(preview, found)
    if found:
        raise typer.Exit(ExitCode.ATTENTION)
    if preview.errors:
        raise typer.Exit(ExitCode.FAILED)


def _show(preview: Preview, found: tuple[Loss, ...]) -> None:
    good, bad = marks()
    for text in preview.errors:
        out().print(Text(f"{bad} {text}", style="red"))
    for loss in found:
        out().print(Text(f"{bad} {loss.name} would be {loss.what} ({loss.why})", style="red"))
        out().print(Text(f"  {loss.urn}", style="dim"), soft_wrap=True)
    if found:
        out().print(next_line("leave it as it is, or name it with --allow URN if its loss is meant"))
    elif not preview.errors:
        out().print(Text(f"{good} nothing that holds data would be lost", style="green"))
