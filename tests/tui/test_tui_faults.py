"""What can go wrong around the editor: hostile names and texts, vanishing files, dying engines."""

from __future__ import annotations

import asyncio
import os
import random
import re
from functools import partial
from typing import NoReturn

import psutil
import pytest
from textual.widgets import Input
from textual.worker import WorkerFailed

from codebuddy.engine.client import EngineClient
from codebuddy.errors import EngineError
from codebuddy.service.response import CompletionResponse, ResponseFormError, checked
from codebuddy.tui.document_store import DocumentStore
from codebuddy.tui.palette import palette_of
from codebuddy.tui.screens.indexing import index_report
from codebuddy.tui.screens.picker import PickerScreen
from codebuddy.tui.session_statistics import SessionStatistics, sparkline
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.ghost import Ghost
from codebuddy.tui.widgets.painting import paint
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel, cost_content, decision_content
from tests.support.backends import EngineBackend, OwnBackend
from tests.support.responses import completion_response, decided
from tests.support.tui_pilot import journey

HOSTILE = [
    "\x1b]52;c;QUFB\x07",
    "\x1b]0;title\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x9b31m",
    "\x9d52;c;AA\x9c",
    "\x1b",
    "[@click=app.leave]x[/]",
    "[/",
    "[bold",
    "\u202eevil\u2066",
    "\r\x08\x7f",
    "a\x00b",
]


def has_control(text):
    """Whether a text holds a control character other than newline."""
    return any((ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in text)


def test_ten_thousand_hostile_lines_are_painted_without_a_control_byte():
    """Whatever lines hold, their cells are printable and fill the row exactly."""
    chance = random.Random(1)
    base = palette_of("codebuddy-dark")["variable"]
    for _ in range(10_000):
        line = "".join(
            chance.choice([*HOSTILE, "word ", "\t", "中", "e\u0301", chr(chance.randrange(0x250))])
            for _ in range(chance.randrange(6))
        ).replace("\n", "")
        segments = paint(line, [], base, 4, chance.choice([0, 0, 7]), 60)
        assert not has_control("".join(segment.text for segment in segments))
        assert sum(segment.cell_length for segment in segments) == 60


@pytest.mark.parametrize("payload", HOSTILE)
def test_a_receipt_of_hostile_texts_is_text(payload):
    """Names, reasons and models are shown letter by letter."""
    receipt = completion_response(
        decision=decided(reason=payload, mode=payload, retrieve=True)["decision"],
        model=payload,
        filters=[payload],
        warnings=[payload],
        timings_ms={"prefill": 1.0, "total": 0.0},
    )
    shown = decision_content(receipt).plain + cost_content(receipt).plain
    assert not has_control(shown)
    if payload.startswith("["):
        assert payload in shown


@pytest.mark.parametrize(
    "receipt", [{}, {"decision": 3}, {"chunks": "x", "timings_ms": [], "warnings": 3}]
)
def test_a_receipt_of_another_shape_does_not_reach_the_panel(receipt):
    """The client refuses it, whatever engine sent it."""
    with pytest.raises(ResponseFormError):
        checked(receipt, CompletionResponse)


def test_a_receipt_names_what_tipped_the_decision():
    """The features that moved it most come first, with their points, and what it was worth."""
    features = [["names defined elsewhere", 1.25], ["inside a string", -0.5], ["small", 0.01]]
    decision = {"features": features, "expected_gain": 4.2, "expected_ms": 120.4}
    shown = decision_content(decided(mode="always", **decision)).plain
    assert "expected to win 4.2 points for 120 ms" in shown
    said = decision_content(decided(**decision, mode="auto", reason="+4.2 points")).plain
    assert "expected to win" not in said, "the reason says it"
    assert shown.index("+1.25 names defined elsewhere") < shown.index("-0.50 inside a string")


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
@pytest.mark.parametrize("retrieve", [False, True])
def test_no_two_facts_of_a_receipt_touch_or_break_a_row(mode, retrieve):
    """The verdict stands alone, and every row of figures fits beside a scroll bar."""
    decision = {"mode": mode, "retrieve": retrieve, "probability": 0.94, "threshold": 1.0}
    rows = decision_content(decided(**decision, reason="why")).plain.split("\n")
    assert rows[0] == ("looked up" if retrieve else "not looked up")
    assert rows[1:-1] == ([] if mode == "never" else [f"p 0.94 < 1.00, {mode}", rows[2]])
    assert rows[-1] == "why"
    times = dict.fromkeys(("context", "retrieval", "prefill", "postprocess", "total"), 999.9)
    times["prefill"] = 9_999_999.0
    rows += cost_content(completion_response(timings_ms=times, model="m")).plain.split("\n")[1:]
    assert max(map(len, rows)) <= 36
    for row in rows:
        assert not re.search(r"[a-z]\d", row), row


def test_a_receipt_tells_of_two_texts_and_says_features_in_words():
    """Where a lookup made a second text, both are told; features are named as people would."""
    features = [["min_logprob", -0.4]]
    decision = {"features": features, "kept": "second", "first_ms": 812.4}
    shown = decision_content(decided(**decision)).plain
    assert "first text after 812 ms, without a lookup; the second one is kept" in shown
    assert "-0.40 no token is a guess" in shown
    decision["features"] = [["min_logprob", 0.4]]
    assert "+0.40 one token is a guess" in decision_content(decided(**decision)).plain
    warned = decision_content(completion_response(warnings=["the shipped head is used"])).plain
    assert "the shipped head is used" in warned


def test_a_sparkline_shows_the_last_values():
    """The highest is full, there are no more than fit, nothing gives nothing."""
    assert sparkline([1, 2, 8], 2) == "▂█"
    assert sparkline([], 5) == ""
    assert sparkline([0, 0], 5) == "▁▁"


def test_time_saved_is_counted_at_the_persons_own_pace():
    """A hundred accepted characters at 100 ms each are 10 s."""
    statistics = SessionStatistics(accepted_characters=100)
    for number in range(20):
        statistics.note_key(1 + number * 0.1)
    assert statistics.saved_s == pytest.approx(10, rel=0.01)


def test_one_of_a_thing_is_told_in_the_singular():
    """One lookup, one file, one chunk; none and two are many."""
    one = SessionStatistics(shown=1, lookups_skipped=1).summary()
    assert one == "0/1 accepted, 1 lookup skipped"
    assert "2 lookups skipped" in SessionStatistics(lookups_skipped=2).summary()
    shown = str(index_report({"files": 1, "chunks": 1, "seconds": 0.2}))
    assert shown.startswith("1 file, 1 chunk in 0.2 s")
    assert str(index_report({})).startswith("0 files, 0 chunks in")


@pytest.mark.slow
@pytest.mark.asyncio
async def test_hostile_names_and_texts_are_literal_on_every_screen(repository):
    """Tree, tabs, palettes, status, toasts and ghost show them as text; none acts."""
    names = ["[@click=app.leave]x[.py", "\x1b]52;c;QUFB\x07.py", "a\nb.py", "\u202egnp.py"]
    for name in names:
        (repository / name).write_text("def f():\n    return '\x1b[31m[/]'\n")
    async with journey(repository, file=names[0], is_automatic=False) as one:
        await one.until(lambda: len(one.workspace.navigation.paths) == 6)
        for name in names[1:]:
            await one.workspace.document_controller.open(repository / name)
        one.editor.set_ghost(Ghost(Location(0, 0), ("\x1b]0;x\x07[/b]",)))
        one.workspace.query_one(ReceiptPanel).show(
            completion_response(
                chunks=[
                    {
                        "path": "[/\x1b",
                        "start_line": 1,
                        "end_line": 2,
                        "symbol": "\x9b",
                        "score": 1.0,
                        "channel": "call",
                        "channels": {},
                        "tokens": 9,
                    }
                ]
            )
        )
        for payload in HOSTILE:
            one.workspace.notify_user(payload)
            one.workspace.set_status(payload)
        for keys in (["ctrl+p"], ["escape"], ["alt+s"], ["escape"], ["ctrl+f"], ["escape"]):
            await one.press(*keys)
            await one.pilot.pause(0.2)
            shown = one.screen_text()
            assert not has_control(shown)
            assert "\u202e" not in shown
        assert one.app.is_running
        assert "[@click=app.leave]x[.py" in one.screen_text()
        assert "^[]52;c;QUFB^G.py" in one.screen_text()


class Streaming(OwnBackend):
    """Tells an answer piece by piece, one by one as it is let."""

    def __init__(self, root, pieces):
        super().__init__(root, "echo")
        self._pieces = pieces
        self.may_go_on = asyncio.Semaphore(0)

    async def complete(self, request, on_text=None):
        """The pieces, and the whole in the end."""
        told = ""
        for piece in self._pieces:
            await self.may_go_on.acquire()
            told += piece
            if on_text is not None:
                on_text(told)
        await self.may_go_on.acquire()
        return completion_response(told)


@pytest.mark.asyncio
async def test_an_escape_sequence_that_the_model_streams_in_pieces_is_text(repository):
    """Wherever it is cut, no control byte is painted: the sequence is shown as text."""
    backend = Streaming(repository, ["x\x1b", "]52;c;QUFB", "\x07 \x9b", "31m", "\u202e"])
    async with journey(repository, at=(8, 23), backend=backend, size=(150, 36)) as one:
        await one.press("enter")
        for shown in ("x^[", "x^[]52;c;QUFB", "x^[]52;c;QUFB^G", "31m", "31m"):
            backend.may_go_on.release()
            await one.until(partial(one.shows, shown))
            assert not set(one.screen_text()) & set("\x1b\x07\x9b\u202e")
        backend.may_go_on.release()
        assert await one.ghost() == "x\x1b]52;c;QUFB\x07 \x9b31m\u202e"
        assert not set(one.screen_text()) & set("\x1b\x07\x9b\u202e")


@pytest.mark.asyncio
async def test_a_pasted_control_byte_does_not_reach_the_screen(repository):
    """Lines of Textual's own show a pasted escape without its control character."""
    async with journey(repository) as one:
        await one.press("ctrl+p")
        await one.until(lambda: one.app.screen.query(Input))
        one.app.screen.query_one(Input).value = "x\x1b]52;c;AA\x07\x9b31m"
        await one.until(lambda: one.shows("31m"))
        assert not has_control(one.screen_text())


@pytest.mark.asyncio
async def test_a_file_changed_outside_is_read_again_and_never_overwritten(repository):
    """An unmodified text follows the disk; a modified one stays, and saving asks."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        path.write_text("# theirs\n")
        await one.until(lambda: one.text == "# theirs\n")
        await one.type("mine ")
        path.write_text("# theirs again\n")
        await one.until(lambda: "changed on disk" in one.screen_text())
        assert one.text == "mine # theirs\n"
        await one.press("ctrl+s")
        await one.until(lambda: "Overwrite it with mine" in one.screen_text())
        await one.press("escape")
        assert path.read_text() == "# theirs again\n"
        await one.press("ctrl+s")
        await one.until(lambda: "Overwrite it with mine" in one.screen_text())
        await one.press("down", "enter")
        await one.until(lambda: path.read_text() == "mine # theirs\n")


@pytest.mark.asyncio
async def test_a_file_that_vanishes_or_becomes_a_folder_keeps_its_text(repository):
    """The text stays, is marked unsaved, and is saved again when asked."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        text = one.text
        path.unlink()
        await one.until(lambda: one.document.has_changed_on_disk)
        assert one.text == text
        assert one.document.is_modified
        path.mkdir()
        await one.press("ctrl+s")
        await one.until(lambda: "Overwrite it with mine" in one.screen_text())
        await one.press("down", "enter")
        await one.until(lambda: "it is unchanged" in one.screen_text())
        path.rmdir()
        await one.press("ctrl+s")
        await one.until(lambda: "Overwrite" in one.screen_text() or path.exists())
        await one.press("down", "enter")
        await one.until(lambda: path.is_file() and path.read_text() == text)


@pytest.mark.asyncio
async def test_a_file_that_grows_to_a_gigabyte_is_left_alone(repository):
    """It is not read, the text that was open stays."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        text = one.text
        os.truncate(path, 1 << 30)
        await one.until(lambda: one.document.has_changed_on_disk)
        assert one.text == text


@pytest.mark.asyncio
async def test_a_file_that_is_no_text_is_read_only(repository):
    """Its bytes are shown and typing is refused, with the reason."""
    (repository / "odd.py").write_bytes(b"# caf\xe9 \x81\n")
    async with journey(repository, "odd.py") as one:
        await one.type("x")
        await one.press("backspace", "tab", "ctrl+x")
        assert one.text == "# café \x81\n"
        await one.until(lambda: "not UTF-8" in one.screen_text())
        assert "read-only" in one.screen_text()


@pytest.mark.asyncio
async def test_a_resize_storm_and_the_smallest_terminal_break_nothing(repository):
    """Fifty sizes from 1x1 to 200x60 while a ghost is shown; 20x5 still shows the text."""
    chance = random.Random(3)
    async with journey(repository, is_automatic=False) as one:
        one.editor.set_ghost(Ghost(Location(0, 0), ("a\nb\nc",)))
        for _ in range(50):
            size = chance.choice([(20, 5), (1, 1), (200, 60), (80, 24), (3, 40), (120, 2)])
            await one.pilot.resize_terminal(*size)
        await one.press("f1", "escape", "ctrl+p", "escape")
        await one.pilot.resize_terminal(20, 5)
        await one.until(lambda: one.shows("pricing"))
        await one.type("q")
        assert one.text.startswith("q")


@pytest.mark.asyncio
async def test_an_engine_that_dies_is_started_again_and_typing_goes_on(repository, engine):
    """It is killed while a suggestion is asked for: keys are typed as ever, the next one comes."""
    backend = EngineBackend(repository, "echo")
    async with journey(repository, at=(8, 23), backend=backend, size=(150, 36)) as one:
        await one.press("enter")
        await one.type("abc")
        assert await one.ghost() == "abc"
        process = psutil.Process(EngineClient.connect(may_start=False).status()["pid"])
        process.suspend()
        await one.press("escape", "space")
        await one.until(lambda: one.workspace.suggester.is_running)
        for child in process.children(recursive=True):
            child.kill()
        process.kill()
        await one.type("xyz")
        assert one.editor.buffer.lines[9] == "    abc xyz"
        # After a failure the next key asks again, once the pause is over.
        await one.until(lambda: not one.workspace.suggester.is_running)
        await one.pilot.pause(2.2)
        one.workspace.suggester.cancel()
        one.editor.set_ghost(None)
        await one.type("w")
        assert await one.ghost() == "abc xyzw"


@pytest.mark.asyncio
async def test_a_lost_engine_is_said_in_the_status_row_alone(repository):
    """No window and no toast: a person types."""
    async with journey(repository, size=(150, 36)) as one:
        one.workspace.status.suggestion_failed(
            EngineError("the engine ended before its answer did")
        )
        await one.until(lambda: "the engine ended; it starts again" in one.screen_text())
        assert len(one.app._notifications) == 0
        await one.type("x")
        await one.until(lambda: "the engine ended" not in one.screen_text())


@pytest.mark.asyncio
async def test_a_bug_ends_the_program_with_everything_saved(repository):
    """An exception in a handler leaves the unsaved text in the journal and is handed on."""
    stores: list[DocumentStore] = []

    async def run_into_a_bug():
        async with journey(repository, is_automatic=False) as one:
            await one.type("precious")
            assert one.workspace.store is not None
            stores.append(one.workspace.store)
            one.app.call_later(lambda: 1 / 0)
            await one.until(lambda: not one.app.is_running)

    with pytest.raises(ZeroDivisionError):
        await run_into_a_bug()
    record = stores[0].journal.record_of("cart.py")
    assert record is not None
    assert record.text.startswith("precious")


@pytest.mark.parametrize("action", ["compare", "models", "index", "review", "search"])
@pytest.mark.asyncio
async def test_a_bug_in_the_work_of_a_screen_ends_the_program(repository, monkeypatch, action):
    """It does not vanish with its task, which would leave a screen that waits for ever."""

    async def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError

    backend = OwnBackend(repository, "echo")
    for name in ("complete", "models", "update_index", "search"):
        monkeypatch.setattr(backend, name, fail)
    monkeypatch.setattr("codebuddy.tui.screens.review.review_staged", fail)
    # Asked for models at the start, too.
    monkeypatch.setattr("codebuddy.tui.app.CodebuddyApp._offer_setup", lambda _: None)

    async def run_into_a_bug() -> None:
        async with journey(repository, backend=backend, is_automatic=False) as one:
            await one.workspace.run_action(action)
            if action == "search":
                await one.until(lambda: isinstance(one.app.screen, PickerScreen))
                await one.type("x")
            await one.until(lambda: not one.app.is_running)

    with pytest.raises(WorkerFailed, match="ZeroDivisionError"):
        await run_into_a_bug()
