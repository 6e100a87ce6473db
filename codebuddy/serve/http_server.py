"""How uvicorn serves a guarded application: no logs, no proxies, and an end to what is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

# A local model answers one at a time; more connections than this are no editors.
_MAX_CONNECTIONS = 64
_KEEP_ALIVE_S = 30
_SHUTDOWN_S = 2


def server_config(app: ASGIApp) -> uvicorn.Config:
    """The configuration of a server for `app`."""
    import uvicorn

    from codebuddy.serve.deadline import DeadlineProtocol

    return uvicorn.Config(
        app,
        loop="asyncio",
        http=DeadlineProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
