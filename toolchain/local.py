"""`make up`, `down`, `preview`, `shell`, `clean`: a stack on the local cloud of this machine.

    python -m toolchain.local up --stack local [--rung single]
    python -m toolchain.local preview|shell|down|clean

TTS_LOCAL_DIR, TTS_API_PORT, TTS_S3_PORT, TTS_SUBNET and TTS_VPC_RANGE make room for a second local cloud beside the
first.
"""

import argparse
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain import environment, project
from toolchain.bootstrap import alone
from toolchain.cloud import SUBNET, Cloud
from toolchain.console import FailureError, Log, Screen
from toolchain.engine_events import Progress, parse
from toolchain.layout import PYTHON, Layout, cache_directory, relative

BACKUP_AGE_SECONDS = 24 * 3600  # `make up` takes a backup if no verified one is younger
HEALTH_SECONDS = 120  # how long `make up` waits for services that a start of their host has started
BACKUP_KINDS = {"databases", "media", "config"}


@dataclass
class Session:
    """One run on one local cloud: what it is done with, and where it is shown."""

    layout: Layout
    stack: str
    screen: Screen = field(default_factory=Screen)

    @property
    def env(self) -> dict[str, str]:
        return environment.complete_environment(self.layout)

    @property
    def pulumi(self) -> list[str]:
        return [str(self.layout.bin / "pulumi")]

    @property
    def tts(self) -> list[str]:
        return [str(self.layout.bin / "tts")]

    def step(self, name: str, doing: str, work: Callable[[Log], str]) -> None:
        """Do one step with its clock on the screen and its log under `.local/logs`."""
        log = Log.start(self.layout.logs, f"up-{name.replace(' ', '-')}")
        started = time.monotonic()
        with self.screen.working(name, doing):
            shown = work(log)
        self.screen.done(name, shown, time.monotonic() - started)


def start_cloud(session: Session, log: Log) -> str:
    cloud = Cloud.of(session.layout)
    cloud.start(log)
    return f"answers on {environment.read_cloud(session.layout)['api']}"


def install_plugins(session: Session, _log: Log) -> str:
    """Install the stand-in provider plugins, or those of TTS_PLUGIN_DIR, into the private PULUMI_HOME."""
    from localcloud.plugins.install import install  # noqa: PLC0415 not needed by down and clean

    named = os.environ.get("TTS_PLUGIN_DIR")
    directory = Path(named).absolute() if named else None
    try:
        started = install(session.layout.pulumi_home, PYTHON, directory)
    except (OSError, RuntimeError) as error:
        raise FailureError(str(error), "TTS_PLUGIN_DIR names the directory of provider binaries, if any") from error
    real = [name for name, program in started.items() if directory and program.parent == directory]
    stand_ins = [name for name in started if name not in real]
    return "; ".join(
        f"{what} {', '.join(names)}" for what, names in (("stand-ins", stand_ins), ("binaries", real)) if names
    )


def overrides(layout: Layout, stack: str, rung: str | None) -> dict[str, dict[str, Any]]:
    """Give, for each stack, the configuration that differs from its tracked file: the rung that was asked for `stack`,
    the ranges of a second cloud. TTS_VPC_RANGE is that of the first stack; the others have those that follow it.

    The ranges are those that the cloud was made with, also when a later call does not name them again: another VPC
    range would replace every host, and another gateway would close SSH.
    """
    names = project.stacks()
    values: dict[str, dict[str, Any]] = {name: {} for name in names}
    last = project.last_overrides(layout.project).get(names[0]) or {}
    if first := os.environ.get("TTS_VPC_RANGE") or last.get("vpcRange"):
        network = ipaddress.ip_network(first)
        for number, name in enumerate(names):
            base = network.network_address + number * network.num_addresses
            values[name]["vpcRange"] = f"{base}/{network.prefixlen}"
    cloud = environment.read_cloud(layout)
    if cloud.get("subnet", SUBNET) != SUBNET:
        for each in values.values():
            each["sshFrom"] = [f"{cloud['gateway']}/32"]
    if rung:
        values[stack]["rung"] = rung
    return values


def drop_dead_locks(state: Path) -> None:
    """Remove the engine's locks whose process is gone, as after a power cut: nobody is left who would release them."""
    for lock in state.glob(".pulumi/locks/**/*.json"):
        holder = json.loads(lock.read_text())
        if holder.get("hostname") == socket.gethostname() and not Path(f"/proc/{holder.get('pid')}").exists():
            lock.unlink(missing_ok=True)


def make_project(session: Session, rung: str | None, log: Log) -> str:
    """Bring the copy of the project up to date, select the stack, and make the keys and secrets that it lacks."""
    project.prepare(session.layout.project, overrides(session.layout, session.stack, rung))
    session.layout.state.mkdir(parents=True, exist_ok=True)
    drop_dead_locks(session.layout.state)
    log.run(
        [*session.pulumi, "stack", "select", "--create", session.stack], env=session.env,
        problem=f"The stack {session.stack} could not be selected.",
        fix="make down removes the local stacks and their state; make up begins anew",
    )  # fmt: skip
    log.run(
        [*session.tts, "init", "--stack", session.stack], env=session.env,
        problem=f"The keys and secrets of the stack {session.stack} could not be made.",
    )  # fmt: skip
    return f"stack {session.stack} in {relative(session.layout.project)}"


def pulumi_up(session: Session, log: Log) -> str:
    """Run `pulumi up`; its errors, and nothing else of it, are the message of the FailureError."""
    command = [*session.pulumi, "up", "--yes", "--skip-preview", "--json", "--color=never", "--stack", session.stack]
    progress, other = Progress(), list[str]()
    with log.path.open("a") as output, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=session.env
    ) as process:  # fmt: skip
        for event in parse(process.stdout or ()):
            line = event if isinstance(event, str) else progress.take(event)
            if isinstance(event, str):
                other.append(event)
            if line:
                print(line, file=output, flush=True)
            session.screen.note = progress.note
    if process.returncode:
        words = progress.errors or progress.stderr or other[-10:]
        raise FailureError(
            "pulumi up failed:\n" + "\n".join(f"  {line}" for message in words for line in message.splitlines()),
            f"put that right and run make up again, it continues from there; all of it is in {relative(log.path)}",
        )
    return progress.summary


def read_status(session: Session) -> dict[str, Any]:
    """Ask `tts status`. Its exit code says how things stand, not whether it could answer."""
    done = subprocess.run(
        [*session.tts, "status", "--json", "--stack", session.stack],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=session.env, check=False,
    )  # fmt: skip
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise FailureError(f"tts status does not answer:\n{done.stderr.strip()}") from None


def started_again(session: Session) -> str:
    """Wait until every service is well, as after a start of their host; after two minutes say how many are."""
    end = time.monotonic() + HEALTH_SECONDS
    while True:
        services = read_status(session).get("services", [])
        sick = [service["name"] for service in services if not service.get("healthy")]
        if not sick or time.monotonic() > end:
            return f"{len(services) - len(sick)} of {len(services)} healthy"
        session.screen.note = f"waiting for {', '.join(sick[:3])}" + (" and others" if len(sick) > 3 else "")


def lacks_backup(status: dict[str, Any]) -> list[str]:
    """Give the kinds that have no verified backup of the last 24 hours."""
    fresh = {
        backup["kind"]
        for backup in status.get("backups", [])
        if backup.get("verified") and (backup.get("age_seconds") or 0) < BACKUP_AGE_SECONDS and backup.get("newest")
    }
    return sorted(BACKUP_KINDS - fresh)


def back_up(session: Session, log: Log) -> str:
    log.run(
        [*session.tts, "backup", "all", "--stack", session.stack], env=session.env,
        problem="The first backup failed; the application runs, but its data is not safe yet.",
        fix=f"look at the log; then: make shell, tts backup all --stack {session.stack}",
    )  # fmt: skip
    return "databases, media and config taken, verified, copied off-site"


def up(session: Session, rung: str | None) -> None:
    """Bring the stack up, back it up once, show how it stands and what to try next."""
    project.check_stack(session.stack)
    with alone(session.layout):
        ready(session, rung)
        session.step("pulumi up", "working", lambda log: pulumi_up(session, log))
        status = read_status(session)
        if not all(service.get("healthy") for service in status.get("services", [])):
            session.step("services", "waiting for their health", lambda _: started_again(session))
            status = read_status(session)
        if missing := lacks_backup(status):
            session.step("backup", f"first one of {', '.join(missing)}", lambda log: back_up(session, log))
    print(flush=True)
    subprocess.run(
        [*session.tts, "status", "--stack", session.stack], env=session.env, stdin=subprocess.DEVNULL, check=False
    )
    print(NEXT.format(stack=session.stack))


NEXT = """
Next, in `make shell`:
  tts snapshots --stack {stack:<20} what is kept, and where
  tts ssh web-1 --stack {stack:<20} a shell on the host
  pulumi preview --stack {stack:<19} what the next `pulumi up` would change
`make down` removes all of it."""


def ready(session: Session, rung: str | None) -> None:
    """Have the local cloud, the plugins and the project in place."""
    session.step("local cloud", "starting", lambda log: start_cloud(session, log))
    session.step("plugins", "installing", lambda log: install_plugins(session, log))
    session.step("project", "preparing", lambda log: make_project(session, rung, log))


def preview(session: Session, rung: str | None) -> None:
    """Show what `pulumi up` would change."""
    project.check_stack(session.stack)
    with alone(session.layout):
        ready(session, rung)
    done = subprocess.run(
        [*session.pulumi, "preview", "--diff", "--stack", session.stack], env=session.env, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


def shell(session: Session) -> None:
    """Become a shell in which plain `pulumi` and `tts` work on the local cloud."""
    environment.require_running(session.layout)
    rc = session.layout.root / "shellrc"
    rc.write_text(f'[ -f ~/.bashrc ] && . ~/.bashrc\nPS1="(tts) $PS1"\nexport PATH="{session.layout.bin}:$PATH"\n')
    print("pulumi and tts work on the local cloud here; `exit` leaves.", flush=True)
    os.execvpe("bash", ["bash", "--rcfile", str(rc)], session.env)  # noqa: S606


def down(session: Session) -> None:
    """Remove the local cloud with all its hosts and buckets, and the Pulumi state that describes them."""
    layout = session.layout
    with alone(layout):
        if layout.cloud.exists():
            session.step(
                "local cloud", "removing hosts, networks and buckets", lambda log: Cloud.of(layout).destroy(log)
            )
        for directory in (layout.cloud, layout.state, layout.project, layout.pulumi_home):
            shutil.rmtree(directory, ignore_errors=True)
    session.screen.done("down", "local cloud and Pulumi state are removed; tools and images are kept")


def clean(session: Session, *, everything: bool) -> None:
    """Remove all that lies in the clone, and with `everything` the user's cache of tools and images too."""
    if session.layout.root.exists():
        down(session)
        shutil.rmtree(session.layout.root)
    session.screen.done("clean", f"{relative(session.layout.root)} is removed")
    if everything:
        shutil.rmtree(cache_directory(), ignore_errors=True)
        session.screen.done("clean", f"{relative(cache_directory())} is removed; Docker still has its images")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="toolchain.local", description="A stack on the local cloud of this machine.")
    parser.add_argument("action", choices=["up", "preview", "shell", "down", "clean", "clean-all"])
    parser.add_argument("--stack", default="local")
    parser.add_argument("--rung", default=None, help="rung to set; else the one of the stack's file")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    session = Session(Layout.current(), chosen.stack)
    actions: dict[str, Callable[[], None]] = {
        "up": lambda: up(session, chosen.rung),
        "preview": lambda: preview(session, chosen.rung),
        "shell": lambda: shell(session),
        "down": lambda: down(session),
        "clean": lambda: clean(session, everything=False),
        "clean-all": lambda: clean(session, everything=True),
    }
    try:
        actions[chosen.action]()
    except (FailureError, environment.NotRunningError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted: make {chosen.action} goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
