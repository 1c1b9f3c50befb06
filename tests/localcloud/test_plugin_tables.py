"""The codecs' tables against what is known of the real plugins, and against the installed SDKs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localcloud.plugins import aws, command, digitalocean, schema
from localcloud.plugins.codec import Codec, Work
from localcloud.plugins.install import install

CODECS: list[Codec[Any]] = [*digitalocean.CODECS, *aws.CODECS, *command.CODECS]
FACTS: dict[str, dict[str, list[str]]] = json.loads((Path(__file__).parent / "provider_facts.json").read_text())
SINCE_THE_FACTS = {"digitalocean:index/droplet:Droplet": {"gpuPartitionMode"}}
"""Inputs that replace and came with a later version of the SDK than the facts are from."""

every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.kind.rpartition(":")[2])


def test_every_type_has_its_facts_and_every_fact_its_type() -> None:
    assert {codec.kind for codec in CODECS} == set(FACTS)


@every_codec
def test_the_replace_rules_are_those_of_the_real_plugin(codec: Codec[Any]) -> None:
    assert codec.replaces - SINCE_THE_FACTS.get(codec.kind, set()) == set(FACTS[codec.kind]["replaces"])


@every_codec
def test_the_secrets_are_those_of_the_real_plugin(codec: Codec[Any]) -> None:
    assert codec.secrets == set(FACTS[codec.kind]["secrets"])


@every_codec
def test_the_required_inputs_are_those_of_the_real_plugin_and_of_the_sdk(codec: Codec[Any]) -> None:
    fields = schema.fields(schema.args_class(codec.sdk))
    assert codec.required == set(FACTS[codec.kind]["required"])
    assert {name for name, field in fields.items() if field.required} <= codec.required


@every_codec
def test_every_name_of_a_table_is_an_input_of_the_sdk(codec: Codec[Any]) -> None:
    inputs = set(schema.fields(schema.args_class(codec.sdk)))
    outputs = schema.output_names(codec.sdk)
    named = {codec.autoname} if codec.autoname else set()
    assert codec.replaces | codec.required | named <= inputs
    assert codec.secrets | codec.recomputed | set(codec.defaults) <= inputs | outputs


@every_codec
def test_a_type_that_can_change_in_place_can_be_updated(codec: Codec[Any]) -> None:
    """An input that neither replaces nor has an update would fail in the middle of `up`."""
    changeable = set(schema.fields(schema.args_class(codec.sdk))) - codec.replaces
    if changeable:
        assert type(codec).update is not Codec.update


@every_codec
def test_a_type_can_be_made_and_removed(codec: Codec[Any]) -> None:
    assert type(codec).create is not Codec.create
    assert type(codec).delete is not Codec.delete


def test_a_secret_of_the_work_does_not_show_in_its_text() -> None:
    assert "hidden-word" not in repr(Work(None, inputs={"stdin": "hidden-word"}))


def start_of(home: Path, name: str) -> Path:
    (found,) = home.glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}")
    return found


def test_plugins_are_installed_where_the_engine_looks_and_again_without_harm(tmp_path: Path) -> None:
    for _ in range(2):
        install(tmp_path / "home", Path(sys.executable))
    names = sorted(path.parent.name for path in (tmp_path / "home").glob("plugins/*/*"))
    assert names == ["resource-aws-v7.51.1", "resource-command-v1.2.1", "resource-digitalocean-v4.84.1"]
    assert all(os.access(path, os.X_OK) for path in (tmp_path / "home").glob("plugins/*/*"))


def test_a_real_plugin_takes_the_stand_ins_place_and_gives_it_back(tmp_path: Path) -> None:
    real = tmp_path / "real" / "pulumi-resource-aws"
    real.parent.mkdir()
    real.write_text("#!/bin/sh\necho real\n")
    real.chmod(0o755)
    home = tmp_path / "home"
    assert install(home, Path(sys.executable), real.parent)["aws"] == real
    assert start_of(home, "aws").resolve() == real
    assert not start_of(home, "command").is_symlink()
    install(home, Path(sys.executable))
    assert not start_of(home, "aws").is_symlink()
    assert real.read_text() == "#!/bin/sh\necho real\n", "the real plugin must not be written to"


def test_the_real_plugin_finds_buckets_by_the_object_store_as_its_proxy(tmp_path: Path) -> None:
    real = tmp_path / "it's real" / "pulumi-resource-digitalocean"
    real.parent.mkdir()
    real.write_text('#!/bin/sh\necho "$HTTP_PROXY|$http_proxy|$SPACES_ENDPOINT_URL|$NO_PROXY|$1"\n')
    real.chmod(0o755)
    assert install(tmp_path / "home", Path(sys.executable), real.parent)["digitalocean"] == real
    start, store = [start_of(tmp_path / "home", "digitalocean"), "engine"], "http://127.0.0.1:7481"
    env = {"SPACES_ENDPOINT_URL": store, "NO_PROXY": "test", "HTTP_PROXY": "http://elsewhere:1"}
    done = subprocess.run(start, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"{store}|{store}|http://{{{{.Region}}}}.spaces.test||engine\n"
    away = subprocess.run(start, env={}, capture_output=True, text=True, check=False)
    assert (away.returncode != 0, "is missing" in away.stderr) == (True, True)


def test_a_real_plugin_that_cannot_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "pulumi-resource-aws").write_text("")
    with pytest.raises(PermissionError, match=r"is not executable: chmod \+x it"):
        install(tmp_path / "home", Path(sys.executable), tmp_path)


def test_a_plugin_directory_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the plugin directory .* does not exist"):
        install(tmp_path / "home", Path(sys.executable), tmp_path / "nowhere")


def test_a_plugin_started_by_hand_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localcloud.plugins"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m localcloud.plugins {digitalocean,aws,command}")


@pytest.mark.parametrize("name", ["digitalocean", "aws", "command"])
def test_a_plugin_starts_without_what_is_slow_to_import(name: str) -> None:
    """The engine waits for each plugin's port, in every command: SDKs and clients are for the first use of them."""
    slow = ["asyncssh", "boto3", "pulumi_aws.s3.bucket", "pulumi_digitalocean.droplet", "pulumi_digitalocean.volume"]
    code = (
        f"import sys; from localcloud.plugins import {name} as plugin, schema\n"
        "schema.bare_packages(*plugin.PACKAGES); plugin.provider('127.0.0.1:1')\n"
        f"print([item for item in {slow} if item in sys.modules])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_looking_up_one_type_imports_its_module_and_not_the_whole_sdk() -> None:
    code = (
        "import sys; from localcloud.plugins import aws, digitalocean as do, schema\n"
        "schema.bare_packages(*do.PACKAGES, *aws.PACKAGES)\n"
        "for codec in [*do.CODECS, *aws.CODECS]: schema.fields(schema.args_class(codec.sdk))\n"
        "print([item for item in ('pulumi_digitalocean.volume', 'pulumi_aws.ec2') if item in sys.modules])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
