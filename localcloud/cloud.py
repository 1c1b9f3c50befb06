"""The cloud as the kinds see it: its records, its Docker, its object store, and work that goes on after an answer."""

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from localcloud.config import Config
from localcloud.engine import Engine
from localcloud.store import Record, Store
from localcloud.web import ApiError, Call, Faults, Handler, Routes
from localcloud.zones import Zones

LOG = logging.getLogger(__name__)
WORKERS = 8


class Objects(Protocol):
    """What the API needs of the object store."""

    def create_spaces_key(self, name: str, grants: list[dict[str, str]]) -> dict[str, str]: ...
    def update_spaces_key(self, access_key: str, name: str, grants: list[dict[str, str]]) -> None: ...
    def delete_spaces_key(self, access_key: str) -> None: ...
    def buckets(self, account: str) -> Any: ...


@dataclass(frozen=True)
class Kind:
    """A kind of resource, complete: what the router, tags, projects and the daemon need to know of it.

    `records` is the name of its records in the store, `resource` its name in URNs (do:RESOURCE:ID), `plural` that in
    tags; `reconcile` brings the world to what the records say, after each write and at the start; `recover` runs at
    the start only. `hosts` gives the host names of its resources with their addresses.
    """

    routes: Routes
    records: str = ""
    resource: str = ""
    plural: str = ""
    reconcile: Callable[["Cloud"], None] | None = None
    recover: Callable[["Cloud"], None] | None = None
    hosts: Callable[["Cloud"], dict[str, str]] | None = None


class Cloud:
    """One running cloud. Handlers run inside a transaction, one at a time; long work goes to `later`."""

    def __init__(self, config: Config, store: Store, engine: Engine, objects: Objects, kinds: Iterable[Kind]) -> None:
        self.config = config
        self.store = store
        self.engine = engine
        self.objects = objects
        self.kinds = tuple(kinds)
        self.faults = Faults()
        self.zones = Zones()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="work")
        self._closing = threading.Event()
        self._regular: list[threading.Thread] = []
        self._reconciling = threading.Lock()

    def enter(self, method: str, handler: Handler, call: Call, parts: dict[str, Any]) -> Any:
        """Run a handler; after a write, bring the world to the new records before the caller hears of it."""
        with self.store.transaction():
            body = handler(self, call, **parts)
        if method != "GET":
            self.reconcile()
        return body

    def reconcile(self) -> None:
        with self._reconciling:
            for kind in self.kinds:
                if kind.reconcile:
                    kind.reconcile(self)

    def recover(self) -> None:
        """Take up what an earlier run of the daemon left."""
        for kind in self.kinds:
            if kind.recover:
                kind.recover(self)
        self.reconcile()

    def later(self, work: Callable[[], None]) -> None:
        """Do something after the answer, outside of any transaction; what it raises is logged."""

        def run() -> None:
            try:
                work()
            except Exception:
                LOG.exception("work in the background failed")

        self._workers.submit(run)

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something again and again until the cloud is closed; what it raises is logged."""

        def run() -> None:
            while not self._closing.wait(seconds):
                try:
                    work()
                except Exception:
                    LOG.exception("regular work failed")

        self._regular.append(threading.Thread(target=run, name="regular", daemon=True))
        self._regular[-1].start()

    def close(self) -> None:
        """Let work that has begun come to its end; what waits is taken up by the next start."""
        self._closing.set()
        for thread in self._regular:
            thread.join()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def records(self, kind: str) -> list[Record]:
        return list(self.store.kind(kind).values())

    def one(self, kind: str, identity: object) -> Record:
        """Give a record, or raise 404."""
        try:
            return self.store.kind(kind)[str(identity)]
        except KeyError:
            raise ApiError(404) from None


def now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
