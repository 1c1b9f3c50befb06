"""The API as HTTP: who may call, how errors look, how lists are cut, and faults on demand."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from azure.core.pipeline.policies import HeadersPolicy
from pydo import Client

from localcloud.store import Store
from tests.localcloud.api_support import TOKEN, URL, Service, listening, public_key, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "cloud") as running:
        yield running


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN[:-1]}])
def test_nothing_is_answered_without_the_token(header: dict[str, str], service: Service) -> None:
    for path in ("/v2/account", "/v2/nothing", "/_localcloud/faults"):
        answer = service.answer("GET", path, headers=header)
        assert answer.status_code == 401
        assert answer.get_json()["message"] == "Unable to authenticate you"


@pytest.mark.parametrize(
    ("method", "path", "status", "identity"),
    [
        ("GET", "/v2/nothing", 404, "not_found"),
        ("PATCH", "/v2/tags", 404, "not_found"),
        ("GET", "/v2/droplets/77", 404, "not_found"),
        ("POST", "/v2/tags", 422, "unprocessable_entity"),
        ("DELETE", "/v2/projects/default", 412, "precondition_failed"),
    ],
)
def test_errors_have_the_shape_of_the_real_ones(
    method: str, path: str, status: int, identity: str, service: Service
) -> None:
    answer = service.answer(method, path, {})
    assert answer.status_code == status
    assert set(answer.get_json()) == {"id", "message", "request_id"}
    assert answer.get_json()["id"] == identity


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_body_that_is_no_object_is_refused(text: str, service: Service) -> None:
    assert service.answer("POST", "/v2/tags", data=text).status_code in (400, 422)


def test_lists_are_cut_into_pages_that_name_the_next_one(service: Service) -> None:
    for number in range(5):
        service.call("POST", "/v2/tags", {"name": f"t{number}"})
    names, path, pages = [], "/v2/tags?per_page=2", 0
    while path:
        page = service.call("GET", path)
        names += [one["name"] for one in page["tags"]]
        assert page["meta"]["total"] == 5
        path = page["links"].get("pages", {}).get("next", "").removeprefix(URL)
        pages += 1
    assert (names, pages) == ([f"t{number}" for number in range(5)], 3)
    assert service.call("GET", "/v2/tags")["links"] == {}, "one page names no other"


def test_a_fault_answers_the_next_calls_that_it_matches_and_no_more(service: Service) -> None:
    service.call("POST", "/_localcloud/faults", {"status": 429, "path": "^/v2/tags$", "times": 2, "retry_after": 3})
    assert service.answer("GET", "/v2/account").status_code == 200
    for _ in range(2):
        answer = service.answer("POST", "/v2/tags", {"name": "t"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
        assert answer.get_json()["message"] == "API Rate limit exceeded."
    assert service.answer("POST", "/v2/tags", {"name": "t"}).status_code == 201


def test_a_fault_may_come_after_the_deed(service: Service) -> None:
    service.call("POST", "/_localcloud/faults", {"status": 500, "method": "POST", "path": "/v2/tags", "after": True})
    assert service.answer("POST", "/v2/tags", {"name": "t"}).status_code == 500
    assert service.answer("GET", "/v2/tags/t").status_code == 200, "it was made all the same"


def test_faults_are_listed_cleared_and_checked(service: Service) -> None:
    service.call("POST", "/_localcloud/faults", {"status": 503, "path": "/v2/account", "times": 9})
    assert service.call("GET", "/_localcloud/faults")["faults"][0]["times"] == 9
    service.call("DELETE", "/_localcloud/faults")
    assert service.answer("GET", "/v2/account").status_code == 200
    assert "sttus" in service.refused("POST", "/_localcloud/faults", {"sttus": 1})[1]


def test_docker_being_away_is_said_and_leaves_no_record(service: Service) -> None:
    service.engine.broken.add("network")
    status, message = service.refused("POST", "/v2/vpcs", {"name": "n", "region": "fra1", "ip_range": "10.10.0.0/24"})
    assert (status, "broken on purpose" in message) == (422, True)
    assert service.call("GET", "/v2/vpcs")["vpcs"] == []


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.10.0.0/29", "10.10.0.1/24", "8.8.8.0/24", "x", "198.18.0.0/28"])
def test_a_range_that_no_vpc_can_have_is_refused(text: str, service: Service) -> None:
    status, message = service.refused("POST", "/v2/vpcs", {"name": "n", "region": "fra1", "ip_range": text})
    assert (status, text in message) == (422, True)


def test_vpcs_do_not_overlap_and_the_default_one_stays(service: Service) -> None:
    service.call("POST", "/v2/vpcs", {"name": "a", "region": "fra1", "ip_range": "10.10.0.0/20"})
    body = {"name": "b", "region": "fra1", "ip_range": "10.10.1.0/24"}
    assert "overlaps" in service.refused("POST", "/v2/vpcs", body)[1]
    number = service.droplet()
    default = service.shown(number)["vpc_uuid"]
    assert service.refused("DELETE", f"/v2/vpcs/{default}")[0] == 403


def test_a_spaces_key_reaches_the_object_store_and_its_secret_stays_nowhere(service: Service) -> None:
    body = {"name": "k", "grants": [{"bucket": "b", "permission": "read"}]}
    made = service.call("POST", "/v2/spaces/keys", body)["key"]
    path = f"/v2/spaces/keys/{made['access_key']}"
    assert service.objects.keys[made["access_key"]] == ("k", body["grants"])
    service.call("PUT", path, {"name": "l", "grants": []})
    assert service.objects.keys[made["access_key"]] == ("l", [])
    assert made["secret_key"] not in (service.config.directory / "state.json").read_text()
    service.call("DELETE", path)
    assert service.objects.keys == {}
    bad = {"name": "k", "grants": [{"bucket": "b", "permission": "write"}]}
    assert service.refused("POST", "/v2/spaces/keys", bad)[0] == 422


def test_pydo_works_unchanged(service: Service) -> None:
    # Its own policy sends no token over plain HTTP, be it to loopback.
    policy = HeadersPolicy({"Authorization": f"Bearer {TOKEN}"})
    with listening(service) as url, Client(token=TOKEN, endpoint=url, authentication_policy=policy) as client:
        key = client.ssh_keys.create(body={"name": "k", "public_key": public_key()})["ssh_key"]
        size, image = "s-1vcpu-1gb", "ubuntu-22-04-x64"
        fields = {"name": "w", "region": "fra1", "size": size, "image": image, "ssh_keys": [key["id"]]}
        number = client.droplets.create(body=fields)["droplet"]["id"]
        service.settle()
        assert client.droplets.get(droplet_id=number)["droplet"]["status"] == "active"
        client.droplet_actions.post(droplet_id=number, body={"type": "power_off"})
        service.settle()
        assert client.droplets.list()["droplets"][0]["status"] == "off"
        assert client.sizes.list()["sizes"]
        assert client.vpcs.list()["vpcs"][0]["default"]
        assert client.reserved_ips.create(body={"region": "fra1"})["reserved_ip"]["ip"]
        assert client.firewalls.list()["firewalls"] == []
        assert client.projects.get_default()["project"]["is_default"]
        assert client.account.get()["account"]["email"]
        client.droplets.destroy(droplet_id=number)
        service.settle()
        assert client.droplets.list()["droplets"] == []


def test_what_the_api_knows_survives_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path / "cloud") as first:
        first.call("POST", "/v2/tags", {"name": "kept"})
        first.call("POST", "/v2/domains", {"name": "shop.test"})
        engine = first.engine
    with serving(tmp_path / "cloud", engine) as second:
        assert second.call("GET", "/v2/tags/kept")["tag"]["name"] == "kept"
        assert second.call("GET", "/v2/domains/shop.test/records")["meta"]["total"] == 3
        assert second.call("GET", "/v2/projects")["meta"]["total"] == 1, "one default project, not one a start"


def test_a_transaction_that_raises_leaves_no_trace(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.json")
    with store.transaction():
        store.kind("a")["1"] = {"x": 1}

    def fail() -> None:
        with store.transaction():
            store.kind("a")["2"] = {"x": 2}
            with store.transaction():
                store.kind("a")["1"]["x"] = 3
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    for one in (store, Store(tmp_path / "state.json")):
        with one.transaction():
            assert one.kind("a") == {"1": {"x": 1}}


def test_a_kill_while_the_file_is_written_leaves_the_file_before(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.json")
    with store.transaction():
        store.kind("a")["1"] = {}
    (tmp_path / ".state.json.new").write_text('{"a": {"1":')
    after = Store(tmp_path / "state.json")
    with after.transaction():
        assert list(after.kind("a")) == ["1"]
        after.kind("a")["2"] = {}
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600, "user-data holds secrets"


def test_a_reader_never_sees_half_a_transaction(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.json")
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction():
            store.kind("a")["1"] = {}
            begun.set()
            go_on.wait(10)
            store.kind("a")["2"] = {}

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(10)
    threading.Timer(0.05, go_on.set).start()
    with store.transaction():
        assert len(store.kind("a")) == 2
    writer.join()
