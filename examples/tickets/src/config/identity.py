"""Who asks: the auth service knows the tokens, the others ask it."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from django.http import HttpRequest

from config.services import SERVICES

GUEST = "guest"


class IdentityError(Exception):
    """Nobody could be established."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def requester(request: HttpRequest) -> str:
    """Return the name of the token's user; a request without a token is a guest's."""
    authorization = request.headers.get("Authorization")
    if not authorization:
        return GUEST
    url = f"http://{SERVICES['auth'].host}:8000/api/auth/me/"
    try:
        with urlopen(Request(url, headers={"Authorization": authorization}), timeout=5) as answer:
            return json.load(answer)["username"]
    except HTTPError as refusal:
        if refusal.code == 401:
            raise IdentityError(401, "the token is not valid") from None
        raise IdentityError(503, "the auth service cannot answer now") from None
    except OSError:
        raise IdentityError(503, "the auth service cannot be reached now") from None
