"""Docker images: the base, the droplet's, and those of the example applications that droplets load at boot.

An image is dear to build and cheap to keep: each is also saved in the user's cache, under a key of all that it is made
from.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from toolchain.console import FailureError, Log, capture
from toolchain.layout import PYTHON, REPOSITORY, Layout, cache_directory
from toolchain.machine import PACKAGES, certificates, install_packages, is_root, missing
from toolchain.tools import COMPOSE, RESTIC

BASE = "debian:bookworm-slim"
SUITE = "bookworm"
MIRROR = os.environ.get("TTS_DEBIAN_MIRROR") or "http://deb.debian.org/debian"
PULL_SECONDS = 90  # a base image of 30 MB; a registry that cannot be reached says so at once
EXAMPLES = REPOSITORY / "examples"
IGNORED = ("__pycache__", "*.pyc", ".pytest_cache")


def has_image(tag: str) -> bool:
    return capture(["docker", "image", "inspect", "--format", "{{.Id}}", tag]) is not None


def hash_tree(*folders: Path) -> str:
    """Give a key of the files under some folders: names, contents, and whether they are executable."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not any(part.match(pattern) for part in [path, *path.parents] for pattern in IGNORED):
                name = path.relative_to(folder.parent)
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{name} {os.access(path, os.X_OK)} {content}\n".encode())
    return total.hexdigest()[:12]


def save(tags: list[str], archive: Path, log: Log, *, compress: bool) -> None:
    """Save images as one archive, whole or not at all; layers that they share are in it once."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    draft = archive.with_name(f".{archive.name}.{os.getpid()}")
    log.run(["docker", "save", "--output", draft, *tags], problem=f"{', '.join(tags)} could not be saved.")
    if compress:
        log.run(["gzip", "-1", draft], problem=f"{archive} could not be written.")
        draft = draft.with_name(draft.name + ".gz")
    draft.replace(archive)


def drop_others(archive: Path, pattern: str) -> None:
    """Remove older archives of the same images: each is a gigabyte, and only the present sources' one is used."""
    for old in archive.parent.glob(pattern):
        if old != archive:
            old.unlink()


def ensure(tag: str, archive: Path, build: Callable[[], None], log: Log) -> str:
    """Make an image available: from the archive in the cache, else built and put there. Returns what to show."""
    if archive.exists():
        log.run(["docker", "load", "--input", archive], problem=f"{archive} could not be loaded.", fix=f"rm {archive}")
        if has_image(tag):
            return f"{tag} from the cache"
    build()
    if not has_image(tag):
        raise FailureError(f"The build of {tag} left no image of that name.", log=log.path)
    save([tag], archive, log, compress=True)
    return f"{tag} built"


def base_archive() -> Path:
    return cache_directory() / "images" / f"{BASE.replace(':', '-')}.tar.gz"


def make_base(log: Log) -> str:
    """Make the base image: pulled where a registry can be reached, else imported from debootstrap."""

    def build() -> None:
        try:
            log.run(["docker", "pull", BASE], problem="no registry", timeout=PULL_SECONDS)
        except FailureError:
            bootstrap_debian(BASE, log)

    return ensure(BASE, base_archive(), build, log)


def bootstrap_debian(tag: str, log: Log) -> None:
    """Import a minimal Debian, made by debootstrap from the distribution's mirror."""
    if not is_root():
        raise FailureError(
            f"No registry can be reached for {tag}, and only root can make it from Debian's packages.",
            "run `make up` once as root: the image stays", log.path,
        )  # fmt: skip
    if missing(["debootstrap"]):
        install_packages([PACKAGES["debootstrap"]], log)
    with tempfile.TemporaryDirectory(prefix="tts-debian-") as name:
        root = Path(name)
        log.run(
            ["debootstrap", "--variant=minbase", "--components=main", SUITE, root, MIRROR],
            problem=f"debootstrap could not make Debian {SUITE} from {MIRROR}.",
            fix="TTS_DEBIAN_MIRROR names another mirror",
        )  # fmt: skip
        for folder in (root / "var/cache/apt/archives", root / "var/lib/apt/lists"):
            shutil.rmtree(folder)
            folder.mkdir()
        import_image(root, tag)


def import_image(root: Path, tag: str) -> None:
    """Import a directory as an image."""
    packer = subprocess.Popen(["tar", "--numeric-owner", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    done = subprocess.run(
        ["docker", "import", "--change", 'CMD ["bash"]', "-", tag],
        stdin=packer.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    if packer.wait() or done.returncode:
        raise FailureError(f"{tag} could not be imported: {done.stderr.strip()}")


def cloud_tag(name: str) -> str:
    """Ask the local cloud which image it needs: the tag follows the files of the image's folder."""
    tag = capture([PYTHON, "-m", "localcloud", "image", name])
    if not tag:
        raise FailureError(
            f"`python -m localcloud image {name}` does not say which image it needs.", "make clean, then make up"
        )
    return tag


def make_cloud_image(tag: str, log: Log) -> str:
    """Build an image of the local cloud: one of its folders, and the tools that a production host downloads."""
    name = tag.partition(":")[0].removeprefix("localcloud/")

    def build() -> None:
        with tempfile.TemporaryDirectory(prefix=f"tts-{name}-") as folder:
            context = Path(folder) / "context"
            shutil.copytree(REPOSITORY / "localcloud" / name, context, ignore=shutil.ignore_patterns(*IGNORED))
            (context / "bin").mkdir(exist_ok=True)
            shutil.copy2(RESTIC.binary, context / "bin" / "restic")
            shutil.copy2(COMPOSE.binary, context / "bin" / "docker-compose")
            if bundle := certificates():
                shutil.copy(bundle, context / "host-ca.crt")
            log.run(["docker", "build", "--tag", tag, context], problem=f"The image {tag} could not be built.")

    archive = cache_directory() / "images" / f"{tag.replace('/', '-').replace(':', '-')}.tar.gz"
    shown = ensure(tag, archive, build, log)
    drop_others(archive, f"{tag.partition(':')[0].replace('/', '-')}-*.tar.gz")
    return shown


def examples() -> list[Path]:
    """Give the example applications that build images of their own."""
    return sorted(path.parent.parent for path in EXAMPLES.glob("*/images/build"))


def application_archive(layout: Layout, example: Path) -> Path:
    """Give the archive that droplets preload: its name follows the folders that the images are made from."""
    folders = [folder for folder in sorted(example.iterdir()) if folder.is_dir() and folder.name not in IGNORED]
    return layout.images / f"{example.name}-{hash_tree(*folders)}.tar"


def make_application(layout: Layout, example: Path, log: Log) -> str:
    """Put the archive of an application's images where droplets load it from: from the cache, else built."""
    target = application_archive(layout, example)
    cached = cache_directory() / "images" / target.name
    origin = "from the cache"
    if not cached.exists():
        save(build_application(example, log), cached, log, compress=False)
        origin = "built"
    layout.images.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(cached, draft)
    except OSError:
        shutil.copy2(cached, draft)
    draft.replace(target)
    for archive in (target, cached):
        drop_others(archive, f"{example.name}-*.tar")
    return f"images of {example.name} {origin}"


def build_application(example: Path, log: Log) -> list[str]:
    """Build an application's images by its own script, which prints the tag of each on its output."""
    with log.path.open("a") as output:
        done = subprocess.run(
            [example / "images" / "build"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True,
            env={name: value for name, value in os.environ.items() if name != "IMAGE_TAG"}, check=False,
        )  # fmt: skip
        output.write(done.stdout)
    if done.returncode or not done.stdout.split():
        raise FailureError(f"The images of {example.name} could not be built.", log=log.path)
    return done.stdout.split()
