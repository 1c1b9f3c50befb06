"""`tts alert-test`: send a test message by every configured channel, from the host that would send the real ones."""

import msgspec
import typer

from ops import jobs
from ops.commands import options
from ops.errors import ExitCode, OpsError
from ops.progress import waiting
from ops.screen import marks, new_table, next_line, out, print_json
from ops.session import Session, open_session


class Channel(msgspec.Struct, frozen=True):
    """One channel: `result` is ok when the other side took the message, else `error` says what it said."""

    name: str
    result: str
    error: str | None = None


class AlertTest(msgspec.Struct, frozen=True):
    """What `tts-alert-test --json` prints."""

    result: str
    channels: tuple[Channel, ...]

    @property
    def ok(self) -> bool:
        """Whether there is a channel, and every one works."""
        return bool(self.channels) and all(channel.result == "ok" for channel in self.channels)


def alert_test(stack: options.Stack = None, json: options.Json = False) -> None:
    """Send a test message by every configured channel, and say which other side took it. Then look whether it came."""
    with open_session(stack) as session:
        with waiting(f"Sending from {session.outputs.owner.name}"):
            tested = _send(session)
        if json:
            print_json(tested)
        else:
            _show(session, tested)
    if not tested.ok:
        raise typer.Exit(ExitCode.FAILED)


def _send(session: Session) -> AlertTest:
    done = session.remote.run(session.outputs.owner, ["tts-alert-test", "--json"], timeout=300)
    found = jobs.json_lines(done.stdout, AlertTest)
    if found and not found[-1].channels:
        raise OpsError(
            "No alert channel is configured: nobody would hear of a failed backup.",
            fix="pulumi config set --secret --path alerts.webhookUrl URL, then deploy (docs/how-to/alerts.md)",
            code=ExitCode.CONFIG,
        )
    if not found:
        raise jobs.failed(session, done, "The alert test")
    return found[-1]


def _show(session: Session, tested: AlertTest) -> None:
    good, bad = marks()
    table = new_table("channel", "", "")
    for channel in tested.channels:
        well = channel.result == "ok"
        table.add_row(channel.name, f"{good} taken" if well else f"{bad} failed", channel.error or "")
    out().print(table)
    if tested.ok:
        out().print("The other side has taken each message. Only you can see whether it reached a person.")
    out().print(next_line(session.spell("tts status" if tested.ok else f"tts ssh {session.outputs.owner.name}")))
