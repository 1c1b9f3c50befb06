"""Physical names and the monthly estimate."""

import pytest

import naming
import pricing


def test_a_bucket_is_named_after_project_stack_vault_and_suffix() -> None:
    assert naming.bucket("tts", "prod", "aws", "x7k2") == "tts-prod-backup-aws-x7k2"


def test_two_stacks_and_two_vaults_never_share_a_bucket() -> None:
    names = {naming.bucket("tts", stack, vault, "x") for stack in ("prod", "scaled") for vault in ("aws", "spaces")}
    assert len(names) == 4


@pytest.mark.parametrize("name", ["a" * 63, "tts-prod-backup-aws-0", "abc"])
def test_a_legal_bucket_name_passes(name: str) -> None:
    assert naming.bucket_problem(name) is None


@pytest.mark.parametrize("name", ["a" * 64, "ab", "Tts-prod", "tts.prod", "-tts", "tts-", "tts_prod", ""])
def test_an_illegal_bucket_name_is_refused(name: str) -> None:
    assert naming.bucket_problem(name) is not None


def test_repositories_have_the_addresses_that_restic_takes() -> None:
    assert naming.s3_repository("us-east-1", "b") == "s3:https://s3.us-east-1.amazonaws.com/b/restic"
    assert naming.spaces_repository("fra1", "b") == "s3:https://fra1.digitaloceanspaces.com/b/restic"


def test_every_price_has_a_source_and_a_date() -> None:
    plans = [plan.price for plan in pricing.DATABASES.values()]
    for price in (*pricing.DROPLETS.values(), *plans, pricing.BALANCER, pricing.SPACES):
        assert price.usd > 0
        assert price.source
        assert price.date[:2] == "20"


def test_the_estimate_adds_droplet_backups_and_spaces_and_dates_itself_by_the_oldest_price() -> None:
    found = pricing.estimate(pricing.Bill(imaged=(("web-1", "s-2vcpu-4gb"),), spaces=True))
    assert [(item.item, item.usd) for item in found.items] == [
        ("droplet web-1 (s-2vcpu-4gb)", 24.0),
        ("weekly backups of web-1", 4.8),
        ("Spaces, one base for all buckets", 5.0),
    ]
    assert found.total == 33.8
    assert found.price_date == "2026-09-07"


def test_everything_that_the_upper_rungs_add_is_in_the_estimate() -> None:
    bill = pricing.Bill(
        imaged=(("web-1", "s-4vcpu-8gb"),),
        plain=(("web-2", "s-4vcpu-8gb"), ("broker", "s-1vcpu-2gb")),
        database="db-s-1vcpu-2gb",
        nodes=3,
        balancer=True,
        spaces=True,
    )
    assert pricing.estimate(bill).total == 48 * 1.2 + 48 + 12 + 3 * 30.45 + 12 + 5


def test_without_spaces_the_estimate_has_no_spaces() -> None:
    assert pricing.estimate(pricing.Bill(imaged=(("web-1", "s-2vcpu-4gb"),))).total == 28.8


def test_a_size_without_a_price_is_an_error() -> None:
    with pytest.raises(KeyError):
        pricing.estimate(pricing.Bill(imaged=(("web-1", "s-9vcpu"),)))
