"""An HTTP answer on its way out through WSGI."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


@dataclass(frozen=True)
class Answer:
    """`length` is needed where `content` is an iterator."""

    status: int
    headers: Mapping[str, Any]
    content: str | bytes | Iterable[bytes]
    length: int = 0

    def send(self, method: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Start the response; the framing headers are decided here and nowhere else."""
        content = self.content.encode() if isinstance(self.content, str) else self.content
        length = len(content) if isinstance(content, bytes) else self.length
        headers = {name.lower(): str(value) for name, value in self.headers.items() if value is not None}
        if method == "HEAD":
            length = int(headers.get("content-length", 0))
        for name in ("status", "date", "transfer-encoding", "content-length"):
            headers.pop(name, None)
        if self.status not in _BODILESS:
            headers["content-length"] = str(length)
        if method == "HEAD" or self.status in _BODILESS:
            content = b""
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", list(headers.items()))
        return [content] if isinstance(content, bytes) else content
