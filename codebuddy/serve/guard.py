"""Access control of the HTTP server, checked before anything else reads a request.

A web page can make a browser send requests to this machine. `Host` (against DNS rebinding)
and `Origin` must be on exact lists, POST must carry JSON (which browsers do not send to a
foreign origin without asking first, and the question is answered with no), and each request
needs the token. It knows nothing of completions.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

# Allowed without a token: they only show that the server runs.
_OPEN_PATHS = frozenset({"/health", "/v1/health"})
_METHODS = frozenset({"GET", "HEAD", "POST"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served: an HTTP status and one sentence."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request must show; `token` is empty where none is asked for.

    `hosts` are exact values of the Host header, `origins` of the Origin header.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    token: str

    def check(self, method: str, path: str, headers: Mapping[str, list[str]]) -> Refusal | None:
        """Why the request is refused, or `None`. Header names are in lower case."""
        host = headers.get("host", [])
        if len(host) != 1 or host[0].lower() not in self.hosts:
            return Refusal(403, "this Host is not served here")
        if any(origin not in self.origins for origin in headers.get("origin", [])):
            return Refusal(403, "this Origin may not use codebuddy")
        if method not in _METHODS:
            return Refusal(405, f"{method[:20]} is not supported")
        if path.rstrip("/") not in _OPEN_PATHS and not self._has_token(headers):
            return Refusal(401, "the token is missing or wrong; see 'codebuddy serve --help'")
        if method == "POST" and _media_type(headers) != "application/json":
            return Refusal(415, "send JSON with 'Content-Type: application/json'")
        return None

    def _has_token(self, headers: Mapping[str, list[str]]) -> bool:
        if not self.token:
            return True
        given = [
            value for name in ("authorization", "x-api-key") for value in headers.get(name, [])
        ]
        # Each is compared in constant time, and all of them are.
        matches = [
            hmac.compare_digest(_without_scheme(value).encode(), self.token.encode())
            for value in given
        ]
        return any(matches)


class Guard:
    """The rules around an ASGI application."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it without reading its body."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        refusal = self._rules.check(scope.get("method", ""), scope["path"], headers)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        # Imported here, because the tests of the rules need no server.
        from codebuddy.serve.responses import error_response

        response = error_response(refusal.status, refusal.message)
        # What is left of the body is not read, so the connection cannot be used again.
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


def _media_type(headers: Mapping[str, list[str]]) -> str:
    values = headers.get("content-type", [])
    return values[0].partition(";")[0].strip().lower() if len(values) == 1 else ""


def _without_scheme(value: str) -> str:
    scheme, _, rest = value.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value.strip()
