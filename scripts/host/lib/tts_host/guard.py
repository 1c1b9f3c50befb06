"""Step `guard KIND`: state in a container's own layer is in no backup. The run fails, after what can be saved was
saved.
"""

from __future__ import annotations

from tts_host import docker
from tts_host.config import load
from tts_host.log import Failure, step

WHAT = {"databases": "SQLite files", "media": "media files"}


def main(args: list[str]) -> None:
    config = load()
    kind = args[0]
    if kind not in WHAT or not config.project:
        return
    found = docker.unprotected(config.project, kind, config.pg_service)
    if found:
        raise Failure(
            f"{WHAT[kind]} outside every volume and database, lost with their container and in no backup: "
            f"{', '.join(found[:20])}. "
            "Give the service a database or a volume"
        )


if __name__ == "__main__":
    step(main)
