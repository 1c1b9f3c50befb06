"""The object store that tests share which do not restart it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.localcloud.objects_support import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    running = Store(tmp_path_factory.mktemp("objects") / "state").start()
    yield running
    running.kill()
