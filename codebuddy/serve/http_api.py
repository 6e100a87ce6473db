"""The HTTP interface of `codebuddy serve`: llama-server's `/infill` and OpenAI's completions.

Routes, bodies and streams; who may ask is `guard.py`'s business, what a request says that of
`infill.py` and `openai.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from codebuddy.errors import (
    CodebuddyError,
    ConfigError,
    DocumentError,
    EngineBusyError,
    SupersededError,
    UsageError,
)
from codebuddy.serve.fields import MAX_BODY_BYTES, parse_body
from codebuddy.serve.guard import Guard, Rules
from codebuddy.serve.infill import (
    RawRequest,
    cut_to_fields,
    infill_piece,
    infill_response,
    parse_infill,
)
from codebuddy.serve.openai import (
    CompletionResponses,
    model_entry,
    models_response,
    parse_completion,
)
from codebuddy.serve.raw_completion import Completion, RawCompleter
from codebuddy.serve.responses import error_body, error_response, event, json_response
from codebuddy.serve.unserved import unserved

# A body that has not arrived by then will not: 8 MiB take a tenth of a second here.
_BODY_TIMEOUT_S = 5.0
_CLIENT_ERRORS = (UsageError, DocumentError, ConfigError)


def run(completer: RawCompleter, rules: Rules, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        KeyboardInterrupt: It was SIGINT.
    """
    import uvicorn

    from codebuddy.serve.http_server import server_config

    uvicorn.Server(server_config(build_app(completer, rules))).run(sockets=[listener])


def build_app(completer: RawCompleter, rules: Rules) -> Guard:
    """The guarded application."""
    api = _Api(completer)
    table: list[tuple[str, Callable[[Request], Awaitable[Response]], str]] = [
        ("/health", api.health, "GET"),
        ("/v1/health", api.health, "GET"),
        ("/v1/models", api.models, "GET"),
        ("/models", api.models, "GET"),
        # A model's name may be a path.
        ("/v1/models/{name:path}", api.model, "GET"),
        ("/infill", api.infill, "POST"),
        ("/v1/completions", api.completions, "POST"),
    ]
    routes = [
        Route(path + ending, handler, methods=[method])
        for path, handler, method in table
        # Not a redirect: clients send a body or a token to the new place, or not.
        for ending in ("", "/")
    ]
    # Typed by Starlette for handlers of any exception, and called with these.
    handlers: Mapping[Any, Any] = {
        HTTPException: _http_error,
        CodebuddyError: _known_error,
        Exception: _unknown_error,
    }
    served = Starlette(routes=routes, exception_handlers=handlers)
    served.router.redirect_slashes = False
    return Guard(served, rules)


class _Api:
    """The endpoints."""

    def __init__(self, completer: RawCompleter) -> None:
        self._completer = completer

    async def health(self, _request: Request) -> Response:
        """The server runs."""
        return json_response({"status": "ok"})

    async def models(self, _request: Request) -> Response:
        """The model that answers."""
        return json_response(models_response(self._completer.model))

    async def model(self, request: Request) -> Response:
        """The model of that name."""
        name = request.path_params["name"]
        if name != self._completer.model:
            raise HTTPException(404, f"the model is {self._completer.model}, not {name:.200}")
        return json_response(model_entry(name))

    async def infill(self, request: Request) -> Response:
        """Complete between a prefix and a suffix, as llama-server does."""
        raw, wanted = parse_infill(await _read_body(request))
        model = self._completer.model

        def last(delta: str, done: Completion) -> list[bytes]:
            answer = infill_response(delta, done.receipt, model)
            return [event(answer | {"generation_settings": {}})]

        if raw.is_stream:
            return self._stream(request, raw, lambda delta: event(infill_piece(delta)), last)
        done = await self._complete(request, raw)
        return json_response(cut_to_fields(infill_response(done.text, done.receipt, model), wanted))

    async def completions(self, request: Request) -> Response:
        """Complete a prompt, with or without a suffix, as OpenAI does."""
        parameters = parse_completion(await _read_body(request))
        raw = parameters.raw
        answers = CompletionResponses(self._completer.model, parameters)

        def last(delta: str, done: Completion) -> list[bytes]:
            pieces = answers.last_pieces(delta, done.alternatives, done.receipt)
            return [*map(event, pieces), event("[DONE]")]

        if raw.is_stream:
            return self._stream(request, raw, lambda delta: event(answers.piece(delta)), last)
        done = await self._complete(request, raw)
        return json_response(answers.whole([done.text, *done.alternatives], done.receipt))

    async def _complete(self, request: Request, raw: RawRequest) -> Completion:
        """A completion that ends when the client leaves."""
        work = asyncio.ensure_future(self._completer.complete(raw))
        leaving = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise SupersededError("the client left")
            return work.result()
        finally:
            for task in (work, leaving):
                task.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    def _stream(
        self,
        request: Request,
        raw: RawRequest,
        piece: Callable[[str], bytes],
        last: Callable[[str, Completion], list[bytes]],
    ) -> Response:
        """Server-sent events: what was added each time, then the end with the costs."""

        async def events() -> AsyncIterator[bytes]:
            sent = ""
            try:
                async for text, done in self._completer.stream(raw):
                    # What was sent cannot be taken back: a text cut further back adds nothing.
                    delta = text[len(sent) :] if text.startswith(sent) else ""
                    sent += delta
                    if done is not None:
                        for each in last(delta, done):
                            yield each
                    elif delta:
                        yield piece(delta)
            except CodebuddyError as error:
                yield event(error_body(_status_of(error), _sentence(error)))

        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


async def _read_body(request: Request) -> dict[str, Any]:
    """The JSON object of the body; too large, too slow or no JSON is an error."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES >> 20} MiB")
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for part in request.stream():
                content += part
                if len(content) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES >> 20} MiB")
    except TimeoutError:
        raise HTTPException(408, "the body did not arrive in time") from None
    return parse_body(bytes(content))


async def _disconnected(request: Request) -> None:
    """Return when the client has closed the connection."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                return


def _status_of(error: CodebuddyError) -> int:
    if isinstance(error, EngineBusyError):
        return 429
    if isinstance(error, SupersededError):
        return 499
    return 400 if isinstance(error, _CLIENT_ERRORS) else 503


def _sentence(error: CodebuddyError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


async def _http_error(request: Request, error: HTTPException) -> Response:
    is_routed = "endpoint" in request.scope and error.status_code != HTTPStatus.METHOD_NOT_ALLOWED
    sentence = error.detail if is_routed else unserved(request.method, request.url.path)
    response = error_response(error.status_code, sentence)
    if allowed := (error.headers or {}).get("Allow"):
        response.headers["Allow"] = allowed
    # The rest of the body, if any, was not read.
    response.headers["Connection"] = "close"
    return response


async def _known_error(_request: Request, error: CodebuddyError) -> Response:
    return error_response(_status_of(error), _sentence(error))


async def _unknown_error(_request: Request, error: Exception) -> Response:
    return error_response(500, f"this is a bug in codebuddy: {type(error).__name__}")
