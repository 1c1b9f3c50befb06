"""Single files of the media, and the configuration, brought back in place: whole or not at all, with a way back."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.scripts.hosts import wait_for

pytestmark = pytest.mark.docker  # seconds each, for real programs


@pytest.fixture
def kept(bare_host):
    """A host with a backup of its media and its configuration."""
    bare_host.write(TTS_OFFSITE="spaces")
    folder = media(bare_host) / "2026" / "a b[1]"
    folder.mkdir(parents=True)
    folder.chmod(0o750)
    (folder / "x*.pdf").write_bytes(b"right")
    for kind in ("media", "config"):
        done = bare_host.run("backup", kind)
        assert done.returncode == 0, done.stderr
    return bare_host


def media(host):
    return host.root / "volumes" / "shop_media_files" / "_data"


def restore(host, *words, code=0):
    done = host.run("restore", *words, "--yes", "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_file_and_one_folder_of_the_media_come_back_and_the_others_stay(kept):
    root = media(kept)
    before = tree(root)
    (root / "2026" / "a b[1]" / "x*.pdf").write_bytes(b"wrong")
    (root / "new.bin").write_bytes(b"since")
    for number in range(3):
        (root / "tickets" / f"attachment {number}.bin").unlink()
    changed = tree(root)
    result = restore(kept, "media", "2026/a b[1]/x*.pdf", "tickets", "--repository", "spaces")
    assert tree(root) == {**before, "new.bin": b"since"}
    assert len(result["kept"]) == 1
    assert not any(call.startswith("stop") for call in kept.docker_calls()), "a rename needs no stop"
    restore(kept, "undo", "--media")
    assert tree(root) == changed


def test_a_folder_that_is_gone_comes_back_with_its_parents_and_goes_again_by_an_undo(kept):
    root = media(kept)
    before = tree(root)
    (root / "2026" / "a b[1]" / "x*.pdf").unlink()
    (root / "2026" / "a b[1]").rmdir()
    restore(kept, "media", "2026/a b[1]")
    assert tree(root) == before
    assert (root / "2026" / "a b[1]").stat().st_mode & 0o777 == 0o750
    restore(kept, "undo", "--media")
    assert not (root / "2026" / "a b[1]").exists()
    restore(kept, "drop-old", "--media")
    assert [path.name for path in root.parent.iterdir()] == ["_data"]


@pytest.mark.parametrize("name", ["../app.env", "nothing/here", "out/x"])
def test_fault_43_a_path_that_is_not_there_or_leads_out_is_refused(kept, name):
    root = media(kept)
    (root / "out").symlink_to(kept.root / "app")
    before = tree(root), tree(kept.root / "app")
    assert restore(kept, "media", name, code=1)["error"]
    assert (tree(root), tree(kept.root / "app")) == before
    assert [path.name for path in root.parent.iterdir()] == ["_data"]


def test_fault_44_a_restore_of_media_killed_half_way_leaves_the_live_ones_and_the_next_clears_the_rest(kept):
    root = media(kept)
    (root / "2026" / "a b[1]" / "x*.pdf").write_bytes(b"live")
    live = tree(root)
    gate = kept.root / "gate"
    kept.fake("restic", f'[[ $1 == restore ]] && {{ "$REAL" "$@"; touch {gate}; exec sleep 300; }}; exec "$REAL" "$@"')
    for words in (("media",), ("media", "tickets")):
        run = kept.start("restore", *words, "--yes")
        wait_for(gate.exists, 180)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        wait_for(kept.lock_is_free)
        gate.unlink()
        assert tree(root) == live
    kept.unfake()
    restore(kept, "media", "2026")
    assert sorted(path.name.split(".")[1][:5] for path in root.parent.iterdir() if path != root) == ["part_"]


def test_the_configuration_that_differs_comes_back_and_can_be_taken_back(kept):
    env, extra = kept.root / "app.env", kept.root / "app" / "extra.yaml"
    env.chmod(0o640)
    right = (kept.root / "app" / "compose.yaml").read_text()
    env.write_text("IMAGE_TAG=2\n")
    (kept.root / "app" / "compose.yaml").unlink()
    extra.write_text("since")
    dry = kept.run("restore", "config", "--dry-run", "--json")
    assert str(env) in json.loads(dry.stdout)["paths"]
    assert restore(kept, "config", str(kept.root / "app"))["kept"]
    assert tree(kept.root / "app") == {"compose.yaml": right.encode(), "extra.yaml": b"since"}
    assert env.read_text() == "IMAGE_TAG=2\n", "only what was asked for"
    restore(kept, "undo", "--config")
    assert tree(kept.root / "app") == {"extra.yaml": b"since"}
    restore(kept, "config", "--repository", "spaces")
    assert env.read_text() == "IMAGE_TAG=1\n"
    assert restore(kept, "config")["kept"] == [], "nothing differs any more"
    restore(kept, "undo", "--config")
    assert env.read_text() == "IMAGE_TAG=2\n"
    restore(kept, "undo", "--config")
    assert env.read_text() == "IMAGE_TAG=1\n", "an undo can be undone"


def test_a_path_that_is_no_configuration_is_not_restored_in_place(kept):
    assert "is not part of the configuration" in restore(kept, "config", "/etc/passwd", code=1)["error"]


def test_what_is_kept_of_the_configuration_is_private_and_can_be_dropped(kept):
    (kept.root / "app.env").write_text("IMAGE_TAG=2\n")
    (folder,) = restore(kept, "config")["kept"]
    assert Path(folder).stat().st_mode & 0o077 == 0
    restore(kept, "drop-old", "--config")
    assert not Path(folder).exists()
    assert "no earlier configuration" in restore(kept, "undo", "--config", code=1)["error"]
