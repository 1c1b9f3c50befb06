"""CORS: what a browser is told before and with a request for an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.localcloud.objects_support import Store, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE, OTHER = "https://shop.test", "https://other.test"
RULES = [
    {
        "AllowedOrigins": [PAGE, "https://*.shop.test"], "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["content-type", "x-amz-*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 3000,
    },
    {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    running = Store(tmp_path_factory.mktemp("objects") / "state").start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def spaces(store: Store) -> Any:
    client = store.client(keys="spaces", signature_version="s3v4")
    client.create_bucket(Bucket="media")
    client.put_object(Bucket="media", Key="a.txt", Body=b"hello")
    client.put_bucket_cors(Bucket="media", CORSConfiguration={"CORSRules": RULES})
    return client


def ask(store: Store, origin: str, method: str, headers: str = "", host: str = "") -> requests.Response:
    """Ask as a browser does before a request."""
    given = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        given["Access-Control-Request-Headers"] = headers
    path = "a.txt" if host else "media/a.txt"
    url = f"http://127.0.0.1:{store.keys['port']}/{path}"
    return requests.options(url, headers=given | ({"Host": host} if host else {}), timeout=10)


def test_a_page_that_a_rule_names_may_and_another_may_not(store: Store, spaces: Any) -> None:
    answer = ask(store, PAGE, "PUT", "Content-Type, x-amz-acl")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, PUT"
    assert answer.headers["access-control-allow-headers"] == "content-type, x-amz-acl"
    assert answer.headers["access-control-max-age"] == "3000"
    refused = ask(store, OTHER, "PUT")
    assert (refused.status_code, "not allowed" in refused.text) == (403, True)
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("origin", "method", "headers", "allowed"),
    [
        ("https://www.shop.test", "GET", "", True),
        ("https://shop.test.evil.example", "GET", "", False),
        ("http://shop.test", "GET", "", False),
        (PAGE, "DELETE", "", False),
        (PAGE, "GET", "authorization", False),
        (OTHER, "HEAD", "", True),
    ],
)
def test_origin_method_and_headers_must_all_be_of_one_rule(
    origin: str, method: str, headers: str, allowed: bool, store: Store, spaces: Any
) -> None:
    assert (ask(store, origin, method, headers).status_code == 200) == allowed


def test_the_answer_itself_says_to_whom_it_may_be_handed(store: Store, spaces: Any) -> None:
    url = spaces.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": "a.txt"})
    mine = requests.get(url, headers={"Origin": PAGE}, timeout=10)
    assert (mine.text, mine.headers["access-control-allow-origin"]) == ("hello", PAGE)
    assert mine.headers["access-control-expose-headers"] == "ETag"
    foreign = requests.get(url, headers={"Origin": OTHER}, timeout=10)
    assert (foreign.text, "access-control-allow-origin" in foreign.headers) == ("hello", False)
    assert "access-control-allow-origin" not in requests.get(url, timeout=10).headers


def test_a_bucket_is_found_by_its_host_name(store: Store, spaces: Any) -> None:
    assert ask(store, PAGE, "GET", host="media.fra1.digitaloceanspaces.com").status_code == 200
    assert ask(store, PAGE, "GET", host="media.s3.amazonaws.com").status_code == 403, "the other provider has none"


def test_rules_outlive_a_restart_and_go_when_they_are_removed(store: Store, spaces: Any) -> None:
    store.restart()
    client = store.client(keys="spaces")
    assert ask(store, PAGE, "GET").status_code == 200
    assert client.get_bucket_cors(Bucket="media")["CORSRules"][0]["AllowedOrigins"][0] == PAGE
    client.delete_bucket_cors(Bucket="media")
    assert ask(store, PAGE, "GET").status_code == 403
    assert code_of(client.get_bucket_cors, Bucket="media") == "NoSuchCORSConfiguration"
    no_origin = requests.options(f"http://127.0.0.1:{store.keys['port']}/media/a.txt", timeout=10)
    assert no_origin.status_code == 400
