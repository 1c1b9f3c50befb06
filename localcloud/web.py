"""The API as HTTP: routes, authorisation, errors in DigitalOcean's shape, pages of lists, and faults on demand."""

import hmac
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from localcloud.errors import CloudError

LOG = logging.getLogger(__name__)
PAGE = 20
LARGEST_PAGE = 200
IDS = {
    400: "bad_request", 401: "Unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 412: "precondition_failed", 422: "unprocessable_entity", 429: "too_many_requests",
    503: "service_unavailable",
}  # fmt: skip
MESSAGES = {
    401: "Unable to authenticate you",
    404: "The resource you were accessing could not be found.",
    429: "API Rate limit exceeded.",
}
T = TypeVar("T")


class ApiError(Exception):
    """An answer that is an error. `traced` is whether it bears a request id."""

    def __init__(self, status: int, message: str = "", *, traced: bool = True, retry_after: int | None = None) -> None:
        self.status = status
        self.message = message or MESSAGES.get(status, "Server Error")
        self.traced = traced
        self.retry_after = retry_after
        super().__init__(f"{status} {self.message}")


def invalid(message: str) -> ApiError:
    return ApiError(422, message)


@dataclass(frozen=True)
class Call:
    """One request, past authorisation: its JSON object, its query, and its address without the query."""

    body: dict[str, Any]
    query: Mapping[str, str]
    url: str

    def get(self, name: str, kind: type[T], default: T) -> T:
        """Give a field of the body; null counts as absent. Raises 422 on another type."""
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise invalid(f"{name} must be of type {kind.__name__}, not {type(value).__name__}.")
        return value

    def need(self, name: str, kind: type[T]) -> T:
        """Give a field of the body that must be there and not be empty."""
        value = self.get(name, kind, kind())
        if value in ("", [], {}) or self.body.get(name) is None:
            raise invalid(f"{name} is missing.")
        return value

    def texts(self, name: str) -> list[str]:
        values = self.get(name, list, [])
        if not all(isinstance(value, str) for value in values):
            raise invalid(f"{name} must be a list of strings.")
        return values

    def page(self, name: str, items: Iterable[Any]) -> dict[str, Any]:
        """Give the envelope of a list, cut to the page that was asked for."""
        every = list(items)
        size = min(max(self._number("per_page", PAGE), 1), LARGEST_PAGE)
        page, last = max(self._number("page", 1), 1), max(-(-len(every) // size), 1)
        near = {}
        if page > 1:
            near |= {"first": 1, "prev": page - 1}
        if page < last:
            near |= {"next": page + 1, "last": last}
        pages = {word: f"{self.url}?{urlencode({**self.query, 'page': number})}" for word, number in near.items()}
        cut = every[(page - 1) * size : page * size]
        return {name: cut, "links": {"pages": pages} if pages else {}, "meta": {"total": len(every)}}

    def _number(self, name: str, default: int) -> int:
        try:
            return int(self.query.get(name, default))
        except ValueError:
            raise invalid(f"{name} must be a number.") from None


Handler = Callable[..., Any]


@dataclass
class Routes:
    """The routes of one module. A handler takes (cloud, call, **parts of the path) and gives what the body shall be."""

    rules: list[tuple[str, str, int, Handler]] = field(default_factory=list)

    def _add(self, method: str, path: str, status: int) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.rules.append((method, path, status, handler))
            return handler

        return register

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("GET", path, 200)

    def post(self, path: str, status: int = 201) -> Callable[[Handler], Handler]:
        return self._add("POST", path, status)

    def put(self, path: str, status: int = 200) -> Callable[[Handler], Handler]:
        return self._add("PUT", path, status)

    def patch(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("PATCH", path, 200)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("DELETE", path, 204)


@dataclass
class Fault:
    """A misbehaviour on demand. It matches calls (`method`, `path` as a regular expression) or, with `action`, actions.

    A call is answered with `status`, before it is done or, with `after`, once it is done. An action ends as "errored".
    """

    status: int = 500
    times: int = 1
    method: str = ""
    path: str = ""
    action: str = ""
    message: str = ""
    retry_after: int | None = None
    after: bool = False

    def matches(self, method: str, path: str) -> bool:
        return not self.action and self.method in ("", method) and re.search(self.path, path) is not None


class Faults:
    """The faults that are still due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: list[Fault] = []

    def add(self, wanted: dict[str, Any]) -> None:
        known = Fault.__dataclass_fields__
        if unknown := set(wanted) - set(known):
            raise invalid(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}.")
        with self._lock:
            self._due.append(Fault(**wanted))

    def clear(self) -> None:
        with self._lock:
            self._due.clear()

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [vars(fault) for fault in self._due]

    def of_call(self, method: str, path: str) -> Fault | None:
        return self._take(lambda fault: fault.matches(method, path))

    def fail_action(self, kind: str) -> None:
        """Raise if an action of this kind shall fail."""
        if fault := self._take(lambda fault: fault.action == kind):
            raise RuntimeError(fault.message or f"this {kind} was made to fail")

    def _take(self, wanted: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for fault in filter(wanted, self._due):
                fault.times -= 1
                if fault.times <= 0:
                    self._due.remove(fault)
                return fault
        return None


class Api:
    """The WSGI application. `enter` is given each call's handler and runs it on the cloud."""

    def __init__(
        self,
        routes: Iterable[Routes],
        token: str,
        faults: Faults,
        enter: Callable[[str, Handler, Call, dict[str, Any]], Any],
    ) -> None:
        rules = [rule for group in [*routes, _fault_routes(faults)] for rule in group.rules]
        self._map = Map([Rule(path, methods=[method], endpoint=(status, run)) for method, path, status, run in rules])
        self._token = token
        self._faults = faults
        self._enter = enter

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except ApiError as error:
            response = _failure(error)
        except CloudError as error:
            response = _failure(ApiError(503, str(error)))
        except (NotFound, MethodNotAllowed):
            response = _failure(ApiError(404))
        except HTTPException as error:
            response = _failure(ApiError(error.code or 400, error.description or ""))
        except Exception:
            LOG.exception("%s %s", request.method, request.path)
            response = _failure(ApiError(500))
        if response.status_code >= 400:
            LOG.info("%s %s: %s", request.method, request.path, response.get_data(as_text=True))
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            raise ApiError(401)
        fault = self._faults.of_call(request.method, request.path)
        if fault and not fault.after:
            raise ApiError(fault.status, fault.message, retry_after=fault.retry_after)
        (status, handler), parts = self._map.bind_to_environ(request.environ).match()
        body = self._enter(request.method, handler, _read(request), dict(parts))
        if fault:
            raise ApiError(fault.status, fault.message, retry_after=fault.retry_after)
        if body is None:
            return Response(status=204)
        return Response(json.dumps(body), status=status, content_type="application/json; charset=utf-8")


def _read(request: Request) -> Call:
    text = request.get_data()
    try:
        body = json.loads(text) if text.strip() else {}
    except ValueError:
        raise ApiError(400, "The request's body is not JSON.") from None
    if not isinstance(body, dict):
        raise invalid("The request's body must be a JSON object.")
    return Call(body, request.args.to_dict(), request.base_url)


def _failure(error: ApiError) -> Response:
    body = {"id": IDS.get(error.status, "server_error"), "message": error.message}
    if error.traced:
        body["request_id"] = str(uuid.uuid4())
    response = Response(json.dumps(body), status=error.status, content_type="application/json; charset=utf-8")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _fault_routes(faults: Faults) -> Routes:
    routes = Routes()

    @routes.get("/_localcloud/faults")
    def listed(_cloud: object, _call: Call) -> dict[str, Any]:
        return {"faults": faults.list()}

    @routes.post("/_localcloud/faults")
    def add(_cloud: object, call: Call) -> dict[str, Any]:
        faults.add(call.body)
        return {"faults": faults.list()}

    @routes.delete("/_localcloud/faults")
    def clear(_cloud: object, _call: Call) -> None:
        faults.clear()

    return routes
