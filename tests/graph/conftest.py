"""The program's graph, made once per variant."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.graph.engine import Graph, run
from tests.unit.config import StackConfig, stack_config, write_app


@pytest.fixture(autouse=True)
def _scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_LOCAL_DIR", str(tmp_path / "local"))


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    return stack_config("prod", write_app(tmp_path / "app"))


@pytest.fixture
def graph(config: StackConfig) -> Graph:
    return run(config)


@pytest.fixture
def variant(config: StackConfig) -> Callable[..., Graph]:
    """The graph with some keys set otherwise."""

    def make(**changes: object) -> Graph:
        config.values |= changes
        return run(config)

    return make
