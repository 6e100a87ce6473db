"""An engine that ends, workers that ended by themselves, and an index that is being made."""

from __future__ import annotations

import asyncio
import http
import signal
import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from codebuddy.engine import address
from codebuddy.engine.client import EngineClient
from codebuddy.engine.exchange import EngineExitedError
from codebuddy.engine.indexer import IndexWorker
from codebuddy.engine.server import _Interface
from codebuddy.engine.state import ShuttingDownError
from codebuddy.engine.supervisor import WorkerProcess
from codebuddy.service.repositories import index_key
from codebuddy.settings import EngineSettings, Settings
from tests.support.engine import call
from tests.support.evaluation import indexed, make_shop


def like(**fields: Any) -> Any:
    """Something with these fields, in the place of what has more."""
    return SimpleNamespace(**fields)


def test_an_engine_that_ends_says_so_in_the_status():
    """It is no fault of the request, which another engine can answer."""

    async def handler(_request):
        raise ShuttingDownError("the engine ends: idle")

    interface = _Interface(like(), like(identity="x"))
    guarded: Any = interface.guarded(handler)
    answer = asyncio.run(guarded(like(headers={})))
    assert answer.status_code == http.HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.usefixtures("engine")
def test_a_client_takes_an_engine_that_ends_for_one_that_left(repository):
    """So that it starts the next one, where it may."""
    listener = address.listen(address.prepare_folder())

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    client = EngineClient(EngineSettings(), may_start=False, timeout_s=20.0)
    with pytest.raises(EngineExitedError, match="ended before it answered"):
        client.complete(call(repository))
    listener.close()


def test_a_worker_that_ended_by_itself_is_not_said_to_be_killed():
    """Its own exit status counts, seen late or not; only a kill has the reason of the kill."""
    worker = WorkerProcess("model", "m", 1.0, lambda _: None, lambda _: None)
    worker._kill_reason = "it closed its end"
    assert worker._reason(-signal.SIGKILL) == "it closed its end"
    assert worker._reason(-signal.SIGSEGV) == "ended by SIGSEGV"
    assert worker._reason(3) == "ended with code 3"


def test_a_first_build_is_waited_for_though_its_file_is_there(tmp_path):
    """Who asks meanwhile waits as long as the one who began it."""
    with indexed(make_shop(tmp_path / "shop")) as (repository, _):
        place = like(repository=repository, settings=Settings())
        worker = IndexWorker(like())
        running: Future[str] = Future()
        worker._running[index_key(place)] = running
        assert worker._refresh(place, 0.0, may_be_old=True) == []
        worker._first_builds.add(index_key(place))
        ending = threading.Timer(0.3, running.set_result, ["it failed"])
        ending.start()
        assert worker._refresh(place, 0.0, may_be_old=True) == ["it failed"]
