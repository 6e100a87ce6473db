"""Answers of the HTTP interface as bytes: JSON, errors and server-sent events.

It knows nothing of what they say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
}
# llama.vim looks for `"content":"` before it parses, so there must be no blank after a colon.
_COMPACT = (",", ":")


def encode_json(value: Any) -> bytes:
    """Compact JSON; non-ASCII is escaped, so that lone surrogates survive."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=_COMPACT).encode()


def json_response(value: Any, status: int = 200) -> Response:
    """One JSON document. No cache keeps it, and no header lets a web page read it."""
    return Response(
        encode_json(value),
        status_code=status,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        media_type="application/json",
    )


def error_response(status: int, message: str) -> Response:
    """An error, in the form that llama-server and OpenAI use."""
    return json_response(error_body(status, message), status)


def error_body(status: int, message: str) -> dict[str, Any]:
    """The error object of an answer."""
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"code": status, "message": message, "type": kind}}


def event(value: Mapping[str, Any] | str) -> bytes:
    """One server-sent event."""
    data = value.encode() if isinstance(value, str) else encode_json(value)
    return b"data: " + data + b"\n\n"
