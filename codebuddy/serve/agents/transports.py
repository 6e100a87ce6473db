"""The two ways to an agent server: stdin and stdout, and streamable HTTP on this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import anyio

from codebuddy.serve.agents.server import AgentServer
from codebuddy.serve.guard import Guard, Rules

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A call has some hundred bytes; a longer line is no message.
MAX_FRAME_BYTES = 4 << 20
PATH = "/mcp"


def run_stdio(agents: AgentServer, source: BinaryIO, sink: BinaryIO) -> None:
    """Serve one client until it closes its end, or is gone."""
    from mcp.server.stdio import stdio_server

    async def serve() -> None:
        server = agents.protocol
        # Typed for files of anyio's; it iterates over one, and writes and flushes the other.
        lines, out = cast("Any", _Frames(source)), cast("Any", _Out(sink))
        async with stdio_server(lines, out) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    try:
        asyncio.run(serve())
    except* BrokenPipeError:
        # A client that died reads no answers.
        pass


def run_http(agents: AgentServer, rules: Rules, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        KeyboardInterrupt: It was SIGINT.
    """
    import uvicorn
    from mcp.server.streamable_http_manager import (
        StreamableHTTPASGIApp,
        StreamableHTTPSessionManager,
    )

    from codebuddy.serve.http_server import server_config

    # Without sessions there are none to fill the memory with; every call stands alone.
    manager = StreamableHTTPSessionManager(
        agents.protocol, json_response=True, stateless=True, max_request_body_size=MAX_FRAME_BYTES
    )

    async def serve() -> None:
        async with manager.run():
            app = build_app(StreamableHTTPASGIApp(manager), rules)
            await uvicorn.Server(server_config(app)).serve(sockets=[listener])

    asyncio.run(serve())


def build_app(endpoint: ASGIApp, rules: Rules) -> Guard:
    """The guarded application: `endpoint` at its path, for POST alone, since there is no stream."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    served = Starlette(routes=[Route(PATH, _UntilLeft(endpoint), methods=["POST"])])
    # Clients would send their token to the new place, or not.
    served.router.redirect_slashes = False
    return Guard(served, rules)


class _UntilLeft:
    """An endpoint whose work is cancelled when its client leaves, which the library lets run."""

    def __init__(self, endpoint: ASGIApp) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One at a time: a body is read no faster than the endpoint takes it.
        messages: asyncio.Queue[Message] = asyncio.Queue(1)

        async def work() -> None:
            await self._endpoint(scope, messages.get, send)

        async def watch() -> None:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                await messages.put(message)

        working, watching = asyncio.ensure_future(work()), asyncio.ensure_future(watch())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (working, watching):
                each.cancel()
            outcomes = await asyncio.gather(working, watching, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]


class _Frames:
    """Lines of stdin, each a message; one beyond all measure is read past and is no message."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            # Given up when the server ends, or it would wait for a client that says nothing.
            line = await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True)
            if line is None:
                return
            if line.strip():
                yield line

    def _read(self) -> str | None:
        """The next line; `None` at the end."""
        line = self._source.readline(MAX_FRAME_BYTES + 1)
        if not line:
            return None
        if len(line) <= MAX_FRAME_BYTES:
            return line.decode("utf-8", "replace")
        while line and not line.endswith(b"\n"):
            line = self._source.readline(MAX_FRAME_BYTES + 1)
        return "a line that is too long"


class _Out:
    """stdout, for a writer that waits; given up with the server, as nobody may read."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    async def write(self, text: str) -> None:
        await anyio.to_thread.run_sync(
            self._sink.write, text.encode("utf-8", "replace"), abandon_on_cancel=True
        )

    async def flush(self) -> None:
        await anyio.to_thread.run_sync(self._sink.flush, abandon_on_cancel=True)
