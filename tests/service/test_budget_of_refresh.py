"""A time budget holds the refresh of the index too, which goes on behind the answer."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.engine.indexer import IndexWorker
from codebuddy.service.completion_service import CompletionService
from codebuddy.service.models import ModelCache
from codebuddy.service.refresh import update
from codebuddy.service.repositories import RepositoryCache, index_key
from codebuddy.service.request import CompletionRequest, SettingsSources
from codebuddy.settings import Settings
from tests.support.engine import wait_until
from tests.support.evaluation import indexed, make_shop


class HeldUpdate:
    """An update of an index that waits to be let go, and says whether it had to."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.is_over = threading.Event()

    def __call__(self, *arguments: object) -> list[str]:
        """As `refresh.update`."""
        assert self.may_go_on.wait(20.0)
        found = update(*arguments)  # type: ignore[arg-type]
        self.is_over.set()
        return found


@pytest.fixture
def held(monkeypatch):
    """The update of every index, held."""
    made = HeldUpdate()
    monkeypatch.setattr("codebuddy.service.refresh.update", made)
    yield made
    made.may_go_on.set()


def test_an_answer_with_a_budget_does_not_wait_for_the_whole_refresh(tmp_path, held):
    """The index is taken as it is, the response says so, and the next one has the new index."""
    root = make_shop(tmp_path / "shop")
    service = CompletionService(ModelCache(), RepositoryCache(), "before")
    request = CompletionRequest(str(root / "shop/cart.py"), 3, model="echo", budget_ms=60)
    sources = SettingsSources.of_this_process()
    response = service.complete(request, sources, CancellationToken())
    assert not held.is_over.is_set()
    assert ["could not be brought up to date" in each for each in response["warnings"]] == [True]
    held.may_go_on.set()
    assert held.is_over.wait(20.0)
    assert wait_until(lambda: not service._background._threads)
    later = CompletionRequest(str(root / "shop/cart.py"), 3, model="echo", budget_ms=600_000)
    assert service.complete(later, sources, CancellationToken())["warnings"] == []


def test_without_a_budget_the_refresh_is_waited_for(tmp_path, held):
    """As it always was."""
    root = make_shop(tmp_path / "shop")
    service = CompletionService(ModelCache(), RepositoryCache(), "before")
    request = CompletionRequest(str(root / "shop/cart.py"), 3, model="echo")
    held.may_go_on.set()
    response = service.complete(request, SettingsSources.of_this_process(), CancellationToken())
    assert held.is_over.is_set()
    assert response["warnings"] == []


def test_the_index_worker_waits_no_longer_than_it_is_told(tmp_path):
    """Not for a first build either, which goes on."""
    with indexed(make_shop(tmp_path / "shop")) as (repository, _):
        place = SimpleNamespace(repository=repository, settings=Settings())
        worker = IndexWorker(SimpleNamespace())  # type: ignore[arg-type]
        running: Future[str] = Future()
        worker._running[index_key(place)] = running  # type: ignore[arg-type]
        worker._first_builds.add(index_key(place))  # type: ignore[arg-type]
        assert worker._refresh(place, 1.0, limit_s=0.0) == []  # type: ignore[arg-type]
        assert not running.done()
