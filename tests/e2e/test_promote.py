"""`prod` on one host and `scaled` behind a balancer: one takes the other's place, and gives it back, with every row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.fleet import Fleet
from tests.e2e.platform import REPOSITORY
from tests.e2e.traffic import writing
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.platform import Platform
    from tests.e2e.traffic import Writer

pytestmark = pytest.mark.rehearsal

ZONE = "shop.example"
TICKETS = 200


def deployed(platform: Platform, stack: str, **keys: str) -> Fleet:
    """`make up STACK=...`, with the stack file as it is tracked and these keys added by hand."""
    fleet = Fleet(platform.local, stack)
    named = {f"tts:{key}": value for key, value in {"domain": ZONE, "dnsZone": ZONE, **keys}.items()}
    (platform.local / f"project/Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": named}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "toolchain.local", "up", "--stack", stack],
        cwd=REPOSITORY,
        env={**os.environ, "TTS_LOCAL_DIR": str(platform.local)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return fleet


@pytest.fixture(scope="module")
def prod(platform: Platform) -> Fleet:
    """The stack that serves, on the rung `single`."""
    Fleet(platform.local, "prod").make_zone(ZONE)
    fleet = deployed(platform, "prod")
    assert fleet.outputs()["rung"] == "single"
    fleet.seed(TICKETS)
    fleet.settled()
    return fleet


@pytest.fixture(scope="module")
def scaled(platform: Platform, prod: Fleet) -> Fleet:
    """The stack that is to serve, on the rung `balanced`; the record is not its own."""
    fleet = deployed(platform, "scaled", ownsEntry="false")
    assert fleet.outputs()["rung"] == "balanced"
    return fleet


@pytest.fixture
def serves(prod: Fleet) -> Callable[[Fleet, Fleet, Writer], None]:
    """Says that one stack alone serves, and that it has every ticket that either of them acknowledged."""

    def check(serving: Fleet, quiet: Fleet, writer: Writer) -> None:
        assert writer.acknowledged.keys() - serving.tickets() == set()
        (record,) = [
            each for each in prod.api("GET", f"/v2/domains/{ZONE}/records")["domain_records"] if each["type"] == "A"
        ]
        assert record["data"] == serving.outputs()["entry"]["address"]
        assert (serving.owns_record(), quiet.owns_record()) == (True, False)
        assert not any("nginx" in name or "worker" in name for name in quiet.containers("web-1"))
        serving.pulumi("preview", "--expect-no-changes")
        serving.wait_until_healthy()
        serving.tts("verify")

    return check


def test_scaled_takes_the_place_of_prod_though_it_is_killed_on_the_way(
    prod: Fleet, scaled: Fleet, serves: Callable[[Fleet, Fleet, Writer], None]
) -> None:
    rows, files = prod.lasting_rows(), prod.attachments()
    assert files
    switch = ("promote", "--from", "prod", "--to", "scaled", "--yes")
    with writing(prod.site()) as writer:
        wait_for(lambda: len(writer.acknowledged) > 5, "the first tickets")
        prod.kill_tts_when(lambda: "databases" in prod.steps("promote-prod-scaled"), *switch)
        report = json.loads(prod.tts(*switch, "--json"))
    print(f"nobody was served for {report['stopped']:.0f} s")
    assert rows - scaled.row_hashes() == set()
    assert files.items() <= scaled.attachments().items()
    serves(scaled, prod, writer)


def test_prod_takes_it_back_with_all_that_was_written_since(
    prod: Fleet, scaled: Fleet, serves: Callable[[Fleet, Fleet, Writer], None]
) -> None:
    rows, files = scaled.lasting_rows(), scaled.attachments()
    with writing(scaled.site()) as writer:
        wait_for(lambda: len(writer.acknowledged) > 5, "the first tickets")
        prod.tts("promote", "--from", "prod", "--to", "scaled", "--back", "--yes")
    assert rows - prod.row_hashes() == set()
    assert files.items() <= prod.attachments().items()
    serves(prod, scaled, writer)
