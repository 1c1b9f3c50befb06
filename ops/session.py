"""What nearly every command starts with: the stack's name, its outputs, and the way in to its hosts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.engine import Engine, project_directory
from ops.remote import connect
from ops.stack import parse_outputs

if TYPE_CHECKING:
    from collections.abc import Generator

    from ops.remote import Remote
    from ops.stack import Outputs


@dataclass(frozen=True)
class Session:
    """An opened stack. `flag` is the `--stack` option as the person gave it, for commands printed as next steps."""

    stack: str
    flag: str
    outputs: Outputs
    remote: Remote

    def spell(self, command: str) -> str:
        """A `tts` command as it must be typed for this stack; any other command unchanged."""
        tool, _, rest = command.partition(" ")
        if tool != "tts" or not self.flag or self.flag in rest:
            return command
        name, _, arguments = rest.partition(" ")
        return " ".join(part for part in (tool, name, self.flag, arguments) if part)


def read_outputs(stack: str | None) -> tuple[str, Outputs]:
    """The stack's name and outputs, for commands that touch no host.

    Raises:
        OpsError: no pulumi, no such stack, or stack not deployed.
    """
    engine = Engine(stack, project_directory())
    name = engine.stack_name()
    return name, parse_outputs(name, engine.outputs())


@contextmanager
def open_session(stack: str | None) -> Generator[Session]:
    """Read the stack and open the way in; the SSH key is off the disk when the block ends.

    Raises:
        OpsError: no pulumi, no such stack, stack not deployed, key missing, passphrase wrong.
    """
    engine = Engine(stack, project_directory())
    name = engine.stack_name()
    with ThreadPoolExecutor(max_workers=2) as pool:
        key = pool.submit(engine.secret, "sshPrivateKey")
        outputs = parse_outputs(name, engine.outputs())
        private_key = key.result()
    with connect(outputs.ssh_user, private_key, outputs.host_public_key, outputs.hosts) as remote:
        yield Session(name, f"--stack {stack}" if stack else "", outputs, remote)
