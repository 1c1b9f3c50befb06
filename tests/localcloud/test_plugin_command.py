"""Commands and copies of the stand-in `command`, over real SSH to a server of the test's own, and on this machine."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh
import grpc
import pytest

from localcloud.plugins import command
from tests.conftest import free_port
from tests.localcloud.plugin_support import SIGNATURE, UNKNOWN, Plugin, reveal, secret
from tests.localcloud.ssh_host import Host, running_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMOTE, COPY, LOCAL = "remote:Command", "remote:CopyToRemote", "local:Command"
ASSET, ARCHIVE = "c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running_host(tmp_path / "host") as host:
        yield host


@dataclass
class Recorder:
    """Where the plugin's log lines go."""

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def info(self, urn: str, text: str) -> None:
        self.lines.append(text)

    def warning(self, urn: str, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(command, "EngineLog", lambda _: recorder)
    return recorder


@pytest.fixture
def plugin(log: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with contextlib.closing(Plugin(command.provider(""), "command")) as plugin:
        plugin.configure()
        yield plugin


def failure(caught: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    return caught.value.details() or ""


def create(plugin: Plugin, token: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return reveal(plugin.create(token, reveal(plugin.inputs(token, inputs)))[1])


def asset(path: Path | str, kind: str = ASSET, text: str = "") -> dict[str, Any]:
    return {SIGNATURE: kind, "path": str(path), "hash": hashlib.sha256(f"{path}{text}".encode()).hexdigest()}


def copy(plugin: Plugin, host: Host, source: Any, destination: str) -> None:
    create(plugin, COPY, {"connection": host.connection, "source": source, "remotePath": destination})


def test_a_command_gets_its_standard_input_and_gives_its_output(plugin: Plugin, host: Host) -> None:
    state = create(
        plugin, REMOTE, {"connection": host.connection, "create": "cat; echo two; echo err >&2", "stdin": "one\n"}
    )
    assert (state["stdout"], state["stderr"]) == ("one\ntwo", "err")


def test_an_id_is_the_name_with_eight_digits(plugin: Plugin, host: Host) -> None:
    inputs = reveal(plugin.inputs(REMOTE, {"connection": host.connection, "create": "true"}))
    resource_id, _ = plugin.create(REMOTE, inputs)
    assert resource_id.startswith("thing")
    assert len(resource_id) == len("thing") + 8


def test_the_connection_is_secret_and_has_its_defaults(plugin: Plugin) -> None:
    inputs = plugin.inputs(REMOTE, {"connection": {"host": "127.0.0.1"}})
    defaults = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
    assert inputs["connection"] == secret({"host": "127.0.0.1", **defaults})


def test_lines_are_shown_while_the_command_runs(plugin: Plugin, host: Host, log: Recorder) -> None:
    create(plugin, REMOTE, {"connection": host.connection, "create": "echo out; echo err >&2"})
    assert sorted(log.lines) == ["err", "out"]


@pytest.mark.parametrize(
    ("logging", "shown"), [("none", []), ("stdout", ["out"]), ("stderr", ["err"]), ("stdoutAndStderr", ["err", "out"])]
)
def test_logging_chooses_the_streams(plugin: Plugin, host: Host, log: Recorder, logging: str, shown: list[str]) -> None:
    inputs = {"connection": host.connection, "create": "echo out; echo err >&2", "logging": logging}
    assert create(plugin, REMOTE, inputs)["stdout"] == "out"
    assert sorted(log.lines) == shown


def test_logging_of_another_name_is_an_error(plugin: Plugin, host: Host) -> None:
    _, failures = plugin.check(REMOTE, {"connection": host.connection, "logging": "quiet"})
    assert failures == {
        "logging": "expected one of 'stdout', 'stderr', 'stdoutAndStderr', 'none', got 'quiet'",
    }


def test_a_failing_command_is_told_with_its_text_and_output_but_not_its_input(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": host.connection, "create": "cat >/dev/null; echo seen; exit 3", "stdin": "hidden-word"}
    with pytest.raises(grpc.RpcError) as caught:
        create(plugin, REMOTE, inputs)
    text = failure(caught)
    assert 'Process exited with status 3: running "cat >/dev/null; echo seen; exit 3":\nseen' in text
    assert "hidden-word" not in text
    assert "PRIVATE KEY" not in text


def test_an_exit_status_of_255_is_the_commands_own_and_runs_once(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": host.connection, "create": "echo x >> ran; exit 255"}
    with pytest.raises(grpc.RpcError, match="Process exited with status 255"):
        create(plugin, REMOTE, inputs)
    assert (host.root / "ran").read_text() == "x\n"


def test_large_input_and_output_pass_whole(plugin: Plugin, host: Host) -> None:
    text = "0123456789abcde\n" * 40_000
    inputs = {"connection": host.connection, "create": "cat", "stdin": text, "logging": "none"}
    assert create(plugin, REMOTE, inputs)["stdout"] == text.removesuffix("\n")


def test_a_command_that_does_not_read_its_input_is_no_failure(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": host.connection, "create": "exit 0", "stdin": "x" * 2_000_000}
    assert create(plugin, REMOTE, inputs)["stdout"] == ""


def test_another_host_key_is_refused_and_nothing_runs(plugin: Plugin, host: Host) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(grpc.RpcError) as caught:
        create(plugin, REMOTE, {"connection": {**host.connection, "hostKey": stranger}, "create": "touch ran"})
    assert "after 1 failed attempts: ssh: " in failure(caught)
    assert "Host key" in failure(caught)
    assert host.commands == []


def test_without_a_host_key_none_is_checked(plugin: Plugin, host: Host) -> None:
    connection = {key: value for key, value in host.connection.items() if key != "hostKey"}
    assert create(plugin, REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"


def test_a_wrong_key_is_tried_as_often_as_the_limit_says(plugin: Plugin, host: Host, log: Recorder) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    connection = {**host.connection, "privateKey": stranger, "dialErrorLimit": 2}
    with pytest.raises(grpc.RpcError, match="after 2 failed attempts: ssh: Permission denied"):
        create(plugin, REMOTE, {"connection": connection, "create": "true"})
    assert log.lines == ["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"]


def test_an_encrypted_key_is_opened_with_its_password(plugin: Plugin, host: Host) -> None:
    key = host.client_key.export_private_key("pkcs8-pem", passphrase="sesame").decode()
    connection = {**host.connection, "privateKey": key, "privateKeyPassword": "sesame"}
    assert create(plugin, REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"
    with pytest.raises(grpc.RpcError, match="failed to parse the private key of the connection"):
        create(plugin, REMOTE, {"connection": {**connection, "privateKeyPassword": "wrong"}, "create": "true"})


def test_a_host_behind_a_proxy_is_reached(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": {**host.connection, "proxy": host.connection}, "create": "echo through"}
    with pytest.raises(grpc.RpcError, match=r"'proxy\.dialErrorLimit'|not a valid|failed"):
        create(plugin, REMOTE, {**inputs, "connection": {**host.connection, "proxy": {**host.connection, "port": 1}}})
    assert create(plugin, REMOTE, inputs)["stdout"] == "through"
    assert host.tunnels == [("127.0.0.1", host.port)]


def test_a_host_that_is_not_there_yet_is_waited_for(plugin: Plugin, host: Host, log: Recorder) -> None:
    port, host.port = host.port, free_port()

    def bring_up(urn: str, text: str) -> None:
        log.lines.append(text)
        if len(log.lines) == 2:
            host.run(host.listen())

    log.info = bring_up  # type: ignore[method-assign]
    connection = {**host.connection, "dialErrorLimit": 20}
    state = create(plugin, REMOTE, {"connection": connection, "create": "echo up", "logging": "none"})
    assert state["stdout"] == "up"
    assert log.lines == ["Dial 1/20 failed: retrying", "Dial 2/20 failed: retrying"]
    assert host.port != port


def test_a_host_on_the_internet_is_refused(plugin: Plugin, host: Host) -> None:
    connection = {**host.connection, "host": "1.1.1.1"}
    with pytest.raises(grpc.RpcError, match=r"the host '1\.1\.1\.1' is on the public internet: this is a stand-in"):
        create(plugin, REMOTE, {"connection": connection, "create": "true"})


def test_a_variable_that_the_server_takes_reaches_the_command(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": host.connection, "create": "echo $LC_WORD", "environment": {"LC_WORD": "yes"}}
    assert create(plugin, REMOTE, inputs)["stdout"] == "yes"


def test_a_variable_that_the_server_refuses_is_an_error_before_the_command_runs(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": host.connection, "create": "touch ran", "environment": {"WORD": "hidden-word"}}
    with pytest.raises(grpc.RpcError) as caught:
        create(plugin, REMOTE, inputs)
    assert 'could not set environment variable "WORD": Unable to set' in failure(caught)
    assert "hidden-word" not in failure(caught)
    assert not (host.root / "ran").exists()


def test_changed_inputs_run_update_or_else_create_again(plugin: Plugin, host: Host) -> None:
    base = {"connection": host.connection, "create": "echo created", "addPreviousOutputInEnv": False}
    olds = reveal(plugin.inputs(REMOTE, base))
    resource_id, state = plugin.create(REMOTE, olds)
    again = reveal(plugin.update(REMOTE, resource_id, state, olds, {**olds, "stdin": "x"}))
    assert again["stdout"] == "created"
    updated = reveal(plugin.update(REMOTE, resource_id, state, olds, {**olds, "update": "echo updated"}))
    assert updated["stdout"] == "updated"


def test_the_previous_output_is_offered_and_its_refusal_only_warned_of(
    plugin: Plugin, host: Host, log: Recorder
) -> None:
    olds = reveal(plugin.inputs(REMOTE, {"connection": host.connection, "create": "echo created"}))
    resource_id, state = plugin.create(REMOTE, olds)
    plugin.update(REMOTE, resource_id, state, olds, {**olds, "stdin": "x"})
    (warning,) = log.warnings
    assert warning.startswith("Unable to set 'PULUMI_COMMAND_STDOUT'.")


def test_changed_triggers_replace_and_other_changes_do_not(plugin: Plugin, host: Host) -> None:
    olds = reveal(plugin.inputs(REMOTE, {"connection": host.connection, "create": "true", "triggers": [1, "a"]}))
    answer = plugin.diff(REMOTE, olds, {**olds, "triggers": [1, "b"]})
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["triggers"], False)
    assert list(plugin.diff(REMOTE, olds, {**olds, "create": "false"}).replaces) == []


def test_an_updates_preview_does_not_know_the_output(plugin: Plugin, host: Host) -> None:
    olds = reveal(plugin.inputs(REMOTE, {"connection": host.connection, "create": "echo created"}))
    resource_id, state = plugin.create(REMOTE, olds)
    shown = plugin.update(REMOTE, resource_id, state, olds, {**olds, "stdin": "x"}, preview=True)
    assert (shown["stdout"], shown["stderr"]) == (UNKNOWN, UNKNOWN)
    assert host.commands == ["echo created"]


def test_delete_runs_what_the_state_says(plugin: Plugin, host: Host) -> None:
    inputs = {"connection": host.connection, "create": "touch made", "delete": "rm made"}
    resource_id, state = plugin.create(REMOTE, reveal(plugin.inputs(REMOTE, inputs)))
    assert (host.root / "made").exists()
    plugin.delete(REMOTE, resource_id, state)
    assert not (host.root / "made").exists()


def test_without_a_command_nothing_is_dialled(plugin: Plugin, host: Host) -> None:
    state = create(plugin, REMOTE, {"connection": {**host.connection, "port": 1}})
    assert (state["stdout"], host.commands) == ("", [])


def test_a_file_lands_at_the_path_or_in_the_directory(plugin: Plugin, host: Host, tmp_path: Path) -> None:
    source = tmp_path / "tool"
    source.write_text("v1")
    copy(plugin, host, asset(source), "/deep/er/tool2")
    assert (host.root / "deep/er/tool2").read_text() == "v1"
    copy(plugin, host, asset(source), "/deep/er")
    assert (host.root / "deep/er/tool").read_text() == "v1"
    source.write_text("v")
    copy(plugin, host, asset(source, text="2"), "/deep/er/tool2")
    assert (host.root / "deep/er/tool2").read_text() == "v"


def test_modes_are_not_copied(plugin: Plugin, host: Host, tmp_path: Path) -> None:
    source = tmp_path / "tool"
    source.write_text("v1")
    source.chmod(0o700)
    copy(plugin, host, asset(source), "/tool")
    assert (host.root / "tool").stat().st_mode & 0o111 == 0


def tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize(
    ("exists", "ending", "landed"),
    [
        (False, "", ["dest", "dest/src", "dest/src/a", "dest/src/sub", "dest/src/sub/b"]),
        (True, "", ["dest", "dest/src", "dest/src/a", "dest/src/sub", "dest/src/sub/b"]),
        (False, "/", ["dest", "dest/a", "dest/sub", "dest/sub/b"]),
        (True, "/", ["dest", "dest/a", "dest/sub", "dest/sub/b"]),
    ],
)
def test_a_directory_lands_under_its_name_unless_the_source_ends_in_a_slash(
    plugin: Plugin, host: Host, tmp_path: Path, exists: bool, ending: str, landed: list[str]
) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_text("a")
    (source / "sub/b").write_text("b")
    if exists:
        (host.root / "dest").mkdir()
    copy(plugin, host, asset(f"{source}{ending}", ARCHIVE), "/dest")
    assert tree(host.root) == landed


def test_stale_files_stay(plugin: Plugin, host: Host, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (host.root / "dest").mkdir()
    (host.root / "dest/stale").write_text("old")
    copy(plugin, host, asset(f"{source}/", ARCHIVE), "/dest")
    assert (host.root / "dest/stale").read_text() == "old"


def test_a_directory_cannot_land_on_a_file(plugin: Plugin, host: Host, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (host.root / "dest").write_text("file")
    with pytest.raises(grpc.RpcError, match="remote path /dest exists but is not a directory"):
        copy(plugin, host, asset(tmp_path / "src", ARCHIVE), "/dest")


def test_a_text_needs_the_path_of_a_file(plugin: Plugin, host: Host) -> None:
    text = {SIGNATURE: ASSET, "text": "hello", "hash": "h"}
    copy(plugin, host, text, "/etc/deep/motd")
    assert (host.root / "etc/deep/motd").read_text() == "hello"
    with pytest.raises(grpc.RpcError, match="remotePath must be a file path"):
        copy(plugin, host, text, "/etc/deep")


def test_only_another_content_or_place_is_copied_on_update(plugin: Plugin, host: Host, tmp_path: Path) -> None:
    source = tmp_path / "tool"
    source.write_text("v1")
    olds = reveal(plugin.inputs(COPY, {"connection": host.connection, "source": asset(source), "remotePath": "/tool"}))
    resource_id, state = plugin.create(COPY, olds)
    (host.root / "tool").unlink()
    moved = {**olds, "connection": {**olds["connection"], "user": "admin"}}
    plugin.update(COPY, resource_id, state, olds, moved)
    assert not (host.root / "tool").exists(), "a changed connection alone copies nothing"
    plugin.update(COPY, resource_id, state, olds, {**olds, "source": asset(source, text="2")})
    assert (host.root / "tool").exists()


@pytest.mark.parametrize(
    ("source", "property_", "reason"),
    [
        (UNKNOWN, "asset", "either asset or archive must be set"),
        ({SIGNATURE: ARCHIVE, "assets": {}}, "archive", "archive must be a path to a file or directory"),
        ({SIGNATURE: ASSET, "uri": "https://x"}, "asset", "asset must be a path-based file asset or a text asset"),
    ],
)
def test_sources_that_the_plugin_cannot_copy_fail_the_check(
    plugin: Plugin, host: Host, source: Any, property_: str, reason: str
) -> None:
    _, failures = plugin.check(COPY, {"connection": host.connection, "source": source, "remotePath": "/x"})
    assert failures == {property_: reason}


def test_a_missing_connection_is_told(plugin: Plugin) -> None:
    _, failures = plugin.check(REMOTE, {"create": "true"})
    assert failures == {"connection": "missing required property 'connection'"}


def test_a_local_command_runs_in_its_directory_with_its_variables(plugin: Plugin, tmp_path: Path) -> None:
    inputs = {"create": "pwd; echo $WORD; cat", "dir": str(tmp_path), "environment": {"WORD": "w"}, "stdin": "in"}
    assert create(plugin, LOCAL, inputs)["stdout"] == f"{tmp_path}\nw\nin"


def test_a_local_command_that_fails_says_how(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError, match='exit status 4: running "echo no; exit 4":\nno'):
        create(plugin, LOCAL, {"create": "echo no; exit 4"})


def test_a_local_command_gives_the_files_that_its_globs_name(plugin: Plugin, tmp_path: Path) -> None:
    make = "mkdir -p out/deep; echo a > out/a.txt; echo b > out/deep/b.txt; echo s > out/deep/secret.txt"
    globs = ["out/**.txt", "!**secret*"]
    state = create(plugin, LOCAL, {"create": make, "dir": str(tmp_path), "assetPaths": globs, "archivePaths": globs})
    assert sorted(state["assets"]) == ["out/a.txt", "out/deep/b.txt"]
    assert state["assets"]["out/a.txt"]["hash"] == hashlib.sha256(b"a\n").hexdigest()
    assert sorted(state["archive"]["assets"]) == ["out/a.txt", "out/deep/b.txt"]


def test_a_local_update_sees_the_previous_output(plugin: Plugin) -> None:
    olds = plugin.inputs(LOCAL, {"create": "echo one"})
    resource_id, state = plugin.create(LOCAL, olds)
    news = {**olds, "update": "echo was $PULUMI_COMMAND_STDOUT"}
    assert plugin.update(LOCAL, resource_id, state, olds, news)["stdout"] == "was one"


def test_the_function_run_executes_at_once(plugin: Plugin) -> None:
    assert plugin.invoke("local:run", command="echo hi")["stdout"] == "hi"
