"""The program's graph, made once per variant."""

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from phases import Rung
from tests.graph import climbs
from tests.graph.engine import Graph, run
from tests.unit.config import StackConfig, stack_config, write_app


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graph")


@pytest.fixture(autouse=True)
def _scratch_folder(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_LOCAL_DIR", str(scratch / "local"))


@pytest.fixture(autouse=True)
def _further_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of a rung is looked at before anybody may deploy it."""
    monkeypatch.setattr("phases.built", lambda: tuple(each for each in Rung if each is not Rung.CLUSTER))


@pytest.fixture(scope="session")
def sound(scratch: Path) -> StackConfig:
    """The configuration that all tests start from; not to be changed."""
    return stack_config("prod", write_app(scratch / "app"))


@pytest.fixture
def config(sound: StackConfig) -> StackConfig:
    return copy.deepcopy(sound)


@pytest.fixture(scope="session")
def graph(sound: StackConfig, scratch: Path) -> Graph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTS_LOCAL_DIR", str(scratch / "local"))
        return run(sound)


@pytest.fixture(scope="session")
def climb(sound: StackConfig, scratch: Path) -> dict[str, Graph]:
    """The graphs of a stack with a zone on every rung, each as it is after a step from the rung below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTS_LOCAL_DIR", str(scratch / "local"))
        patch.setattr("phases.built", lambda: climbs.CHAIN)
        first = {"single": climbs.on(sound, "single", **climbs.ZONE)}
        steps = pairwise(climbs.CHAIN)
        return first | {high: climbs.on(sound, high, climbs.before(low), **climbs.ZONE) for low, high in steps}


@pytest.fixture
def balanced(climb: dict[str, Graph]) -> Graph:
    return climb["balanced"]


@pytest.fixture(scope="session", params=[{}, {"aws": False}, {"spaces": False}], ids=["both", "no aws", "no spaces"])
def graph_of_vaults(request: pytest.FixtureRequest, sound: StackConfig, scratch: Path) -> Graph:
    """The graph with both vaults, and with one of them turned off."""
    config = copy.deepcopy(sound)
    config.values |= request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTS_LOCAL_DIR", str(scratch / "local"))
        return run(config)


@pytest.fixture
def variant(config: StackConfig) -> Callable[..., Graph]:
    """The graph with some keys set otherwise."""

    def make(**changes: object) -> Graph:
        config.values |= changes
        return run(config)

    return make
