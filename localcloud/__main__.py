"""The command line of the local cloud."""

import argparse
import json
import logging
import sys
from pathlib import Path

from localcloud import config as settings
from localcloud.config import Config
from localcloud.errors import CloudError


def main() -> int:
    options = _parser().parse_args()
    try:
        return _run(options)
    except CloudError as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "image":
        print(settings.image_tag(options.name))
        return 0
    directory: Path = options.dir.resolve()
    if options.command == "up":
        return _up(directory, options)
    cloud = settings.load(directory)
    if cloud is None:
        print(f"There is no local cloud in {directory}.", file=sys.stderr)
        return 0 if options.command in ("down", "destroy") else 1
    return _on(cloud, options)


def _up(directory: Path, options: argparse.Namespace) -> int:
    from localcloud import control  # noqa: PLC0415 `image` must work without the packages of the daemon

    found = settings.load(directory)
    if found is None and directory.exists() and any(directory.iterdir()):
        # `destroy` removes the whole directory: it must hold nothing else.
        raise CloudError(f"{directory} holds other things. Fix: give the cloud a --dir of its own.")
    wanted = settings.adapt(
        found or settings.make(directory),
        api_port=options.api_port,
        s3_port=options.s3_port,
        subnet=settings.subnet(options.subnet) if options.subnet else None,
        images=options.images.resolve() if options.images else None,
        droplet_image=options.droplet_image,
    )
    control.up(wanted)
    print(
        f"DigitalOcean's API: {wanted.api}\n"
        f"object store:       {wanted.s3}\n"
        f"keys and addresses: {wanted.directory}/cloud.json"
    )
    return 0


def _on(cloud: Config, options: argparse.Namespace) -> int:
    from localcloud import control, daemon  # noqa: PLC0415 as above

    if options.command == "serve":
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        daemon.run(cloud)
    elif options.command == "down":
        control.down(cloud)
    elif options.command == "destroy":
        control.destroy(cloud)
    else:
        found = control.status(cloud)
        print(json.dumps(found, indent=1) if options.json else _table(found))
        return 0 if found["running"] else 1
    return 0


def _table(found: dict[str, object]) -> str:
    if not found["running"]:
        return "The local cloud is not running; what it holds is kept. Fix: python -m localcloud up"
    lines = [f"process {found['pid']}, API {found['api']}, object store {found['s3']}"]
    droplets = found["droplets"]
    rows = droplets if isinstance(droplets, list) else []
    lines += [
        f"{one['id']:>6}  {one['name']:<24} {one['size_slug']:<14} {one['status']:<7} {one['address']}" for one in rows
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description="A cloud on this machine")
    commands = parser.add_subparsers(dest="command", required=True)
    image = commands.add_parser("image", help="print the tag of an image that the cloud needs")
    image.add_argument("name", choices=settings.IMAGES, nargs="?", default="droplet")
    described = {
        "up": "start the daemon in the background; does nothing when it runs",
        "down": "stop the daemon and the droplets; everything is kept",
        "status": "show what runs",
        "destroy": "remove containers, volumes, networks, snapshots and state",
        "serve": "run the daemon in the foreground (what `up` starts)",
    }
    for name, text in described.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--dir", type=Path, required=True, help="where the cloud keeps its state")
        if name == "status":
            command.add_argument("--json", action="store_true", help="print JSON")
        if name == "up":
            _add_settings(command)
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    """What is not given stays as it was."""
    command.add_argument("--api-port", type=int, help=f"of the API on loopback ({settings.API_PORT})")
    command.add_argument("--s3-port", type=int, help=f"of the object store on loopback ({settings.S3_PORT})")
    command.add_argument("--subnet", help=f"range of the public addresses ({settings.SUBNET})")
    command.add_argument("--images", type=Path, help="folder of image archives that every droplet loads")
    command.add_argument("--droplet-image", help="image of droplets, in place of the one that `image` prints")


if __name__ == "__main__":
    sys.exit(main())
