"""The engine's HTTP interface over its Unix socket: checks, deadlines, streams of lines.

uvicorn and starlette speak HTTP; whose connection it is, how large a request may be and how
long it may take are decided here. `request_handler.py` handles the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from codebuddy import platforms
from codebuddy.engine import address
from codebuddy.engine.job import Job
from codebuddy.engine.protocol import (
    ALIVE_EVERY_S,
    IDENTITY_HEADER,
    MAX_HEAD_BYTES,
    ask_from_message,
    call_from_message,
    decode_message,
    encode_line,
    error_to_wire,
    search_from_message,
)
from codebuddy.engine.request_handler import RequestHandler
from codebuddy.engine.state import EngineState, ShuttingDownError
from codebuddy.errors import CodebuddyError, EngineBusyError, EngineError, UsageError
from codebuddy.service.request import MAX_TEXT_BYTES, TuningCall

# One byte more than the largest document, so that the size error can name it.
_MAX_BODY_BYTES = MAX_TEXT_BYTES + MAX_HEAD_BYTES + 1
# 32 MiB take 0.1 s over a Unix socket; a client that needs longer hangs or is hostile.
REQUEST_DEADLINE_S = 5.0
_SEARCH_LIMIT_S = 60.0
_MAX_CONNECTIONS = 512
_MAX_NAME = 200
_LINES = "application/x-ndjson"

_log = logging.getLogger("codebuddy.engine")


class OwnUserProtocol(H11Protocol):
    """HTTP for connections of this user alone, whose request's head comes in time."""

    _deadline: asyncio.TimerHandle | None = None
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Drop connections of other users, and more of them than anybody needs."""
        connection = transport.get_extra_info("socket")
        peer = platforms.peer_of(connection)
        user = os.geteuid() if peer is None else peer[1]
        if user != os.geteuid() or len(self.connections) >= _MAX_CONNECTIONS:
            _log.warning("refused a connection of user %d", user)
            transport.abort()
            self._is_refused = True
            return
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_DEADLINE_S, self._end_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._is_refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless the connection was refused."""
        if not self._is_refused:
            super().data_received(data)

    def _end_if_silent(self) -> None:
        if not self.cycle:
            _log.warning("a connection sent no request within %.0f s", REQUEST_DEADLINE_S)
            self.transport.abort()


def make_app(handler: RequestHandler, state: EngineState) -> Starlette:
    """The routes."""
    interface = _Interface(handler, state)
    posts: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/v1/complete": interface.complete,
        "/v1/search": interface.search,
        "/v1/ask": interface.ask,
        "/v1/load": interface.load,
        "/v1/tune": interface.tune,
        "/v1/prewarm": interface.prewarm,
        "/v1/cancel": interface.cancel,
        "/v1/accepted": interface.accepted,
        "/v1/stop": interface.stop,
    }
    routes = [
        Route(path, interface.guarded(handler), methods=["POST"]) for path, handler in posts.items()
    ]
    routes.append(Route("/v1/status", interface.guarded(interface.status), methods=["GET"]))
    return Starlette(routes=routes)


def make_server(
    handler: RequestHandler, state: EngineState, drain_timeout_s: int
) -> uvicorn.Server:
    """The server, which exits once `state` ends; running requests get `drain_timeout_s`."""
    config = uvicorn.Config(
        make_app(handler, state),
        http=OwnUserProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        backlog=address.BACKLOG,
        date_header=False,
        server_header=False,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=drain_timeout_s,
    )
    server = _Server(config)

    def leave() -> None:
        server.should_exit = True

    state.on_end = leave
    return server


class _Server(uvicorn.Server):
    """uvicorn's, with the signals left to us: it would raise them again before we cleaned up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Interface:
    """One method for each route."""

    def __init__(self, handler: RequestHandler, state: EngineState) -> None:
        self._handler = handler
        self._state = state

    def guarded(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """`handler` for clients that fit this engine, with errors of ours as answers."""

        async def answer(request: Request) -> Response:
            theirs = request.headers.get(IDENTITY_HEADER)
            if theirs is not None and theirs != self._state.identity:
                error = EngineError("the engine is of another version or has other settings")
                return _refusal(http.HTTPStatus.CONFLICT, error)
            try:
                return await handler(request)
            except EngineBusyError as error:
                return _refusal(http.HTTPStatus.TOO_MANY_REQUESTS, error)
            except ShuttingDownError as error:
                return _refusal(http.HTTPStatus.SERVICE_UNAVAILABLE, error)
            except CodebuddyError as error:
                return _refusal(http.HTTPStatus.BAD_REQUEST, error)
            except ClientDisconnect:
                return Response(status_code=http.HTTPStatus.BAD_REQUEST)

        return answer

    async def complete(self, request: Request) -> Response:
        """A suggestion, as lines."""
        head, body = await _message(request)
        call = call_from_message(_part(head, "call"), body)
        arrived = time.monotonic()
        self._state.touch()
        self._state.check_not_ending()

        async def lines() -> AsyncIterator[bytes]:
            refreshed = asyncio.ensure_future(self._handler.index.refresh(call, head, arrived))
            try:
                async for line in _while_waiting(refreshed):
                    yield line
                warnings = refreshed.result()
                job = self._handler.complete(call, head, arrived)
            except CodebuddyError as error:
                yield _error_line(error)
                return
            finally:
                refreshed.cancel()
            async for line in self._event_lines(job, warnings):
                yield line

        if call.priority == "ask":
            self._handler.check_room()
            return StreamingResponse(lines(), media_type=_LINES)
        # No update is waited for: busy can be said in the status.
        await self._handler.index.refresh(call, head)
        job = self._handler.complete(call, head)
        return StreamingResponse(self._event_lines(job, []), media_type=_LINES)

    async def ask(self, request: Request) -> Response:
        """The model's answer to a question, as lines."""
        head, body = await _message(request)
        asked = ask_from_message(_part(head, "ask"), body)
        self._state.touch()
        self._state.check_not_ending()
        self._handler.check_room()
        job = Job("ask", head, body, asked.client)
        self._handler.counts["questions"] += 1
        self._handler.dispatcher.submit(job)
        return StreamingResponse(self._event_lines(job, []), media_type=_LINES)

    async def load(self, request: Request) -> Response:
        """Load the model; what it uses, as lines."""
        head, _ = await _message(request)
        self._state.touch()
        self._state.check_not_ending()
        job = Job("load", head)
        self._handler.dispatcher.submit(job)
        return StreamingResponse(self._event_lines(job, []), media_type=_LINES)

    async def tune(self, request: Request) -> Response:
        """Measure how the model runs best; steps and what was found, as lines."""
        head, _ = await _message(request)
        TuningCall.from_message(head)
        self._state.touch()
        self._state.check_not_ending()
        job = Job("tune", head, client="tune", priority="background")
        self._handler.dispatcher.submit(job)
        return StreamingResponse(self._event_lines(job, []), media_type=_LINES)

    async def search(self, request: Request) -> Response:
        """The best chunks, as lines."""
        head, body = await _message(request)
        options = search_from_message(_part(head, "wish"))
        self._state.touch()
        self._state.check_not_ending()
        self._handler.counts["searches"] += 1
        found = asyncio.ensure_future(
            self._handler.index.query("search", options, head, body, _SEARCH_LIMIT_S)
        )

        async def lines() -> AsyncIterator[bytes]:
            try:
                async for line in _while_waiting(found):
                    yield line
                yield encode_line({"type": "result", "result": found.result()})
                self._handler.named(found.result())
            except CodebuddyError as error:
                yield _error_line(error)
            except TimeoutError:
                yield _error_line(EngineError(f"the search took over {_SEARCH_LIMIT_S:.0f} s"))
            finally:
                found.cancel()

        return StreamingResponse(lines(), media_type=_LINES)

    async def prewarm(self, request: Request) -> Response:
        """Evaluate a prompt when idle; answers at once."""
        head, body = await _message(request)
        self._state.touch()
        self._handler.prewarm(call_from_message(_part(head, "call"), body), head)
        return _answer({"prewarm": True})

    async def cancel(self, request: Request) -> Response:
        """End a client's requests, or one of them."""
        head, _ = await _message(request)
        client, name = head.get("client", ""), head.get("request", "")
        if not isinstance(client, str) or not isinstance(name, str) or len(name) > _MAX_NAME:
            raise UsageError("client and request must be texts, and request a short one")
        self._state.touch()
        count = self._handler.cancel(client, name)
        return _answer({"cancelled": count})

    async def accepted(self, request: Request) -> Response:
        """Count what a user took."""
        head, _ = await _message(request)
        characters = head.get("characters")
        if type(characters) is not int or not 0 <= characters <= MAX_TEXT_BYTES:
            raise UsageError("characters must be a whole number of characters")
        self._state.touch()
        self._handler.counts["accepted"] += 1
        self._handler.counts["accepted_characters"] += characters
        return _answer({"accepted": True})

    async def status(self, request: Request) -> Response:
        """What the engine is and did."""
        return _answer(await asyncio.to_thread(self._state.describe, self._handler))

    async def stop(self, request: Request) -> Response:
        """Take no more requests, finish what runs, leave."""
        self._state.end("it was told to")
        return _answer({"stopping": True})

    async def _event_lines(self, job: Job, warnings: list[str]) -> AsyncIterator[bytes]:
        """A job's events as lines, with a heartbeat every second; ends when the client is gone."""
        try:
            while True:
                try:
                    event = await asyncio.wait_for(job.events.get(), ALIVE_EVERY_S)
                except TimeoutError:
                    yield encode_line(
                        {"type": "alive", "waiting": self._handler.dispatcher.n_waiting}
                    )
                    continue
                if event["type"] == "result" and warnings:
                    told = event["result"].get("warnings", [])
                    event["result"] = event["result"] | {"warnings": [*warnings, *told]}
                yield encode_line(event)
                if event["type"] in ("result", "error"):
                    return
        finally:
            self._state.touch()
            if not job.is_finished:
                self._handler.counts["cancelled"] += 1
                self._handler.dispatcher.cancel(job)


async def _while_waiting(work: asyncio.Future[Any]) -> AsyncIterator[bytes]:
    """Signs of life until `work` is done."""
    while not (await asyncio.wait([work], timeout=ALIVE_EVERY_S))[0]:
        yield encode_line({"type": "alive", "waiting": 0})


async def _message(request: Request) -> tuple[dict[str, Any], bytes]:
    """A request's head and raw bytes.

    Raises:
        UsageError: It is too large, comes too slowly, or is no message.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > _MAX_BODY_BYTES:
        raise UsageError(f"a request may have {_MAX_BODY_BYTES} bytes")
    content = bytearray()
    try:
        async with asyncio.timeout(REQUEST_DEADLINE_S):
            async for part in request.stream():
                content += part
                if len(content) > _MAX_BODY_BYTES:
                    raise UsageError(f"a request may have {_MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise UsageError(f"the request did not arrive within {REQUEST_DEADLINE_S:.0f} s") from None
    return decode_message(bytes(content))


def _part(head: dict[str, Any], name: str) -> dict[str, Any]:
    part = head.get(name)
    if not isinstance(part, dict):
        raise UsageError(f"the request has no {name}")
    return part


def _answer(value: Mapping[str, object]) -> Response:
    return Response(encode_line(value), media_type="application/json")


def _refusal(status: http.HTTPStatus, error: CodebuddyError) -> Response:
    # What is left of the body is not read: the connection is of no further use.
    return Response(
        encode_line(error_to_wire(error)),
        status_code=status,
        media_type="application/json",
        headers={"Connection": "close"},
    )


def _error_line(error: CodebuddyError) -> bytes:
    return encode_line({"type": "error", **error_to_wire(error)})
