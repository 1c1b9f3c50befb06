"""The difference between two states of the configuration, file by file, with every secret masked."""

from __future__ import annotations

import argparse
import difflib
import hashlib
import hmac
import json
import re
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_host import broker
from tts_host.choose import choose
from tts_host.config import Config, load
from tts_host.log import Failure, redact, step
from tts_host.restic import repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LIVE = "live"
SECRET_KEY = re.compile(r"pass|secret|token|key|credential|dsn|auth|private|salt|webhook|ping", re.IGNORECASE)
ASSIGNMENT = re.compile(r"""^(\s*(?:export\s+|-\s+)?["']?([A-Za-z_][\w.-]*)["']?\s*[:=]\s*)(\S.*)$""")
KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
PLAIN = 8  # shorter values are not searched for in other files: they would be found everywhere


@dataclass(frozen=True)
class Mask:
    """Puts `***` and four digits in the place of a secret. The digits tell something within one run only."""

    env_files: frozenset[str]
    known: dict[str, str] = field(default_factory=dict[str, str])
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def token(self, value: str) -> str:
        return "***" + hmac.new(self.salt, value.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:4]

    def learn(self, path: str, text: str) -> None:
        """Remember the secret values of a file, to find them in the others too."""
        for line in text.splitlines():
            if (found := self._secret(path, line)) and len(found[1]) >= PLAIN:
                self.known[found[1]] = self.token(found[1])

    def lines(self, path: str, text: str) -> list[str]:
        """The text as it may be shown."""
        text = KEY_BLOCK.sub(lambda block: f"(private key {self.token(block[0])})", text)
        return [self._line(path, line) for line in text.splitlines()]

    def _line(self, path: str, line: str) -> str:
        if found := self._secret(path, line):
            line = found[0] + self.token(found[1])
        for value in sorted(self.known, key=len, reverse=True):
            line = line.replace(value, self.known[value])
        return redact(line)

    def _secret(self, path: str, line: str) -> tuple[str, str] | None:
        """The part before the value, and the value, where the line sets a secret. An env file is all secret."""
        parts = ASSIGNMENT.match(line)
        if not parts or parts[3].startswith(("${", "#")):
            return None
        if path not in self.env_files and not SECRET_KEY.search(parts[2]):
            return None
        return parts[1], parts[3].strip().strip("\"'")


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tts-config-diff")
    parser.add_argument("one")
    parser.add_argument("other", nargs="?", default=LIVE)
    parser.add_argument("--repository", default="local")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(args)
    config = load()
    one, other = files(config, options.repository, options.one), files(config, options.repository, options.other)
    found = list(differences(one, other, Mask(frozenset({str(config.app_env)}))))
    if options.json:
        print(json.dumps({"from": options.one, "to": options.other, "files": found}, ensure_ascii=False))
        return
    for item in found:
        print(f"{item['change']}: {item['path']}")
        print("".join(f"{line}\n" for line in item["diff"]), end="")


def files(config: Config, source: str, name: str) -> dict[str, bytes]:
    """Every file of a state by its path on the host."""
    if name == LIVE:
        return read_below(Path("/"), [str(path).lstrip("/") for path in config.config_paths])
    store = repository(config, source)
    if name == "previous":
        mine = [item for item in store.snapshots(config.host, "config") if item.tag("stack") == config.stack]
        if len(mine) < 2:
            raise Failure(f"repository {source} has {len(mine)} config snapshots: there is no previous one")
        name = mine[-2].id
    snapshot = choose(store, config.host, config.stack, "config", name)
    with tempfile.TemporaryDirectory(prefix="config-diff.", dir=config.state_dir) as place:
        store.run("restore", snapshot.id, "--target", place, "--no-lock", timeout=None)
        paths = [path for path in snapshot.paths if Path(path).parent != broker.folder(config)]  # no file of the host
        return read_below(Path(place), [path.lstrip("/") for path in paths])


def read_below(root: Path, paths: list[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in paths:
        start = root / name
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if path.is_file() and not path.is_symlink():
                found["/" + str(path.relative_to(root))] = path.read_bytes()
    return found


def differences(one: Mapping[str, bytes], other: Mapping[str, bytes], mask: Mask) -> Iterator[dict[str, Any]]:
    """Files that were added, removed or changed, with the lines that differ."""
    for state in (one, other):
        for path, content in state.items():
            mask.learn(path, content.decode("utf-8", "replace"))
    for path in sorted({*one, *other}):
        before, after = one.get(path), other.get(path)
        if before == after:
            continue
        change = "added" if before is None else "removed" if after is None else "changed"
        yield {"path": path, "change": change, "diff": lines_of(path, before or b"", after or b"", mask)}


def lines_of(path: str, before: bytes, after: bytes, mask: Mask) -> list[str]:
    if b"\0" in before + after:
        return [f"binary: {len(before)} bytes before, {len(after)} after"]
    old, new = (mask.lines(path, content.decode("utf-8", "replace")) for content in (before, after))
    return list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]


if __name__ == "__main__":
    step(main)
