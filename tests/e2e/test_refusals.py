"""What would destroy data fails in preview, by the program, the engine or the gate, each with its reason."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.attempts import UNFIXED, UNPROTECTED, Attempt, inputs, previewed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.platform import Platform

pytestmark = pytest.mark.e2e


@pytest.fixture
def attempt(platform: Platform, tmp_path: Path) -> Any:
    return partial(previewed, platform, tmp_path)


def test_the_program_as_it_is_destroys_nothing(attempt: Any) -> None:
    assert attempt() == Attempt(0, [], "")


@pytest.mark.parametrize(
    "mutation",
    [
        'from components import host; host.IMAGE = "debian-12-x64"',
        'from components import host; host.cloud_config = lambda *_: "#cloud-config\\n{}\\n"',
    ],
    ids=["image", "user data"],
)
def test_a_changed_image_or_first_boot_replaces_no_droplet(mutation: str, attempt: Any) -> None:
    assert attempt(mutation) == Attempt(0, [], "")


@pytest.mark.parametrize(
    ("key", "value", "loss"),
    [
        ("region", "ams3", "droplets, VPC, reserved IP and database cluster would be replaced"),
        ("vpcRange", "10.99.0.0/20", "the VPC would be replaced"),
        ("bucketSuffix", "another1", "the buckets of backups and media would be left behind"),
        ("sshPublicKey", f"ssh-ed25519 {'A' * 68} somebody", "nobody could reach them"),
    ],
)
def test_a_fixed_key_is_refused_by_the_program_with_what_would_be_lost(
    key: str, value: str, loss: str, attempt: Any
) -> None:
    refused = attempt(**{key: value})
    assert refused.code == 1
    assert f"{key} = " in refused.errors
    assert loss in refused.errors


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"region": "ams3", "spacesRegion": "ams3"}, "vpc"),
        ({"vpcRange": "10.99.0.0/20"}, "vpc"),
        ({"bucketSuffix": "another1"}, "aws"),
    ],
    ids=["region", "VPC", "bucket name"],
)
def test_a_program_that_forgets_the_fixed_keys_is_refused_by_the_engine(
    keys: dict[str, str], name: str, attempt: Any
) -> None:
    refused = attempt(UNFIXED, **keys)
    assert refused.refused(name)


def test_another_name_for_a_bucket_that_the_provider_would_lose_is_refused_by_the_engine(attempt: Any) -> None:
    assert attempt(inputs("SpacesBucket", name="another-bucket")).refused("spaces")


def test_protection_that_goes_with_the_replacement_passes_the_engine_and_not_the_gate(attempt: Any) -> None:
    lost = attempt(f"{UNFIXED}; {UNPROTECTED}", vpcRange="10.99.0.0/20")
    assert (lost.code, lost.errors) == (3, "")
    assert {"vpc", "web-1", "entry"} <= lost.names
    (vpc,) = [loss for loss in lost.losses if loss["urn"].endswith("::vpc")]
    assert vpc["what"] == "replaced"
    assert "ipRange" in vpc["why"]


def test_protection_that_goes_alone_is_seen_too(attempt: Any) -> None:
    lost = attempt(UNPROTECTED)
    assert lost.code == 3
    assert {loss["what"] for loss in lost.losses} == {"no longer protected"}


def test_a_host_that_is_no_longer_declared_is_refused(attempt: Any) -> None:
    refused = attempt(
        "from components import host; host.IMAGE, name = host.IMAGE, 'web-9'; import hosts; "
        "made = hosts.WebHost; hosts.WebHost = lambda name, args: made('web-9', args)"
    )
    assert refused.code != 0
    assert "web-1" in refused.names or "::web-1" in refused.errors
