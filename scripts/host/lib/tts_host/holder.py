"""A session that keeps an exported snapshot open while others read in it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING

from tts_host.log import Failure
from tts_host.postgres import APPLICATION, PSQL
from tts_host.process import end, pipe

if TYPE_CHECKING:
    from tts_host.postgres import Server

DONE = "tts-done"


class Holder:
    """A session that keeps one exported snapshot open, so that row counts and dump see the same instant."""

    def __init__(self, server: Server, database: str, lock_timeout_s: int) -> None:
        self.database = database
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._psql = server.stream(
            *PSQL, database=database, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words
        )
        self.taken_at, self.snapshot = self.ask(
            "begin isolation level repeatable read read only;"
            "set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0; set local "
            "row_security = off;"
            "set local max_parallel_workers_per_gather = 0;"  # the job's work stays in the job's sessions
            f"set local lock_timeout = '{lock_timeout_s}s';"
            "do $$ begin perform set_config('transaction_timeout', '0', true); exception when others then null; end $$;"
            "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"');"
            "select pg_export_snapshot();"
        )

    def ask(self, sql: str) -> list[str]:
        """Lines that the statements print. A dead session is a Failure with what it said."""
        lines: list[str] = []
        try:
            pipe(self._psql.stdin).write(f"{sql}\n\\echo {DONE}\n".encode())
            pipe(self._psql.stdin).flush()
            while (line := pipe(self._psql.stdout).readline().decode()) != DONE + "\n":
                if not line:
                    break
                lines.append(line.rstrip("\n"))
            else:
                return lines
        except BrokenPipeError:
            pass
        self._psql.wait(10)
        raise Failure(f"database {self.database}: snapshot session ended: {tail(self._words)}")

    def sessions(self) -> set[int]:
        """Process numbers of all our backends, as the server counts them."""
        own = f"select pid from pg_stat_activity where application_name = '{APPLICATION}'"
        return {int(line) for line in self.ask(f"select pg_stat_clear_snapshot(); {own};") if line}

    def close(self) -> None:
        end(self._psql)
        self._words.close()


def tail(words: IO[bytes]) -> str:
    """The end of what a program said."""
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - 1500))
    text = words.read().decode("utf-8", "replace")
    return " | ".join(line.strip() for line in text.splitlines() if line.strip()) or "no message"
