"""List the snapshots of one repository, newest first."""

from __future__ import annotations

import argparse
import json
from typing import Any

from tts_host.config import load
from tts_host.log import stamp, step
from tts_host.restic import KINDS, Snapshot, repository


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tts-snapshots")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repository", default="local")
    parser.add_argument("--kind", choices=KINDS)
    options = parser.parse_args(args)
    found = [as_dict(item) for item in reversed(repository(load(), options.repository).snapshots(kind=options.kind))]
    if options.json:
        print(json.dumps({"repository": options.repository, "snapshots": found}))
        return
    for item in found:
        print(
            f"{item['short_id']}  {item['time']}  {item['kind']:<9}  {item['host']}  {item['files']:>7} files  "
            f"{item['bytes']:>12} bytes"
        )


def as_dict(item: Snapshot) -> dict[str, Any]:
    return {
        "id": item.id,
        "short_id": item.id[:8],
        "time": stamp(item.time),
        "kind": item.kind,
        "run": item.tag("run"),
        "stack": item.tag("stack"),
        "host": item.host,
        "original": item.original,
        "files": item.files,
        "bytes": item.bytes,
    }


if __name__ == "__main__":
    step(main)
