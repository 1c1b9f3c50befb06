"""One stack takes another's place, and gives it back, with every row: two of one host each exchange their reserved
IPs, and `prod` on one host with `scaled` behind a balancer, which hand over the record of their domain.
"""

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
    file = platform.local / f"project/Pulumi.{stack}.yaml"
    document = yaml.safe_load(file.read_text()) if file.exists() else {"config": {}}
    document["config"] |= {f"tts:{key}": value for key, value in keys.items()}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
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


def held(fleet: Fleet) -> bool:
    return not any("nginx" in name or "worker" in name for name in fleet.containers("web-1"))


def test_the_address_that_the_world_knows_comes_along_and_goes_back(platform: Platform) -> None:
    """`local` and `prod` have no domain: who knows the address of the one is served by the other, and never knows."""
    here, there = Fleet(platform.local, "local"), deployed(platform, "prod")
    here.seed(TICKETS)
    here.settled()
    known, spare = (fleet.outputs()["entry"]["address"] for fleet in (here, there))
    protected = here.protected(), there.protected()

    def check(serving: Fleet, quiet: Fleet, writer: Writer) -> None:
        assert [each.outputs()["entry"]["address"] for each in (serving, quiet)] == [known, spare]
        assert held(quiet)
        for fleet, address in ((serving, known), (quiet, spare)):
            holder = fleet.api("GET", f"/v2/reserved_ips/{address}")["reserved_ip"]["droplet"]
            assert holder["id"] == fleet.droplet("web-1")["id"]
            fleet.pulumi("preview", "--refresh", "--expect-no-changes")
        assert (here.protected(), there.protected()) == protected
        assert writer.acknowledged.keys() - serving.tickets() == set()
        assert rows - serving.row_hashes() == set()
        assert files.items() <= serving.attachments().items()
        serving.wait_until_healthy()

    switch = ("promote", "--from", "local", "--to", "prod", "--yes")
    rows, files = here.lasting_rows(), here.attachments()
    assert files
    with writing(here.site()) as writer:
        wait_for(lambda: len(writer.acknowledged) > 5, "the first tickets")
        here.kill_tts_when(lambda: "entry" in here.steps("promote-local-prod"), "the exchange", *switch)
        here.tts(*switch)
        before = len(writer.acknowledged)
        wait_for(lambda: len(writer.acknowledged) > before + 5, "tickets under the same address")
    check(there, here, writer)
    rows, files = there.lasting_rows(), there.attachments()
    with writing(there.site()) as writer:
        there.tts(*switch, "--back")
        wait_for(lambda: len(writer.acknowledged) > 5, "tickets under the same address")
    check(here, there, writer)
    there.host("web-1", "tts-hold off")


@pytest.fixture(scope="module")
def prod(platform: Platform) -> Fleet:
    """The stack that serves, on the rung `single`."""
    Fleet(platform.local, "prod").make_zone(ZONE)
    fleet = deployed(platform, "prod", domain=ZONE, dnsZone=ZONE)
    assert fleet.outputs()["rung"] == "single"
    fleet.seed(TICKETS)
    fleet.settled()
    return fleet


@pytest.fixture(scope="module")
def scaled(platform: Platform, prod: Fleet) -> Fleet:
    """The stack that is to serve, on the rung `balanced`; the record is not its own."""
    fleet = deployed(platform, "scaled", domain=ZONE, dnsZone=ZONE, ownsEntry="false")
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
        assert held(quiet)
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
        prod.kill_tts_when(lambda: "databases" in prod.steps("promote-prod-scaled"), "the restore", *switch)
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
