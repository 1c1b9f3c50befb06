"""The end of every story: what `pulumi destroy` takes along, and what it must leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.platform import Platform

pytestmark = pytest.mark.e2e


def test_destroy_refuses_what_holds_state_and_leaves_the_buckets(platform: Platform) -> None:
    vaults = platform.outputs()["backup"]["offsite"]
    assert "protect" in platform.pulumi_fails("destroy", "--yes", "--skip-preview")
    platform.pulumi("destroy", "--yes", "--skip-preview", "--exclude-protected")
    assert platform.buckets() >= {vault["bucket"] for vault in vaults}
    for vault in vaults:
        kinds = {
            tag for snapshot in platform.restic_snapshots(vault) for tag in snapshot["tags"] if tag.startswith("kind=")
        }
        assert kinds == {"kind=databases", "kind=media", "kind=config"}, f"what plain restic finds in {vault['name']}"
