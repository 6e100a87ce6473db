"""What every front door without the engine has in common: one service behind all of them."""

from __future__ import annotations

import asyncio
import atexit
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codebuddy import paths, platforms
from codebuddy.cancellation import CancellationToken
from codebuddy.errors import SupersededError
from codebuddy.index.seeding import LOCK_NAME
from codebuddy.service.completion_service import CompletionService
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.models import ModelCache
from codebuddy.service.refresh import BackgroundRefresh
from codebuddy.service.repositories import RepositoryCache
from codebuddy.service.request import CompletionRequest, SettingsSources
from codebuddy.service.response import CompletionResponse
from codebuddy.tui.backend import SuggestionRequest
from codebuddy.vcs.repository import open_repository
from tests.conftest import SMALL_MODEL
from tests.support.backends import OwnBackend
from tests.support.engine import wait_until
from tests.support.evaluation import make_shop

CALL = "\nprice = apply_discount("


def index_file(root: Path) -> Path:
    """The repository's index."""
    return open_repository(root).index_folder / "index.db"


def by_client(root: Path, **more: object) -> CompletionResponse:
    """From an editor's server: a place where a lookup is possible."""
    file = root / "shop/cart.py"
    text = file.read_text() + CALL
    fields: dict[str, object] = {"client": "me", "priority": "typing", **more}
    request = CompletionRequest(str(file), text.count("\n") + 1, None, text, **fields)  # type: ignore[arg-type]
    return InProcessClient("echo").complete(request)


def by_tui(root: Path, retrieve: str | None = None) -> CompletionResponse:
    """From the editor in the terminal."""
    file = root / "shop/cart.py"
    text = file.read_text() + CALL
    request = SuggestionRequest(file, text, text.count("\n") + 1, 24, retrieve)

    async def work() -> CompletionResponse:
        backend = OwnBackend(root, "echo")
        try:
            return await backend.complete(request)
        finally:
            backend.close()

    return asyncio.run(work())


FRONT_DOORS: dict[str, Callable[..., CompletionResponse]] = {"serve": by_client, "tui": by_tui}


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_an_index_is_built_beside_the_completions(tmp_path, front_door):
    """No command has to be run for it."""
    root = make_shop(tmp_path / "shop")
    assert FRONT_DOORS[front_door](root)["text"]
    assert wait_until(index_file(root).exists)


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_never_neither_opens_nor_builds_an_index(tmp_path, front_door):
    """Where nothing may be looked up, there is nothing to warn of either."""
    root = make_shop(tmp_path / "shop")
    response = FRONT_DOORS[front_door](root, retrieve="never")
    assert (response["warnings"], bool(response["text"])) == ([], True)
    assert not index_file(root).parent.exists()


def test_a_damaged_index_leaves_completion_going_on_with_a_warning(tmp_path):
    """It is no error, and not silent."""
    root = make_shop(tmp_path / "shop")
    file = index_file(root)
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_bytes(b"no database" * 1000)
    # Else the refresh might build it anew before it is asked.
    response = by_client(root, should_update=False)
    assert response["text"]
    assert any("completing without lookups" in each for each in response["warnings"])


def test_an_index_that_cannot_be_rebuilt_is_not_said_to_be(tmp_path, monkeypatch):
    """Why its update failed is told beside that it cannot be opened."""
    monkeypatch.setattr("codebuddy.service.refresh.LOCK_TIMEOUT_S", 0.0)
    root = make_shop(tmp_path / "shop")
    file = index_file(root)
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_bytes(b"no database" * 1000)
    before = CompletionService(ModelCache(), RepositoryCache(), "before")
    request = CompletionRequest(str(root / "shop/cart.py"), 3, model="echo")
    sources = SettingsSources.of_this_process()
    with platforms.exclusive_lock(file.parent / LOCK_NAME, 0.0):
        told = before.complete(request, sources, CancellationToken())["warnings"]
    assert "another process has been updating" in told[0]
    assert "using the index as it is" in told[0]
    assert "completing without lookups" in told[1]
    assert len(told) == 2
    told = before.complete(request, sources, CancellationToken())["warnings"]
    assert told == []


def test_refreshing_an_index_for_days_leaves_nothing_behind(tmp_path):
    """What is to be done when the process ends is noted once, not at each refresh."""
    root = make_shop(tmp_path / "shop")
    sources = SettingsSources.of_this_process()
    context, _ = RepositoryCache().repository_context(str(root), sources, {})
    refresh = BackgroundRefresh()

    def refresh_now() -> int:
        refresh._started_at.clear()
        refresh.start(context)
        assert wait_until(lambda: not refresh._threads)
        return atexit._ncallbacks()

    assert refresh_now() == refresh_now()


def test_one_who_types_and_cannot_take_text_back_gets_the_rule(tmp_path):
    """A second text would be waited for at every pause; who asks gets the head's decision."""
    root = make_shop(tmp_path / "shop")
    by_client(root)
    assert wait_until(index_file(root).exists)
    assert wait_until(lambda: by_client(root)["warnings"] == [])
    assert by_client(root)["decision"]["head"] == ""
    assert by_client(root, takes_back=True)["decision"]["head"] != ""
    assert by_client(root, priority="ask")["decision"]["head"] != ""


def service() -> tuple[CompletionService, SettingsSources]:
    """One for this process."""
    made = CompletionService(ModelCache(), RepositoryCache(), "external")
    return made, SettingsSources.of_this_process()


def real_request(root: Path, line: int = 6, **more: object) -> CompletionRequest:
    """For the small model, without a lookup."""
    fields: dict[str, object] = {"retrieve": "never", "model": str(SMALL_MODEL), **more}
    return CompletionRequest(str(root / "cart.py"), line, **fields)  # type: ignore[arg-type]


@pytest.mark.model
def test_a_budget_counts_from_the_arrival(repository):
    """What waited for its turn longer than its budget gets what there is at once."""
    completions, sources = service()
    request = real_request(repository, budget_ms=60_000)
    late = completions.complete(
        request, sources, CancellationToken(), arrived_s=time.perf_counter() - 61
    )
    in_time = completions.complete(request, sources, CancellationToken())
    completions.close()
    assert (late["finish_reason"], late["text"]) == ("budget", "")
    assert in_time["finish_reason"] != "budget"


def test_a_request_cancelled_before_its_turn_loads_no_model(repository):
    """Nothing is begun for nobody."""
    loaded: list[str] = []
    models = ModelCache(on_loaded=lambda generator, _: loaded.append(generator.name))
    completions = CompletionService(models, RepositoryCache(), "external")
    token = CancellationToken()
    token.cancel()
    request = real_request(repository)
    with pytest.raises(SupersededError):
        completions.complete(request, SettingsSources.of_this_process(), token)
    assert loaded == []


@pytest.mark.model
def test_latencies_are_kept_and_the_engines_state_is_left_alone(repository):
    """Only the engine's worker takes up and saves what its model has read."""
    worker = CompletionService(ModelCache(persists_kv_state=True), RepositoryCache(), "external")
    sources = SettingsSources.of_this_process()
    text = "def total(items):\n    return sum(items)\n" * 10
    worker.complete(real_request(repository, 20, text=text), sources, CancellationToken())
    worker.close()
    (state,) = paths.engine_state_folder().glob("*.kv")
    before = state.stat().st_mtime_ns
    paths.latency_file().unlink()
    InProcessClient().complete(real_request(repository, 20, text=text))
    assert paths.latency_file().is_file()
    assert state.stat().st_mtime_ns == before
