"""What a change that could cost data relies on: a backup of each kind that is fresh, verified and off-site."""

from typing import Final

from ops.hostreport import BackupKind, HostReport

FRESH_SECONDS: Final = 3600
"""Age of a backup that such a change may rely on."""
KINDS: Final = ("databases", "media")


def missing(report: HostReport) -> str:
    """Why the backups do not do; empty when they do. A host without media has no such kind."""
    if not any(each.kind == "databases" for each in report.backups):
        return "the host backs no databases up"
    return "; ".join(reason for each in report.backups if each.kind in KINDS and (reason := _flaw(each)))


def _flaw(backup: BackupKind) -> str:
    if backup.age_seconds is None or backup.age_seconds > FRESH_SECONDS:
        return f"the newest backup of {backup.kind} is not of the last hour"
    if not backup.verified:
        return f"the newest backup of {backup.kind} is not verified"
    behind = [each.name for each in backup.offsite if each.lag or each.newest is None]
    if behind or not backup.offsite:
        return f"the newest backup of {backup.kind} has no copy at {', '.join(behind) or 'any off-site place'}"
    return ""
