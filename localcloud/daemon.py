"""Puts the parts of the local cloud together and runs them until it is told to stop."""

import fcntl
import json
import logging
import os
import secrets
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from cheroot.wsgi import Server

from localcloud import issuer, tls
from localcloud.cloud import Cloud
from localcloud.config import DNS_PORT, TLS_PORT, Config
from localcloud.engine import Engine
from localcloud.errors import CloudError
from localcloud.kinds import KINDS
from localcloud.nameserver import NameServer
from localcloud.objects import ObjectServer, ObjectStore, serve
from localcloud.store import Store, write_private
from localcloud.web import Api

LOG = logging.getLogger(__name__)
THREADS = 16


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises CloudError when something outside is not as needed."""
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    with ExitStack() as running:
        running.enter_context(hold(config.directory))
        start(config, running)
        LOG.info("ready: %s", config.api)
        stop.wait()
        LOG.info("stopping")


def start(config: Config, running: ExitStack) -> Cloud:
    """Start everything; `running` stops it. The cloud is ready when this returns."""
    engine = Engine(config.identity)
    engine.check()
    require_images(engine, config)
    engine.ensure_network(config.name("public"), config.subnet)
    authority, certificate, key = tls.ensure(config.directory, config.gateway)
    objects = ObjectStore(config.directory / "objects")
    running.callback(objects.close)
    for host, port, pair in (("127.0.0.1", config.s3_port, None), (str(config.gateway), TLS_PORT, (certificate, key))):
        running.callback(_listen(objects, host, port, pair).close)
    cloud = Cloud(config, Store(config.directory / "state.json"), engine, objects, KINDS)
    running.callback(cloud.close)
    cloud.recover()
    dns_port = _serve_names(cloud, running)
    token = _token(config.directory)
    api = Server(("127.0.0.1", config.api_port), _api(cloud, token), numthreads=THREADS, timeout=60)
    api.prepare()
    running.callback(api.stop)
    threading.Thread(target=api.serve, name="api", daemon=True).start()
    _publish(config, token, objects, authority, dns_port)
    return cloud


def hold(directory: Path) -> IO[str]:
    """Take a directory for this process. Raises CloudError if another daemon has it."""
    held = (directory / "daemon.lock").open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise CloudError(f"The local cloud in {directory} runs already.") from None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held


def holder(directory: Path) -> int | None:
    """Give the process id of the daemon that has a directory, if one runs."""
    path = directory / "daemon.lock"
    if not path.exists():
        return None
    with path.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(held.read() or 0) or None
    return None


def require_images(engine: Engine, config: Config) -> None:
    for tag in (config.image, config.service_image):
        if not engine.exists("image", tag):
            raise CloudError(f"The image {tag} is not there. Fix: make bootstrap")


def _api(cloud: Cloud, token: str) -> Api:
    return Api([kind.routes for kind in cloud.kinds], token, cloud.faults, cloud.enter)


def _listen(objects: ObjectStore, host: str, port: int, pair: tuple[Path, Path] | None) -> ObjectServer:
    try:
        return serve(objects, host, port, pair)
    except OSError as error:
        raise CloudError(f"Nothing can listen on {host}:{port}: {error}.") from None


def _serve_names(cloud: Cloud, running: ExitStack) -> int:
    """Answer for the account's domains, for droplets and for this machine's user; give the port to ask at.

    The well-known one needs root, and may be taken; droplets reach the other one under its number.
    """
    host = str(cloud.config.gateway)
    try:
        running.callback(NameServer(cloud.zones, host, DNS_PORT).close)
    except OSError as error:
        raise CloudError(f"Nothing can listen on {host}:{DNS_PORT}: {error}.") from None
    try:
        running.callback(NameServer(cloud.zones, host, 53).close)
    except OSError as error:
        LOG.info("names are answered on %s:%s only: 53: %s", host, DNS_PORT, error)
        return DNS_PORT
    return 53


def _token(directory: Path) -> str:
    """Give the API's token, made once."""
    path = directory / "token"
    if not path.exists():
        write_private(path, f"dop_v1_{secrets.token_hex(32)}")
    return path.read_text()


def _publish(config: Config, token: str, objects: ObjectStore, authority: Path, dns_port: int) -> None:
    """Write cloud.json: where the cloud is and the keys to it. Only its owner can read it."""
    about = {
        "api": config.api,
        "s3": config.s3,
        "tls": f"https://{config.gateway}:{TLS_PORT}",
        "token": token,
        "spaces_access_key": objects.spaces_admin.access_key,
        "spaces_secret_key": objects.spaces_admin.secret_key,
        "aws_access_key": objects.aws_admin.access_key,
        "aws_secret_key": objects.aws_admin.secret_key,
        "subnet": str(config.subnet),
        "gateway": str(config.gateway),
        "pid": os.getpid(),
        "ca_cert": str(authority),
        "web_ca_cert": str(issuer.ensure(config.directory)[0]),
        "dns": f"{config.gateway}:{dns_port}",
    }
    write_private(config.directory / "cloud.json", json.dumps(about, indent=1))
