"""The tiers of the tests: which of them start programs, load weights, or wait.

A test without a marker belongs to the fast tier (`make test-fast`). The guard fails it when it, or
a fixture that it asks for, does what only a marked test may do.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine, Generator, Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from codebuddy.inference.llama import LlamaGenerator

MARKERS = ("model", "process", "terminal", "slow")
# Fixtures that do what a marker stands for: a test that asks for one gets the marker.
MARKED_FIXTURES = {
    "default_model": "model",
    "small_model": "model",
    "engine": "process",
}
# About how many seconds a test of a tier takes; one without a marker, a twentieth.
_WEIGHTS = {"model": 2.0, "process": 1.0, "terminal": 3.0, "slow": 5.0}
# git is quick to start, and most tests need a repository; `platform` asks uname once.
FAST_PROGRAMS = {"git", "uname"}
MAX_SLEEP_S = 0.05
_TESTS = str(Path(__file__).parents[1])
_STARTS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}


class TierError(AssertionError):
    """A test of the fast tier does what needs a marker."""


class _Watch:
    """What is done meanwhile; `found` is None while anything may be done."""

    def __init__(self) -> None:
        self.found: list[str] | None = None
        self.should_refuse = False

    def notice(self, what: str, marker: str) -> None:
        """Note `what`, and refuse it in a test of the fast tier."""
        if self.found is None:
            return
        sentence = f"{what}: mark the test `{marker}`"
        self.found.append(sentence)
        if self.should_refuse:
            raise TierError(sentence)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: what Python is about to start."""
        if self.found is None or event not in _STARTS:
            return
        program = str(arguments[0]) if event == "subprocess.Popen" else event
        if PurePath(program).name not in FAST_PROGRAMS:
            self.notice(f"it starts {program}", "process")


_watch = _Watch()
# A hook stays for as long as the process lives, so there is one for all tests.
sys.addaudithook(_watch.audit)
# What fixtures of a module or of all tests did as they were set up, by their place and name.
_of_fixtures: dict[tuple[str, str], list[str]] = {}


def _watch_weights() -> None:
    load = LlamaGenerator.__init__

    def watched(self: LlamaGenerator, *arguments: Any, **named: Any) -> None:
        _watch.notice("it loads a model", "model")
        load(self, *arguments, **named)

    LlamaGenerator.__init__ = watched  # type: ignore[method-assign]


_watch_weights()


def add_markers(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for a fixture which starts a program or loads weights."""
    for item in items:
        for name, marker in MARKED_FIXTURES.items():
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        if item.get_closest_marker("terminal"):
            item.add_marker("process")


def sort_by_weight(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, lest one worker end long after the others.

    The tests of a file stay together, in their order.
    """
    weights: dict[Path, float] = defaultdict(float)
    for item in items:
        found = [_WEIGHTS[name] for name in MARKERS if item.get_closest_marker(name)]
        weights[item.path] += max(found, default=0.05)
    items.sort(key=lambda item: (-weights[item.path], str(item.path)))


def watch_fixture(fixture: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Note what a fixture that several tests share does as it is set up."""
    if fixture.scope == "function":
        return (yield)
    before, _watch.found = _watch.found, []
    try:
        return (yield)
    finally:
        if _watch.found:
            _of_fixtures[fixture.baseid, fixture.argname] = _watch.found
        _watch.found = before


def guard(item: pytest.Item, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test of the fast tier that starts a program, loads weights or sleeps."""
    if any(item.get_closest_marker(name) for name in MARKERS):
        yield
        return
    _refuse_sleep(patch)
    found = [
        sentence
        for (place, name), sentences in _of_fixtures.items()
        if item.nodeid.startswith(place) and name in getattr(item, "fixturenames", ())
        for sentence in sentences
    ]
    _watch.found, _watch.should_refuse = found, True
    try:
        yield
    finally:
        _watch.found, _watch.should_refuse = None, False
    # The code under test may have swallowed the error.
    if found:
        pytest.fail("; ".join(found), pytrace=False)


def _is_own(file: Path) -> bool:
    """Whether it is a test, or what the test uses, that waits."""
    is_pilot = file.parts[-2:] == ("textual", "pilot.py")
    return is_pilot or file.name.startswith("test_") or file.is_relative_to(_TESTS)


def _refuse_sleep(patch: pytest.MonkeyPatch) -> None:
    sleep, sleep_async = time.sleep, asyncio.sleep

    def guarded(seconds: float) -> None:
        # Other threads may wait as long as they like, and so may tasks of the code under test.
        if seconds > MAX_SLEEP_S and threading.current_thread() is threading.main_thread():
            _watch.notice(f"it sleeps {seconds} s", "slow")
        sleep(seconds)

    def guarded_async(seconds: float, *arguments: Any) -> Coroutine[Any, Any, Any]:
        caller = Path(sys._getframe(1).f_code.co_filename)
        if seconds > MAX_SLEEP_S and _is_own(caller):
            _watch.notice(f"it sleeps {seconds} s", "slow")
        return sleep_async(seconds, *arguments)

    patch.setattr(time, "sleep", guarded)
    patch.setattr(asyncio, "sleep", guarded_async)
