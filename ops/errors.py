"""The one error that a person sees, and what the exit codes of `tts` mean."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `tts` command; `tts ssh HOST -- COMMAND` gives the command's own."""

    OK = 0
    FAILED = 1  # the work itself failed on the host: a backup, a verification, a restore
    USAGE = 2  # wrong arguments
    ATTENTION = 3  # `status` or `audit` found something that needs a person
    UNREACHABLE = 69  # a host does not answer, or does not prove who it is
    BUSY = 75  # another job holds the host's lock: try again later
    CONFIG = 78  # pulumi missing, stack missing or not deployed, configuration or passphrase wrong
    INTERRUPTED = 130


class OpsError(Exception):
    """What went wrong, where, and what to do about it. Never holds a secret: `what` and `where` are printed."""

    def __init__(self, what: str, *, fix: str, where: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.code = code
