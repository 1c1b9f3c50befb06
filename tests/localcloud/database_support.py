"""Nodes of managed databases without a container: what runs, what each server would say, what it was told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.kinds import database_care, database_files
from localcloud.node import Node
from tests.localcloud.api_support import FakeEngine, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLUSTER: dict[str, Any] = {
    "name": "pgc", "engine": "pg", "version": "15", "size": "db-s-1vcpu-2gb", "region": "fra1", "num_nodes": 3,
    "private_network_uuid": "", "project_id": "", "rules": None, "tags": ["db"],
}  # fmt: skip


@dataclass(frozen=True)
class Servers(FakeEngine):
    """Docker with nodes in it. `positions` is how far each standby is; `cut` are those that do not follow."""

    positions: dict[int, str] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    told: list[tuple[int, str]] = field(default_factory=list)
    hung: set[int] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout: float = 120, given: str = "") -> str:
        done = super().run(*arguments, timeout=timeout)
        if arguments[0] == "exec" and "psql" in arguments:
            number = int(next(one for one in arguments if "-database-" in one).rpartition("-")[2])
            self.told.append((number, given))
            return self._say(number, given)
        return done

    def _say(self, number: int, given: str) -> str:
        if given == database_care.FOLLOWERS:
            return "\n".join(f"node{one}" for one in self.numbers() if one not in {number, *self.cut, *self.hung})
        if "pg_last_wal_receive_lsn" in given:
            return self.positions.get(number, "0/1")
        if "pg_current_wal_flush_lsn" in given:
            return "\n0/1"
        if "flush_lsn >=" in given:
            return "1"
        return next((answer for word, answer in self.answers.items() if word in given), "")

    def numbers(self) -> list[int]:
        """Give the nodes that run."""
        return sorted(int(found[1]) for name in self.up if (found := re.search(r"-database-.*-(\d+)$", name)))


@dataclass
class Managed:
    """A service with one cluster, whose care is taken by hand."""

    service: Service
    servers: Servers
    id: str = ""

    @property
    def path(self) -> str:
        return f"/v2/databases/{self.id}"

    @property
    def record(self) -> dict[str, Any]:
        with self.service.cloud.store.transaction():
            return dict(self.service.cloud.one("databases", self.id))

    def make(self, **fields: Any) -> dict[str, Any]:
        made = self.service.call("POST", "/v2/databases", {**CLUSTER, **fields})["database"]
        self.id = made["id"]
        return made

    def tend(self, times: int = 6) -> None:
        for _ in range(times):
            database_care.tend(self.service.cloud, self.id)

    def online(self, **fields: Any) -> None:
        self.make(**fields)
        self.tend()
        assert self.shown["status"] == "online"

    @property
    def shown(self) -> dict[str, Any]:
        return self.service.call("GET", self.path)["database"]

    def file(self, number: int, name: str) -> str:
        return (self.service.config.directory / "databases" / self.id / str(number) / name).read_text()

    def kill(self, number: int) -> None:
        self.servers.up.discard(database_files.node_of(self.service.cloud, self.id, number).name)


def manage(directory: Path, *, by_hand: bool = True) -> Iterator[Managed]:
    """Give a cloud; `by_hand`, its clusters are looked after by nobody but the test."""
    servers = Servers("test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "answers", lambda node, *_: node.name in servers.up and node.number not in servers.hung)
        if by_hand:
            patch.setattr(database_care, "tend_all", lambda _cloud: None)
            patch.setattr(database_care, "tend_later", lambda *_: None)
        service = Service(directory, servers)
        try:
            yield Managed(service, servers)
        finally:
            service.close()
