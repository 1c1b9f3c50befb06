"""The Pulumi CLI found on PATH, as far as `tts` needs it: read outputs and configuration, write configuration.

A secret goes to the CLI on standard input and comes back on standard output; it is never an argument.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ops.errors import ExitCode, OpsError

_REPOSITORY = Path(__file__).resolve().parent.parent
_TIMEOUT = 120  # seconds; a call takes under one, more only when a backend in the cloud is slow
_PREVIEW_TIMEOUT = 900  # seconds; the program runs, and every lookup that it makes


class ConfigValue(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of `pulumi config --json`. `value` is missing when it is secret and was not asked for."""

    secret: bool
    value: str | None = None
    object_value: Any = None


# What pulumi says, what that means, what to do. {stack} is the stack's name or "the selected one".
_REASONS = (
    (
        "incorrect passphrase",
        "The passphrase does not open the secrets of stack {stack}.",
        "Set PULUMI_CONFIG_PASSPHRASE_FILE to the file with the passphrase this stack was made with.",
    ),
    (
        "passphrase must be set",
        "The secrets of stack {stack} are locked and no passphrase is given.",
        "Set PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds it. For the local stack: make shell.",
    ),
    (
        "no stack named",
        "There is no stack {stack} in this backend.",
        "List the stacks with `pulumi stack ls`, or make it: tts init --stack {stack}",
    ),
    ("no stack selected", "No stack is named.", "Add --stack STACK, or choose one: pulumi stack select STACK"),
    (
        "no Pulumi.yaml project file",
        "No Pulumi project stands here.",
        "Run tts in the repository, or set TTS_PROJECT_DIR to the folder of Pulumi.yaml.",
    ),
    (
        "PULUMI_ACCESS_TOKEN must be set",
        "Pulumi is not logged in to a backend.",
        "Log in (`pulumi login`), or set PULUMI_BACKEND_URL. For the local stack: make shell.",
    ),
    (
        "unable to open state directory",
        "The folder with the Pulumi state is not there.",
        "Check PULUMI_BACKEND_URL. For the local stack: make up.",
    ),
)


def project_directory() -> Path:
    """The folder in which `pulumi` runs: TTS_PROJECT_DIR, else the repository this module stands in."""
    return Path(os.environ.get("TTS_PROJECT_DIR") or _REPOSITORY)


def repository_directory() -> Path:
    """The checkout that this `tts` runs from."""
    return _REPOSITORY


@dataclass(frozen=True)
class Engine:
    """The CLI for one stack; `stack` None means the one that `pulumi stack select` chose."""

    stack: str | None
    directory: Path

    def stack_name(self) -> str:
        """The stack's name.

        Raises:
            OpsError: none is named and none is selected.
        """
        return self.stack or self._run("stack", "--show-name").strip()

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, empty before the first deployment."""
        return msgspec.json.decode(self._run("stack", "output", "--json"), type=dict[str, Any])

    def secret_output(self, name: str) -> Any:
        """One secret output in the clear, for memory only; None when the stack was deployed without it."""
        try:
            return msgspec.json.decode(self._run("stack", "output", name, "--json", "--show-secrets"))
        except OpsError as error:
            if "does not have output property" not in error.where:
                raise
            return None

    def config(self) -> dict[str, ConfigValue]:
        """The whole configuration with its secrets in the clear: for memory only. Keys lose the project's prefix."""
        text = self._run("config", "--json", "--show-secrets")
        values = msgspec.json.decode(text, type=dict[str, ConfigValue])
        return {key.removeprefix("tts:"): value for key, value in values.items()}

    def secret(self, key: str) -> str:
        """One secret of the configuration.

        Raises:
            OpsError: it is not set; the message names `tts init`.
        """
        try:
            value = self._run("config", "get", key)
        except OpsError as error:
            if "not found" not in error.where:
                raise
            value = ""
        if value.strip():
            return value
        raise OpsError(
            f"Stack {self.stack_name()} has no {key}.",
            fix=f"tts init --stack {self.stack_name()}",
            code=ExitCode.CONFIG,
        )

    def set_secret(self, key: str, value: str) -> None:
        """Write one secret, byte for byte. `key` may be a path such as `appSecrets.SECRET_KEY`."""
        self._run("config", "set", "--secret", "--raw", "--path", key, stdin=value)

    def unset(self, key: str) -> None:
        """Take one value out of the configuration."""
        self._run("config", "rm", key)

    def set_plain(self, values: dict[str, str]) -> None:
        """Write values that are no secret, in one call."""
        pairs = [part for key, value in values.items() for part in ("--plaintext", f"{key}={value}")]
        if pairs:
            self._run("config", "set-all", *pairs)

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """The resources of a type, as the state has them; none before the first deployment."""
        return [each for each in _resources(self._export()) if each.get("type") == kind]

    def identify(self, urn: str, told: dict[str, Any]) -> None:
        """Let the state tell of another thing under a resource's name. `told` has its id, inputs and outputs.

        Raises:
            OpsError: there is no such resource, or a deployment is at work on the stack.
        """
        state = self._export()
        found = [each for each in _resources(state) if each["urn"] == urn]
        if len(found) != 1:
            raise OpsError(
                f"The state of {self.stack_name()} has no {urn}.", fix="pulumi refresh, then run this again."
            )
        found[0] |= told
        self._run("stack", "import", stdin=msgspec.json.encode(state).decode())

    def _export(self) -> dict[str, Any]:
        """The stack's state, its secrets as they are kept."""
        return msgspec.json.decode(self._run("stack", "export"), type=dict[str, Any])

    def preview(self) -> str:
        """The document of a preview. A preview that is refused has one too: it says why.

        Raises:
            OpsError: there is none: no such stack, no passphrase ...
        """
        done = self._call("preview", "--json", timeout=_PREVIEW_TIMEOUT)
        if not done.stdout.lstrip().startswith("{"):
            raise self._explain(("preview",), done.stderr)
        return done.stdout

    def create_stack(self) -> None:
        """Make the stack in the backend; its file, if there is one, stays as it is."""
        if self.stack is None:
            raise OpsError("No stack is named.", fix="Add --stack STACK.", code=ExitCode.USAGE)
        self._run("stack", "init", "--no-select", self.stack, named=False)

    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        stacks = msgspec.json.decode(self._run("stack", "ls", "--json", named=False), type=list[dict[str, Any]])
        return any(str(stack["name"]).rpartition("/")[2] == self.stack for stack in stacks)

    def _run(self, *arguments: str, stdin: str = "", named: bool = True) -> str:
        done = self._call(*arguments, stdin=stdin, named=named)
        if done.returncode:
            raise self._explain(arguments, done.stderr)
        return done.stdout

    def _call(
        self, *arguments: str, stdin: str = "", named: bool = True, timeout: float = _TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        selection = ["--stack", self.stack] if named and self.stack else []
        command = ["pulumi", "--non-interactive", "--color", "never", *arguments, *selection]
        try:
            return subprocess.run(
                command,
                cwd=self.directory,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            raise self._not_found() from None
        except subprocess.TimeoutExpired:
            raise OpsError(
                f"`pulumi {' '.join(arguments[:2])}` gave no answer in {timeout:.0f} seconds.",
                fix="Check that the backend answers: pulumi stack ls",
                code=ExitCode.CONFIG,
            ) from None

    def _not_found(self) -> OpsError:
        if not self.directory.is_dir():
            return OpsError(
                f"The project folder {self.directory} is not there.",
                fix="Set TTS_PROJECT_DIR to the folder of Pulumi.yaml.",
                code=ExitCode.CONFIG,
            )
        return OpsError(
            "There is no `pulumi` on PATH.",
            fix="For the local stack: make shell. Else install it: https://www.pulumi.com/docs/install/",
            code=ExitCode.CONFIG,
        )

    def _explain(self, arguments: tuple[str, ...], stderr: str) -> OpsError:
        name = self.stack or "the selected one"
        for sign, what, fix in _REASONS:
            if sign in stderr:
                return OpsError(what.format(stack=name), fix=fix.format(stack=name), code=ExitCode.CONFIG)
        lines = [line.removeprefix("error: ") for line in stderr.splitlines() if line.strip()]
        return OpsError(
            f"`pulumi {' '.join(arguments[:2])}` failed.",
            where=lines[-1] if lines else "it gave no reason",
            fix=f"Run it by hand for the whole story: pulumi {' '.join(arguments[:2])} --stack {name}",
            code=ExitCode.CONFIG,
        )


def _resources(state: dict[str, Any]) -> list[dict[str, Any]]:
    return state.get("deployment", {}).get("resources", [])
