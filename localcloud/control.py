"""Starts, stops, shows and removes the local cloud of a directory."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud.config import Config, load
from localcloud.daemon import holder, require_images
from localcloud.engine import RESOURCES, Engine
from localcloud.errors import CloudError

START_SECONDS = 120
STOP_SECONDS = 120
LOG_LINES = 15


def up(config: Config) -> None:
    """Start the daemon in the background and wait until it answers. A daemon that runs is left alone."""
    directory = config.directory
    if holder(directory):
        _refuse_other_settings(config)
        _call(config, "POST", "/_localcloud/images")
        return
    engine = Engine(config.identity)
    engine.check()
    require_images(engine, config)
    for port, flag in ((config.api_port, "--api-port"), (config.s3_port, "--s3-port")):
        check_port(port, flag)
    config.save()
    log = directory / "daemon.log"
    with log.open("a") as file:
        position = file.tell()
        command = [sys.executable, "-P", "-m", "localcloud", "serve", "--dir", str(directory)]
        here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, env=here
        )
    answers = _wait(lambda: daemon.poll() is not None or _answers(config), START_SECONDS)
    if daemon.poll() is not None or not answers:
        end = log.read_text()[position:].splitlines()[-LOG_LINES:]
        raise CloudError("\n".join(["The local cloud did not start.", *end, f"All of it: {log}"]))


def down(config: Config) -> None:
    """Stop the daemon and the droplets; everything is kept."""
    _stop_daemon(config.directory)
    engine = Engine(config.identity)
    running = engine.run("ps", "--quiet", "--filter", f"label={engine.label}").split()
    if running:
        engine.run("stop", "--time", "20", *running, timeout=STOP_SECONDS)


def destroy(config: Config) -> None:
    """Remove all that this cloud has made: containers, volumes, networks, snapshots, and its directory."""
    _stop_daemon(config.directory)
    engine = Engine(config.identity)
    engine.check()
    for kind in RESOURCES:
        engine.remove(kind, *engine.owned(kind))
    shutil.rmtree(config.directory)


def status(config: Config) -> dict[str, Any]:
    """Give what runs. Without a daemon there are no droplets to show."""
    pid = holder(config.directory)
    found: dict[str, Any] = {"running": pid is not None, "pid": pid, "api": config.api, "s3": config.s3, "droplets": []}
    if pid:
        for droplet in _call(config, "GET", "/v2/droplets?per_page=200")["droplets"]:
            address = next((one["ip_address"] for one in droplet["networks"]["v4"] if one["type"] == "public"), None)
            about = {key: droplet[key] for key in ("id", "name", "status", "size_slug")}
            found["droplets"].append({**about, "address": address})
    return found


def check_port(port: int, flag: str) -> None:
    """Raise CloudError if a loopback port is taken; say by whom, where this machine tells."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CloudError(
                f"Port {port} of 127.0.0.1 is taken{_listener(port)}."
                f" Fix: end that program, or choose another port with {flag}."
            ) from None


def _listener(port: int) -> str:
    try:
        listed = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError:
        return ""
    found = re.search(r'\(\("([^"]+)",pid=(\d+)', listed)
    return f" by {found[1]} (process {found[2]})" if found else ""


def _refuse_other_settings(config: Config) -> None:
    before = load(config.directory)
    if before and before != config:
        raise CloudError(
            f"The local cloud in {config.directory} runs with other settings"
            f" ({before.api}, {before.s3}, {before.subnet})."
            f" Fix: python -m localcloud down --dir {config.directory}, then up."
        )


def _call(config: Config, method: str, path: str) -> dict[str, Any]:
    token = (config.directory / "token").read_text()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(config.api + path, method=method, headers=headers)  # noqa: S310 loopback, http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        return json.loads(response.read())


def _answers(config: Config) -> bool:
    try:
        _call(config, "GET", "/v2/account")
    except (OSError, urllib.error.URLError):
        return False
    return True


def _stop_daemon(directory: Path) -> None:
    pid = holder(directory)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    if not _wait(lambda: holder(directory) is None, STOP_SECONDS):
        raise CloudError(f"The daemon (process {pid}) did not stop within {STOP_SECONDS} s: see {directory}/daemon.log")


def _wait(ready: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.1)
    return False
