"""What is copied to a host: the same bytes for the same files, with modes, without leftovers."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from components.bundle import pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "lib").mkdir(parents=True)
    (folder / "run").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "run").chmod(0o700)
    (folder / "lib" / "a.py").write_text("A = 1\n", encoding="utf-8")
    return folder


def test_equal_files_make_equal_bundles_wherever_and_whenever(folder: Path, tmp_path: Path) -> None:
    first = pack("host", folder, tmp_path / "one")
    (folder / "lib" / "a.py").touch()
    second = pack("host", folder, tmp_path / "two")
    assert first.digest == second.digest
    assert first.tar.read_bytes() == second.tar.read_bytes()


def test_a_changed_byte_and_a_changed_mode_make_another_bundle(folder: Path, tmp_path: Path) -> None:
    digests = {pack("host", folder, tmp_path).digest}
    (folder / "lib" / "a.py").write_text("A = 2\n", encoding="utf-8")
    digests.add(pack("host", folder, tmp_path).digest)
    (folder / "lib" / "a.py").chmod(0o755)
    digests.add(pack("host", folder, tmp_path).digest)
    assert len(digests) == 3


def test_leftovers_of_tools_and_secrets_of_a_developer_stay_here(folder: Path, tmp_path: Path) -> None:
    before = pack("host", folder, tmp_path).digest
    (folder / "lib" / "__pycache__").mkdir()
    (folder / "lib" / "__pycache__" / "a.pyc").write_bytes(b"x")
    (folder / ".env").write_text("SECRET=1", encoding="utf-8")
    (folder / ".git").mkdir()
    assert pack("host", folder, tmp_path).digest == before


def test_modes_owner_and_time_do_not_depend_on_this_machine(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(pack("host", folder, tmp_path).tar) as archive:
        entries = {each.name: each for each in archive.getmembers()}
    assert list(entries) == ["lib", "lib/a.py", "run"]
    assert (entries["run"].mode, entries["lib/a.py"].mode, entries["lib"].mode) == (0o755, 0o644, 0o755)
    assert {(each.uid, each.gid, each.uname, each.mtime) for each in entries.values()} == {(0, 0, "", 0)}


def test_packing_again_writes_nothing_and_leaves_no_draft(folder: Path, tmp_path: Path) -> None:
    first = pack("host", folder, tmp_path / "out")
    stamp = first.tar.stat().st_mtime_ns
    assert pack("host", folder, tmp_path / "out").tar.stat().st_mtime_ns == stamp
    assert [each.name for each in (tmp_path / "out").iterdir()] == [first.tar.name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing to copy to the hosts: .*/nowhere is not a directory"):
        pack("host", tmp_path / "nowhere", tmp_path)


def test_unpacking_keeps_this_version_and_removes_earlier_ones(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    bundle = pack("host", folder, root)
    for old in ("tts-host-000000000000", "tts-app-111111111111"):
        (root / old).mkdir()
    bundle.tar.rename(root / Path(bundle.remote_tar).name)
    subprocess.run(["bash", "-ec", bundle.unpack.replace("/root", str(root))], check=True)
    left = sorted(each.name for each in root.iterdir())
    assert left == ["tts-app-111111111111", f"tts-host-{bundle.digest}", f"tts-host-{bundle.digest}.tar"]
    assert (root / f"tts-host-{bundle.digest}" / "lib" / "a.py").read_text(encoding="utf-8") == "A = 1\n"
