"""Give live tables other rows in one transaction: all of them or none. What they replace is kept."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from tts_host.holder import tail
from tts_host.log import Failure
from tts_host.merge_sql import begin, incoming, names, statements
from tts_host.postgres import PSQL
from tts_host.process import end, pipe

if TYPE_CHECKING:
    from tts_host.merge_sql import Merge, Source
    from tts_host.postgres import Server

CHUNK = 1 << 20


def merge(server: Server, order: Merge) -> list[dict[str, Any]]:
    """Carry it out; returns how many rows of each table were added, changed, removed. Any error leaves all as it is."""
    with tempfile.TemporaryFile() as words:
        session = server.stream(
            *PSQL, database=order.database, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
        )
        try:
            _say(session, begin(order))
            for number, source in enumerate(order.sources):
                if source.side:
                    _say(session, f"copy {incoming(number)} from stdin;\n")
                    _pour(server, source, session)
                    _say(session, "\\.\n")
            _say(session, "".join(statements(order)))
            pipe(session.stdin).close()
            out = pipe(session.stdout).read().decode()
            code = session.wait()
        except BrokenPipeError:
            out, code = "", session.wait()
        finally:
            end(session)  # without its commit: the server takes all of it back
        if code != 0:
            raise Failure(f"the rows were not put in, the live tables are as they were: {tail(words)}{_advice(order)}")
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def _advice(order: Merge) -> str:
    names = ", ".join(source.table.shown for source in order.sources)
    return f". If other tables are in the way, restore them together with {names}, or the whole database"


def _say(session: subprocess.Popen[bytes], text: str) -> None:
    pipe(session.stdin).write(text.encode())
    pipe(session.stdin).flush()


def _pour(server: Server, source: Source, session: subprocess.Popen[bytes]) -> None:
    """The rows of the side, as `copy` writes and reads them."""
    select = f"copy (select {names(source.columns)} from only {source.table.sql}) to stdout"
    with tempfile.TemporaryFile() as words:
        rows = server.stream(*PSQL, "--command", select, database=source.side, stdout=subprocess.PIPE, stderr=words)
        try:
            while chunk := pipe(rows.stdout).read(CHUNK):
                pipe(session.stdin).write(chunk)
            if rows.wait() != 0:
                raise Failure(f"{source.table.shown} cannot be read from {source.side}: {tail(words)}")
        finally:
            end(rows)
