"""What a move away from this host has left here: shown, and removed when that is wanted."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from tts_host import docker, move_journal, placement
from tts_host.config import Config, load
from tts_host.log import Failure, log, step
from tts_host.placement import OUTSIDE
from tts_host.sizes import below


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tts-release-old")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(args)
    config = load()
    found = held(config)
    if options.yes:
        check(config)
        for volume in found:
            release(volume)
        placement.write(config, OUTSIDE, old=None)
    if options.json:
        print(json.dumps({"placement": placement.recorded(config), "old": found, "removed": options.yes}), flush=True)
        return
    for volume in found:
        print(f"{volume['name']}  {volume['files']} files  {volume['bytes']} bytes{'  removed' if options.yes else ''}")
    if not options.yes:
        print(
            f"{len(found)} volumes, nothing was removed: add --yes to remove them" if found else "nothing is left here"
        )


def held(config: Config) -> list[dict[str, Any]]:
    """The volumes that the last move has left, as far as they hold anything."""
    found: list[dict[str, Any]] = []
    if placement.recorded(config) != OUTSIDE:
        return found
    for name in placement.record(config).get("old") or []:
        for volume in docker.volumes_named(config.project, name):
            size = below(Path(volume["Mountpoint"]))
            if size.files:
                place = {"name": volume["Name"], "folder": volume["Mountpoint"]}
                found.append({**place, "files": size.files, "bytes": size.bytes})
    return found


def check(config: Config) -> None:
    """The old side goes only when the new one is in use and well."""
    if placement.recorded(config) != OUTSIDE:
        raise Failure("the state of this host is on this host: there is no old side to release")
    moving = move_journal.shown(config)
    if moving:
        raise Failure(f"a move is under way ({moving['step']}): nothing is removed before it has ended")
    there = docker.containers(config.project, everything=True)
    sick = [item.name for item in there if not item.healthy]
    if sick or not any(item.state == "running" for item in there):
        raise Failure(f"the application is not well on the new side: {', '.join(sick) or 'nothing runs'}")


def release(volume: dict[str, Any]) -> None:
    """Remove a volume; of one that a container still mounts, the content."""
    used = docker.docker("ps", "--all", "--quiet", "--filter", f"volume={volume['name']}").split()
    if used:
        for path in Path(volume["folder"]).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    else:
        docker.docker("volume", "rm", volume["name"])
    log("info", released=volume["name"], bytes=volume["bytes"])


if __name__ == "__main__":
    step(main)
