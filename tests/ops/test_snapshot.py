"""`tts snapshot`: an image is complete before an older one goes, and only images of the stack are touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Fakes, Tts

    from tests.ops.provider import Provider


@pytest.fixture
def cloud(deployed: Fakes, provider: Provider) -> Provider:
    provider.droplets[1] = {"id": 1, "name": "web-1-a1", "status": "active"}
    provider.snapshots = [
        provider.image(10, "tts-prod-web-1-manual-20261001T000000Z", "2026-10-01T00:00:00Z"),
        provider.image(11, "tts-prod-web-1-manual-20261101T000000Z", "2026-11-01T00:00:00Z"),
        provider.image(12, "tts-other-web-1-manual-20261101T000000Z", "2026-11-01T00:00:00Z"),
    ]
    provider.backups = [{**provider.image(20, "web-1 2026-11-22"), "id": 20}]
    return provider


def test_an_image_is_waited_for(cloud: Provider, tts: Tts) -> None:
    done = tts("snapshot", "before-upgrade")

    assert done.code == 0, done.stderr
    assert "tts-prod-web-1-before-upgrade-2" in done.stdout
    assert cloud.polls == 1
    assert cloud.changes() == ["POST /v2/droplets/1/actions"]


def test_older_ones_go_only_after_the_new_one_is_complete(cloud: Provider, tts: Tts) -> None:
    done = tts("snapshot", "--keep", "2")

    assert done.code == 0, done.stderr
    assert cloud.changes() == ["POST /v2/droplets/1/actions", "DELETE /v2/images/10"]


def test_a_failed_image_deletes_nothing(cloud: Provider, tts: Tts) -> None:
    cloud.failing = True

    done = tts("snapshot", "--keep", "1")

    assert done.code == 1
    assert "did not complete" in done.stderr
    assert cloud.changes() == ["POST /v2/droplets/1/actions"]


def test_both_sorts_are_listed_and_no_image_of_another_stack(cloud: Provider, tts: Tts) -> None:
    images = tts("snapshot", "--list", "--json").json["images"]

    assert [(image["id"], image["type"]) for image in images] == [(11, "snapshot"), (10, "snapshot"), (20, "backup")]
    assert "schedule" in tts("snapshot", "--list").stdout


@pytest.mark.parametrize("number", [10, 20])
def test_an_image_of_either_sort_is_deleted_after_a_yes(cloud: Provider, tts: Tts, number: int) -> None:
    assert tts("snapshot", "--delete", str(number)).code == 2
    assert cloud.changes() == []

    assert tts("snapshot", "--delete", str(number), "--yes").code == 0
    assert cloud.changes() == [f"DELETE /v2/images/{number}"]


def test_an_image_of_another_stack_is_not_deleted(cloud: Provider, tts: Tts) -> None:
    done = tts("snapshot", "--delete", "12", "--yes")

    assert done.code == 2
    assert cloud.changes() == []


def test_a_name_that_is_none_is_refused(cloud: Provider, tts: Tts) -> None:
    assert tts("snapshot", "a b").code == 2
    assert cloud.calls == []


def test_a_busy_api_is_asked_again_and_a_missing_token_is_named(
    cloud: Provider, tts: Tts, monkeypatch: pytest.MonkeyPatch, deployed: Fakes
) -> None:
    cloud.busy = 1
    assert tts("snapshot", "--list").code == 0

    monkeypatch.delenv("DIGITALOCEAN_TOKEN")
    deployed.answer("pulumi", "config get digitalocean:token", stderr="error: not found", code=1)
    done = tts("snapshot", "--list")
    assert done.code == 78
    assert "DIGITALOCEAN_TOKEN" in done.stderr
