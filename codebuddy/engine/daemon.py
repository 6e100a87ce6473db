"""The engine's daemon: takes the lifetime lock, listens, serves, exits when idle.

`launcher.py` starts it as `python -P -m codebuddy.engine.daemon FOLDER DESCRIPTOR` and waits
on the descriptor for its word. It imports no native model code: workers do.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy import __version__, paths, platforms, saved_kv
from codebuddy.config import load_settings
from codebuddy.engine import address, launcher
from codebuddy.engine.state import EngineState
from codebuddy.errors import CodebuddyError, EngineError
from codebuddy.settings import EngineSettings

if TYPE_CHECKING:
    from codebuddy.engine.idle_tuning import IdleTuner
    from codebuddy.engine.request_handler import RequestHandler

# An engine that drains holds the lock until its last request has ended.
_LOCK_TIMEOUT_S = 30.0
_DRAIN_TIMEOUT_S = 20
_POLL_S = 0.5
_MAX_LOG_BYTES = 1 << 20
_LOG_FILES = 2

_log = logging.getLogger("codebuddy.engine")


def run_engine(folder: Path, starter: int, idle_s: float | None = None) -> None:
    """Run an engine until it has a reason to leave.

    Args:
        folder: Where its socket lies.
        starter: A descriptor that takes the word on how the start went.
        idle_s: Seconds without a request after which it leaves; by default the settings'.
    """
    os.umask(0o077)
    try:
        settings = load_settings().settings.engine
        _open_log()
        with platforms.exclusive_lock(folder / address.LIFETIME_LOCK_NAME, _LOCK_TIMEOUT_S):
            listener = address.listen(folder)
            saved_kv.drop_left_behind()
            idle_s = settings.idle_minutes * 60.0 if idle_s is None else idle_s
            asyncio.run(
                _serve_until_exit(
                    EngineState(folder, settings, idle_s), settings, listener, starter
                )
            )
    except TimeoutError:
        launcher.report_to_starter(starter, EngineError("another engine has not ended yet"))
    except CodebuddyError as error:
        launcher.report_to_starter(starter, error)
    except OSError as error:
        reason = f"the engine cannot be started: {error.strerror or error}"
        launcher.report_to_starter(starter, EngineError(reason))


async def _serve_until_exit(
    state: EngineState, settings: EngineSettings, listener: socket.socket, starter: int
) -> None:
    """Serve on `listener` until there is a reason to leave."""
    # 0.2 s to import, after the lock: an engine that must not live is gone before.
    from codebuddy.engine.idle_tuning import IdleTuner
    from codebuddy.engine.request_handler import RequestHandler
    from codebuddy.engine.server import make_server

    handler = RequestHandler(settings)
    tuner = IdleTuner(handler.dispatcher, settings.tune)
    server = make_server(handler, state, _DRAIN_TIMEOUT_S)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, state.end, f"it got {number.name}")
    works = [
        asyncio.create_task(handler.dispatcher.run()),
        asyncio.create_task(_watch(state, handler, tuner)),
    ]
    _log.info("engine %s started: process %d", __version__, os.getpid())
    launcher.report_to_starter(starter, None)
    try:
        await server.serve(sockets=[listener])
    finally:
        state.end("its server ended")
        for work in works:
            work.cancel()
        await handler.close()
        _log.info("engine ended: %s", state.end_reason)


async def _watch(state: EngineState, handler: RequestHandler, tuner: IdleTuner) -> None:
    """End the engine when there is a reason; have the model measured when there is none."""
    while not state.end_reason:
        await asyncio.sleep(_POLL_S)
        tuner.tick(state.idle_s)
        if reason := state.exit_reason(is_idle=handler.is_idle):
            state.end(reason)


def _open_log() -> None:
    """A log of ids and counts, for this user alone, in two files of 1 MiB at most.

    Where it cannot be written, or the disk is full, the engine goes on without it.
    """
    logging.raiseExceptions = False
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    _log.setLevel(logging.INFO)
    _log.propagate = False
    try:
        file = paths.ensure_folder(paths.log_folder()) / paths.engine_log_file().name
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=_MAX_LOG_BYTES, backupCount=_LOG_FILES - 1, encoding="utf-8"
        )
    except (OSError, CodebuddyError):
        _log.addHandler(logging.NullHandler())
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(handler)


if __name__ == "__main__":
    platforms.detach_from_starter()
    run_engine(Path(sys.argv[1]), int(sys.argv[2]))
