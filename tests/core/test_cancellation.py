"""A request's token: cancelled once, from any thread, with callbacks for what blocks."""

from __future__ import annotations

import threading

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.errors import SupersededError


def test_check_raises_only_after_cancel():
    """A fresh token lets everything pass; a cancelled one says why it does not."""
    token = CancellationToken()
    token.check()
    before = token.is_cancelled
    token.cancel()
    assert (before, token.is_cancelled) == (False, True)
    with pytest.raises(SupersededError, match="cancelled"):
        token.check()


def test_a_callback_runs_once_and_only_inside_its_context():
    """Cancelling twice calls it once; after the context it is not called any more."""
    token, called = CancellationToken(), []
    with token.on_cancel(lambda: called.append("inside")):
        token.cancel()
        token.cancel()
    assert called == ["inside"]
    other = CancellationToken()
    with other.on_cancel(lambda: called.append("outside")):
        pass
    other.cancel()
    assert called == ["inside"]


def test_a_callback_that_comes_late_is_called_at_once():
    """What begins to wait after the cancellation does not wait."""
    token, called = CancellationToken(), []
    token.cancel()
    with token.on_cancel(lambda: called.append("late")):
        assert called == ["late"]


def test_leaving_the_context_waits_for_a_running_callback():
    """Once it is left, no other thread is inside the callback: a socket may be used again."""
    token = CancellationToken()
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def callback() -> None:
        begun.set()
        may_end.wait(60)
        ended.append(True)

    entered = threading.Event()

    def work() -> None:
        with token.on_cancel(callback):
            entered.set()
            begun.wait(60)
            may_end.set()
        ended.append(False)

    worker = threading.Thread(target=work)
    worker.start()
    assert entered.wait(60)
    token.cancel()
    worker.join(60)
    assert ended == [True, False]
