"""Where things lie on this machine: the only place that knows. Standard library only."""

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TOOLS_DIRECTORY = REPOSITORY / ".local"  # environment and engine: one for the clone, whatever TTS_LOCAL_DIR says
PYTHON = TOOLS_DIRECTORY / "venv" / "bin" / "python"
ENGINE = TOOLS_DIRECTORY / "engine"


@dataclass(frozen=True)
class Layout:
    """The directories of one local cloud and its Pulumi state; all that `make down` and `make clean` remove."""

    root: Path

    @classmethod
    def current(cls) -> "Layout":
        """Give the layout that TTS_LOCAL_DIR names, else the repository's `.local`."""
        return cls(Path(os.environ.get("TTS_LOCAL_DIR") or TOOLS_DIRECTORY).absolute())

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def cloud(self) -> Path:
        return self.root / "cloud"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def pulumi_home(self) -> Path:
        return self.root / "pulumi"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase that encrypts the secrets of local stacks."""
        return self.secrets / "passphrase"


def cache_directory() -> Path:
    """Give the user's cache for what is dear to build; a fresh clone finds it there, and nothing depends on it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts"


def relative(path: Path) -> str:
    """Write a path as a person in the repository would: relative to it, or with `~`."""
    for base, prefix in ((REPOSITORY, ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return prefix + str(path.relative_to(base))
    return str(path)
