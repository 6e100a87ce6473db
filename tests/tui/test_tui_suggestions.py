"""Suggestions in the editor, by key presses: shown, typed through, taken, turned away."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from codebuddy.errors import ModelError
from codebuddy.service.async_client import AsyncClient
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.response import ModelDescription
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.ghost import Ghost
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel
from tests.support.backends import OwnBackend
from tests.support.tui_pilot import journey

pytestmark = pytest.mark.asyncio

# The echo generator repeats what stands before the cursor in its line.
TYPED = "abc"


def show(one, *texts):
    """Show a suggestion at the cursor, as one from the model would be."""
    one.editor.set_ghost(Ghost(one.editor.editing.cursor, texts))


async def test_a_suggestion_comes_while_typing_and_tab_takes_it(repository):
    """After a pause a ghost text stands at the cursor; Tab makes it text."""
    async with journey(repository, at=(8, 23)) as one:
        await one.press("enter")
        await one.type(TYPED)
        assert await one.ghost() == TYPED
        assert one.editor.buffer.lines[9] == "    abc"
        await one.press("tab")
        assert one.editor.buffer.lines[9] == "    abcabc"
        assert one.workspace.statistics.accepted == 1


async def test_what_agrees_with_the_ghost_is_typed_into_it(repository):
    """Typing its first letters leaves the rest; another letter ends it."""
    async with journey(repository, at=(8, 23)) as one:
        await one.press("enter")
        await one.type(TYPED)
        await one.ghost()
        await one.type("ab")
        assert one.editor.ghost is not None
        assert one.editor.ghost.text == "c"
        assert one.workspace.statistics.typed_over_characters == 2
        one.workspace.suggester.is_automatic = False
        await one.type("X")
        assert one.editor.ghost is None


async def test_a_word_and_a_line_are_accepted_by_keys(repository):
    """Ctrl+Right takes a word, Ctrl+Down a line, the rest stays."""
    async with journey(repository, at=(8, 23), is_automatic=False) as one:
        await one.press("enter")
        show(one, "if name:\n        return 1\n    return 2")
        await one.press("ctrl+right")
        assert one.editor.buffer.lines[9] == "    if"
        await one.press("ctrl+down")
        assert one.editor.buffer.lines[9] == "    if name:"
        await one.press("ctrl+down")
        assert one.editor.buffer.lines[10] == "        return 1"
        await one.press("tab")
        assert one.editor.buffer.lines[11] == "    return 2"
        assert one.editor.ghost is None
        assert one.workspace.statistics.accepted == 1


async def test_accepting_is_undone_in_one_step(repository):
    """Undo after Tab takes the suggestion back and nothing else."""
    async with journey(repository, at=(8, 23), is_automatic=False) as one:
        await one.type("xy")
        show(one, " and\nmore")
        before = one.text
        await one.press("tab", "ctrl+z")
        assert one.text == before


async def test_escape_dismisses(repository):
    """Escape takes the ghost away and changes no text."""
    async with journey(repository, at=(8, 23)) as one:
        await one.press("enter")
        await one.type(TYPED)
        await one.ghost()
        before = one.text
        await one.press("escape")
        assert one.editor.ghost is None
        assert one.text == before
        assert one.workspace.statistics.dismissed == 1


async def test_alternatives_are_cycled(repository):
    """A key shows the next alternative, another the one before."""
    async with journey(repository, at=(8, 23), is_automatic=False) as one:
        show(one, "one", "two", "three")
        await one.press("alt+n")
        assert one.editor.ghost is not None
        assert one.editor.ghost.text == "two"
        await one.press("alt+p", "alt+p")
        assert one.editor.ghost.text == "three"
        await one.press("tab")
        assert one.editor.buffer.lines[8].endswith("three")


@pytest.mark.slow
async def test_a_key_asks_where_nothing_comes_by_itself(repository):
    """With suggestions on request, typing brings none and the key does."""
    async with journey(repository, at=(8, 23), is_automatic=False) as one:
        await one.press("enter")
        await one.type(TYPED)
        await one.pilot.pause(0.8)
        assert one.editor.ghost is None
        await one.press("ctrl+@")
        assert await one.ghost() == TYPED


async def test_moving_away_takes_the_ghost_along(repository):
    """A suggestion is for its place only."""
    async with journey(repository, at=(8, 23), is_automatic=False) as one:
        show(one, "x")
        await one.press("up")
        assert one.editor.ghost is None


async def test_the_rows_of_a_ghost_show_what_accepting_gives(repository):
    """A multi-line ghost is drawn like the text that Tab makes of it, suffix last."""
    (repository / "wide.py").write_text("a = f()\nb = 2\n")
    async with journey(repository, "wide.py", at=(0, 6), is_automatic=False) as one:
        show(one, "中\tx,\n    'é'")
        await one.pilot.pause()
        drawn = [
            "".join(segment.text for segment in one.editor.render_line(y)).rstrip()
            for y in range(4)
        ]
        await one.press("tab")
        await one.pilot.pause()
        after = [
            "".join(segment.text for segment in one.editor.render_line(y)).rstrip()
            for y in range(4)
        ]
        gutter = one.editor.gutter_cells
        assert [row[gutter:] for row in drawn[:3]] == [row[gutter:] for row in after[:3]]
        assert one.text == "a = f(中\tx,\n    'é')\nb = 2\n"
        assert drawn[0].startswith(" 1 a = f(中 ")


async def test_the_cursor_stands_before_the_ghost_and_clicks_below_it_hit_their_line(repository):
    """Rows below a ghost belong to the lines that follow."""
    async with journey(repository, at=(0, 0), is_automatic=False) as one:
        show(one, "a\nb\nc")
        assert one.editor.row_of(1) == 3
        assert one.editor.line_of(3) == (1, 0)
        assert one.editor.line_of(2) == (0, 2)


async def test_the_receipt_shows_why(repository, monkeypatch):
    """The panel names the verdict, its reason, the tokens and the model."""
    # Whether the index is there already is not certain: it is built in the background.
    monkeypatch.setenv("CODEBUDDY_COMPLETION_RETRIEVE", "never")
    async with journey(repository, at=(8, 23), size=(160, 40)) as one:
        await one.press("enter")
        await one.type(TYPED)
        await one.ghost()
        assert one.workspace.query_one(ReceiptPanel).display
        for expected in ("not looked up", "retrieval is off", "evaluated", "prefill", "echo"):
            await one.until(partial(one.shows, expected))


@pytest.mark.slow
async def test_a_late_answer_does_not_appear_elsewhere(repository):
    """An answer for a text that was changed meanwhile is dropped."""

    async with journey(repository, at=(8, 23)) as one:
        await one.press("enter")
        await one.type(TYPED)
        await one.until(lambda: one.workspace.suggester.is_running or one.editor.ghost)
        await one.press("escape", "up", "up")
        await one.pilot.pause(0.5)
        assert one.editor.ghost is None


async def test_a_growing_answer_goes_on_behind_what_is_typed(repository):
    """Text that arrives while one types in agreement is shown from there on."""
    backend = SlowEcho(repository, "echo")
    async with journey(repository, at=(8, 23), backend=backend) as one:
        await one.press("enter")
        await one.until(lambda: one.editor.ghost)
        await one.type("re")
        backend.go_on()
        assert await one.ghost() == "turn whole"
        await one.press("tab")
        assert one.editor.buffer.lines[9] == "    return whole"


async def test_a_failing_model_is_said_quietly_and_typing_goes_on(repository):
    """Without the model's file the status row says so; the text is typed as ever."""
    backend = OwnBackend(repository, "/nowhere/model.gguf")
    async with journey(repository, at=(8, 23), backend=backend) as one:
        await one.press("enter")
        await one.type("abc")
        await one.until(lambda: "model.gguf" in one.screen_text())
        await one.type("def")
        assert one.editor.buffer.lines[9] == "    abcdef"


async def test_asking_again_for_alternatives_does_not_begin_anew(repository):
    """The key pressed three times while they are made is one request."""
    backend = SlowEcho(repository, "echo")
    async with journey(repository, at=(8, 23), backend=backend, is_automatic=False) as one:
        await one.press("enter", "alt+n")
        await one.until(lambda: backend.asked == 1)
        await one.press("alt+n", "alt+n")
        backend.go_on()
        assert await one.ghost() == "return whole"
        assert backend.asked == 1


async def test_a_long_wait_is_counted_in_the_status_row(repository):
    """Whoever waits for the first words sees the seconds; they go with the answer."""
    backend = SlowEcho(repository, "echo", beginning="")
    async with journey(repository, at=(8, 23), backend=backend) as one:
        await one.press("enter")
        await one.until(lambda: "… 4 s" in one.screen_text())
        backend.go_on()
        assert await one.ghost() == "return whole"
        await one.until(lambda: " s  " not in one.screen_text().split("\n")[-1])


async def test_a_second_text_replaces_the_first_one_which_stays_an_alternative(repository):
    """The first suggestion is there at once; the one with a lookup takes its place."""
    backend = SlowEcho(repository, "echo", "return first", {"kept": "second", "first_ms": 9.0})
    async with journey(repository, at=(8, 23), backend=backend) as one:
        await one.press("enter")
        await one.until(lambda: one.editor.ghost and one.editor.ghost.text == "return first")
        backend.go_on()
        assert await one.ghost() == "return whole"
        await one.press("alt+n")
        assert await one.ghost() == "return first"


async def test_whoever_types_the_first_text_keeps_it(repository):
    """A second text that disagrees with what was typed since does not take the ghost away."""
    backend = SlowEcho(repository, "echo", "return first", {"kept": "second", "first_ms": 9.0})
    async with journey(repository, at=(8, 23), backend=backend) as one:
        await one.press("enter")
        await one.until(lambda: one.editor.ghost)
        await one.type("return f")
        backend.go_on()
        assert await one.ghost() == "irst"


class SlowEcho(OwnBackend):
    """Tells a beginning at once, and the answer when it is let go on."""

    def __init__(self, root, model, beginning="return ", decision=None):
        super().__init__(root, model)
        self.asked = 0
        self._beginning = beginning
        self._decision = decision or {}
        self._may_end = asyncio.Event()

    def go_on(self):
        """Let the answer come."""
        self._may_end.set()

    async def complete(self, request, on_text=None):
        """A fixed answer in two parts, with the receipt of the real path."""
        self.asked += 1
        if on_text is not None:
            on_text(self._beginning)
        await self._may_end.wait()
        answer = await super().complete(request, None)
        decision = answer["decision"] | self._decision
        return answer | {"text": "return whole", "decision": decision}


async def test_places_are_told_in_the_engines_terms(repository):
    """A request has 1-based line and column and the unsaved text."""
    async with journey(repository, at=(8, 23), is_automatic=False) as one:
        one.editor.go(Location(4, 2))
        await one.type("q")
        assert one.workspace.active is not None
        request = one.workspace.active.suggestion_request(is_asked_for=True, alternatives=2)
        assert (request.line, request.column) == (5, 4)
        assert request.text == one.text
        assert request.file == repository / "cart.py"


async def test_what_is_asked_while_a_model_loads_is_for_that_model(repository):
    """Else it would bring the old one back; a model that does not load is not in use."""
    backend = OwnBackend(repository, "first")
    in_use: list[str] = []

    class Watched(InProcessClient):
        def load(self, model: str | None = None) -> ModelDescription:
            in_use.append(backend.model)
            return super().load(model)

    backend._completions = AsyncClient(Watched())
    await backend.use("echo")
    with pytest.raises(ModelError):
        await backend.use("/nowhere/absent.gguf")
    assert (in_use, backend.model) == (["echo", "/nowhere/absent.gguf"], "echo")
    backend.close()
