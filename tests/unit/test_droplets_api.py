"""The guards' client of DigitalOcean's API, against a server that answers from a list."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from guards.droplets import Droplet, Droplets
from guards.errors import RefusedError
from guards.hooks import provider
from ops.api import PRODUCTION, Api

Answer = tuple[int, dict[str, Any]]
TOKEN = "token-that-is-secret"


class _Api(BaseHTTPRequestHandler):
    answers: ClassVar[list[Answer]] = []
    asked: ClassVar[list[tuple[str, Any]]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((f"{self.command} {self.path}", json.loads(body) if body else None))
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        code, document = self.answers.pop(0)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    do_GET = do_POST = _answer  # noqa: N815  # the names that the server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def api() -> Iterator[Droplets]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    _Api.answers, _Api.asked = [], []
    yield Droplets(Api(f"http://127.0.0.1:{server.server_port}/", TOKEN, pause=0))
    server.shutdown()
    server.server_close()


def droplet(**changes: Any) -> Answer:
    return 200, {"droplet": {"status": "active", "size": {"slug": "s"}, "locked": False, **changes}}


def action(status: str, completed_at: str | None = None) -> Answer:
    return 200, {"action": {"id": 7, "status": status, "completed_at": completed_at}}


def test_an_action_is_waited_for_until_it_has_an_end(api: Droplets) -> None:
    _Api.answers = [action("in-progress"), action("in-progress"), action("completed", "2026-11-23T10:00:00Z")]
    api.act(101, 1, type="snapshot", name="x")
    assert _Api.asked == [
        ("POST /v2/droplets/101/actions", {"type": "snapshot", "name": "x"}),
        ("GET /v2/actions/7", None),
        ("GET /v2/actions/7", None),
    ]


def test_an_action_that_fails_is_a_refusal(api: Droplets) -> None:
    _Api.answers = [action("in-progress"), action("errored", "2026-11-23T10:00:00Z")]
    with pytest.raises(RefusedError, match="the action resize of droplet 101 failed at the provider"):
        api.act(101, 1, type="resize")


def test_an_action_that_never_ends_is_a_refusal(api: Droplets) -> None:
    _Api.answers = [action("in-progress")] * 50
    with pytest.raises(RefusedError, match="the action snapshot of droplet 101 is not over after 0 minutes"):
        api.act(101, 0, type="snapshot")


def test_the_reason_of_the_api_is_repeated_and_the_token_is_not(api: Droplets) -> None:
    _Api.answers = [(422, {"id": "unprocessable_entity", "message": "smaller disk"})]
    with pytest.raises(RefusedError) as caught:
        api.act(101, 1, type="resize")
    assert str(caught.value) == "DigitalOcean's API refuses POST /v2/droplets/101/actions. 422 smaller disk"
    assert TOKEN not in repr(api)


def test_a_droplet_is_settled_once_it_is_unlocked(api: Droplets) -> None:
    _Api.answers = [droplet(locked=True), droplet(status="off")]
    assert api.settled(101) == Droplet("off", "s", locked=False)


def test_a_limit_is_waited_out_and_a_broken_answer_asked_for_again(api: Droplets) -> None:
    _Api.answers = [(429, {}), (503, {}), droplet()]
    assert api.show(101).status == "active"


def test_an_order_that_may_have_been_carried_out_is_not_repeated(api: Droplets) -> None:
    _Api.answers = [(503, {"message": "later"}), action("completed", "2026-11-23T10:00:00Z")]
    with pytest.raises(RefusedError, match="503 later"):
        api.act(101, 1, type="power_off")
    assert len(_Api.asked) == 1


def test_an_api_that_does_not_answer_is_named() -> None:
    with pytest.raises(RefusedError, match=r"does not answer at http://127\.0\.0\.1:9"):
        Droplets(Api("http://127.0.0.1:9", TOKEN, pause=0)).show(1)


def test_token_and_address_are_the_providers_own() -> None:
    environment = {"DIGITALOCEAN_ACCESS_TOKEN": "third", "DIGITALOCEAN_API_URL": "http://there"}
    assert provider(None, "first", environment) == Droplets(Api("http://there", "first"))
    assert provider("http://here", None, {**environment, "DIGITALOCEAN_TOKEN": "second"}).api.token == "second"
    assert provider("http://here", None, environment) == Droplets(Api("http://here", "third"))
    assert provider(None, "first", {}).api.address == PRODUCTION
