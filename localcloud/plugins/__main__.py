"""`python -m localcloud.plugins NAME ENGINE`: one stand-in, started by the engine."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

from localcloud.plugins.schema import bare_packages
from localcloud.plugins.serve import serve

NAMES = ("digitalocean", "aws", "command")


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or arguments[0] not in NAMES:
        sys.stderr.write(f"usage: python -m localcloud.plugins {{{','.join(NAMES)}}} ENGINE-ADDRESS\n")
        return 2
    name, engine = arguments[0], next(item for item in arguments[1:] if not item.startswith("-"))
    plugin = importlib.import_module(f"localcloud.plugins.{name}")
    bare_packages(*plugin.PACKAGES)
    serve(plugin.provider(engine), importlib.metadata.version(f"pulumi-{name}"), engine)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
