"""Journeys through the editor by key presses: files, finding, palettes, screens, state."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.widgets import OptionList

from codebuddy.datatypes import OnText
from codebuddy.service.response import CompletionResponse
from codebuddy.tui import app
from codebuddy.tui.backend import SuggestionRequest
from codebuddy.tui.bindings import WORKSPACE_BINDINGS
from codebuddy.tui.screens.compare import CompareScreen
from codebuddy.tui.screens.help import HelpScreen
from codebuddy.tui.screens.indexing import IndexScreen
from codebuddy.tui.screens.models import ModelsScreen
from codebuddy.tui.session import SessionState, load_session
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.widgets.file_tree import FileTree, as_folders
from codebuddy.tui.widgets.receipt_panel import ReceiptPanel
from tests.support.backends import OwnBackend
from tests.support.responses import decided
from tests.support.tui_pilot import Journey, journey

pytestmark = pytest.mark.asyncio


async def test_a_file_is_edited_and_saved(repository):
    """Typing marks the tab, Ctrl+S writes the file and takes the mark away."""
    async with journey(repository, is_automatic=False) as one:
        await one.type("# top")
        await one.press("enter")
        assert "●" in one.screen_text()
        await one.press("ctrl+s")
        await one.until(lambda: not one.document.is_modified)
        assert (repository / "cart.py").read_text().startswith("# top\nfrom pricing")
        await one.until(lambda: "●" not in one.screen_text())


async def test_the_tree_shows_what_git_sees(repository):
    """Ignored files are not in the tree; a chosen file opens."""
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "debug.log").write_text("x")
    (repository / "pkg").mkdir()
    (repository / "pkg" / "inner.py").write_text("x = 1\n")
    async with journey(repository, file=None) as one:
        await one.until(lambda: len(one.workspace.navigation.paths) == 4)
        await one.until(lambda: "pricing.py" in one.screen_text())
        assert "debug.log" not in one.screen_text()
        one.workspace.query_one(FileTree).focus()
        await one.press("down", "enter", "down", "enter")
        await one.until(lambda: one.workspace.active is not None)
        assert one.name == "pkg/inner.py"


async def test_a_file_is_found_by_parts_of_its_name(repository):
    """Letters in order find a file; Enter opens it in a tab beside the other."""
    async with journey(repository) as one:
        await one.until(lambda: one.workspace.navigation.paths)
        await one.press("ctrl+p")
        await one.type("prcng")
        options = one.app.screen.query_one(OptionList)
        # All files are listed at first.
        await one.until(lambda: options.option_count == 1 and options.highlighted == 0)
        await one.press("enter")
        await one.until(lambda: one.name == "pricing.py")
        assert [each.name for each in one.workspace.documents] == ["cart.py", "pricing.py"]
        await one.press("ctrl+pageup")
        assert one.name == "cart.py"


@pytest.mark.parametrize(("query", "downs"), [("shipping cost", 0), ("shipping weight", 1)])
async def test_searching_previews_and_goes_there(repository, query, downs):
    """The palette finds a function by its words, previews it and jumps to its line."""
    async with journey(repository, size=(150, 36)) as one:
        await one.press("ctrl+t")
        await one.type(query)
        await one.until(lambda: "function shipping_cost" in one.screen_text())
        await one.press(*["down"] * downs)
        await one.until(lambda: "weight_grams < 2000" in one.screen_text())
        await one.press("enter")
        await one.until(lambda: one.name == "pricing.py")
        assert one.editor.editing.cursor.line == 5
        await one.press("alt+left")
        await one.until(lambda: one.name == "cart.py")


async def test_a_reference_is_inserted_from_the_search(repository):
    """Alt+I puts the found name at the cursor and stays in the file."""
    async with journey(repository, at=(8, 0), is_automatic=False) as one:
        await one.press("ctrl+t")
        await one.type("shipping")
        await one.until(lambda: "function shipping_cost" in one.screen_text())
        await one.press("alt+i")
        await one.until(lambda: "shipping_cost" in one.editor.buffer.lines[8])
        assert one.name == "cart.py"


async def test_a_definition_in_another_file_is_gone_to(repository):
    """F12 on a call leads to the function's own line and name."""
    async with journey(repository, at=(5, 14)) as one:
        await one.press("f12")
        await one.until(lambda: one.name == "pricing.py")
        assert one.editor.editing.cursor == Location(0, 4)


async def test_of_several_definitions_the_imported_one_is_gone_to(repository):
    """A name that two files define leads to the one that this file imports it from."""
    (repository / "earlier.py").write_text("def apply_discount():\n    return 0\n")
    async with journey(repository, at=(5, 14)) as one:
        await one.press("f12")
        await one.until(lambda: one.name == "pricing.py")


async def test_find_and_replace_go_through_the_file(repository):
    """Find marks every match and goes to the next; replace-all is one step of undo."""
    async with journey(repository, is_automatic=False) as one:
        before = one.text
        await one.press("ctrl+r")
        await one.type("percent")
        await one.until(lambda: len(one.editor.matches) == 1)
        await one.press("backspace", "backspace", "backspace", "backspace", "backspace")
        await one.until(lambda: len(one.editor.matches) == before.lower().count("pe"))
        await one.press("tab")
        await one.type("XY")
        await one.press("alt+a")
        await one.until(lambda: "XYrcent" in one.text)
        await one.press("escape", "ctrl+z")
        assert one.text == before


async def test_a_bad_pattern_is_told_beside_it(repository):
    """A regular expression that is none shows its reason and changes nothing."""
    async with journey(repository) as one:
        before = one.text
        await one.press("ctrl+f", "alt+r")
        await one.type("(")
        await one.until(lambda: "missing )" in one.screen_text())
        assert one.text == before


async def test_an_expression_that_takes_for_ever_leaves_the_editor_alive(repository):
    """The bar says so in one sentence; meanwhile and afterwards keys are answered."""
    (repository / "long.py").write_text("x = '" + "a" * 200 + "!'\n")
    async with journey(repository, "long.py", is_automatic=False) as one:
        await one.press("ctrl+f", "alt+r")
        for key in ["left_parenthesis", "a", "vertical_line", "a", "a", "right_parenthesis"]:
            await one.press(key)
        await one.press("plus", "dollar_sign")
        await one.until(lambda: "takes too long here" in one.screen_text())
        await one.press(*["backspace"] * 8)
        await one.type("x")
        await one.until(lambda: len(one.editor.matches) == 1)
        await one.press("escape")
        await one.type("y")
        assert one.text.startswith("y")


async def test_enter_upon_enter_replaces_match_after_match(repository):
    """Keys that come faster than the search goes are not lost; groups stand in the text."""
    async with journey(repository, is_automatic=False) as one:
        await one.press("ctrl+r", "alt+r")
        await one.press("left_parenthesis", *"percent", "right_parenthesis")
        await one.until(lambda: len(one.editor.matches) == 1)
        await one.press(*["backspace"] * 9)
        await one.press("left_parenthesis", *"item", "right_parenthesis")
        await one.until(lambda: len(one.editor.matches) == 4)
        await one.press("tab", *"<", "backslash", "1", ">")
        await one.press("enter", "enter", "enter")
        await one.until(lambda: one.text.count("<item>") == 3)


async def test_go_to_line_takes_line_and_column(repository):
    """Numbers go there, words are refused."""
    async with journey(repository) as one:
        await one.press("ctrl+g")
        await one.type("5")
        await one.press("colon")
        await one.type("3")
        await one.press("enter")
        await one.until(lambda: one.editor.editing.cursor == Location(4, 2))
        await one.press("ctrl+g")
        await one.type("x")
        await one.press("enter")
        await one.until(lambda: "x is not a line" in one.screen_text())


async def test_closing_an_unsaved_file_asks(repository):
    """Escape keeps it open, the second answer drops the text, the file is as it was."""
    before = (repository / "cart.py").read_text()
    async with journey(repository, is_automatic=False) as one:
        await one.type("x")
        await one.press("ctrl+w")
        await one.until(lambda: "is not saved" in one.screen_text())
        await one.press("escape")
        assert len(one.workspace.documents) == 1
        await one.press("ctrl+w")
        await one.until(lambda: "is not saved" in one.screen_text())
        await one.press("down", "enter")
        await one.until(lambda: not one.workspace.documents)
        assert (repository / "cart.py").read_text() == before
        store = one.workspace.store
        assert store is not None
        await one.until(lambda: store.journal.records() == [])


async def test_leaving_with_unsaved_text_can_keep_it_for_the_next_time(repository):
    """The text that was not saved is offered again, with the files that were open."""
    async with journey(repository, is_automatic=False) as one:
        await one.type("unsaved words")
        await one.press("ctrl+q")
        await one.until(lambda: "not everything is saved" in one.screen_text())
        await one.press("down", "enter")
        await one.until(lambda: not one.app.is_running)
    async with journey(repository, file=None, should_restore=True) as one:
        await one.until(lambda: "unsaved text from the last time" in one.screen_text())
        await one.press("enter")
        await one.until(lambda: one.text.startswith("unsaved words"))
        assert one.document.is_modified
        assert one.editor.editing.cursor == Location(0, 13)
        one.editor.buffer.mark_saved()


async def test_leaving_before_the_files_are_back_keeps_them_for_the_next_time(
    repository, monkeypatch
):
    """Who leaves while what was open is still being read finds it again the next time."""
    async with journey(repository) as one:
        await one.press("ctrl+q")
        await one.until(lambda: not one.app.is_running)
    has_left = threading.Event()

    def load_slowly(folder: Path) -> SessionState:
        has_left.wait(30)
        return load_session(folder)

    monkeypatch.setattr(app, "load_session", load_slowly)
    async with journey(repository, file=None, should_restore=True) as one:
        folder = one.app._session_folder
        one.app.exit_now()
        has_left.set()
        await one.until(lambda: not one.app.is_running)
    assert [each.path for each in load_session(folder).files] == ["cart.py"]


async def test_compare_shows_three_arms_and_a_digit_takes_one(repository):
    """Never, always and auto stand side by side; 2 inserts the second."""
    async with journey(repository, at=(8, 23), size=(150, 36), is_automatic=False) as one:
        await one.press("enter")
        await one.type("abc")
        await one.press("f5")
        await one.until(lambda: isinstance(one.app.screen, CompareScreen))
        screen = one.app.screen
        assert isinstance(screen, CompareScreen)
        await one.until(lambda: len(screen.answers) == 3)
        for arm in ("1 never", "2 always", "3 auto", "same as before"):
            await one.until(partial(one.shows, arm))
        await one.press("2")
        await one.until(lambda: one.editor.buffer.lines[9] == "    abcabc")


async def test_compare_tells_of_a_lookup_whose_text_was_not_kept(repository):
    """Where the text without a lookup stays, its chunks are none: that is no lookup of nothing."""
    first_kept = decided(retrieve=True, kept="first")

    class Keeping(OwnBackend):
        async def complete(
            self, request: SuggestionRequest, on_text: OnText | None = None
        ) -> CompletionResponse:
            if request.retrieve == "auto":
                return first_kept
            return await super().complete(request, on_text)

    backend = Keeping(repository, "echo")
    async with journey(repository, size=(150, 36), backend=backend, is_automatic=False) as one:
        await one.press("f5")
        await one.until(lambda: len(getattr(one.app.screen, "answers", ())) == 3)
        await one.until(lambda: one.shows("looked up, first text kept, 0 ms"))


async def test_the_models_screen_lists_the_catalog(repository):
    """Installed and missing models are told apart, with size and licence."""
    async with journey(repository) as one:
        await one.press("f6")
        await one.until(lambda: isinstance(one.app.screen, ModelsScreen))
        await one.until(lambda: "smollm2-135m" in one.screen_text())
        shown = one.screen_text()
        assert "Apache-2.0" in shown
        assert "installed" in shown
        await one.press("escape")
        await one.until(lambda: len(one.app.screen_stack) == 1)


@pytest.mark.process
async def test_the_index_is_built_from_its_screen(repository):
    """F7 builds the index in another process and reports what it holds."""
    async with journey(repository) as one:
        await one.press("f7")
        await one.until(lambda: isinstance(one.app.screen, IndexScreen))
        # While it is built the screen says "2 of 2 files"; the languages come with the report.
        await one.until(lambda: "python 2" in one.screen_text())
        assert "2 files" in one.screen_text()


@pytest.mark.process
async def test_a_finding_about_what_is_staged_is_applied(repository, git):
    """F8 lists what the hook finds; A takes the debugger's line away in the file alone."""
    # `cart.py` does not parse, so that nothing is taken out of it.
    path = repository / "pricing.py"
    staged = path.read_text() + "\n\nimport pdb; pdb.set_trace()\n"
    path.write_text(staged)
    git(repository, "add", "pricing.py")
    async with journey(repository, "pricing.py", is_automatic=False) as one:
        await one.press("f8")
        await one.until(lambda: "left over from debugging" in one.screen_text())
        await one.press("a")
        await one.until(lambda: "it is not staged yet" in one.screen_text())
        await one.press("escape")
        await one.until(lambda: "set_trace" not in one.text)
        assert "set_trace" not in path.read_text()
        assert "set_trace" in git(repository, "diff", "--cached")


async def test_the_first_run_without_a_model_goes_on_without(repository, tmp_path, monkeypatch):
    """Where the model is missing a pull is offered; without it, editing and search work."""
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "none"))
    async with journey(repository, backend=OwnBackend(repository, "smollm2-135m")) as one:
        await one.until(lambda: "Pull smollm2-135m" in one.screen_text())
        await one.press("end", "enter")
        await one.until(lambda: len(one.app.screen_stack) == 1)
        await one.type("abc")
        await one.press("ctrl+@")
        await one.until(lambda: "is not installed" in one.screen_text())
        await one.press("ctrl+t")
        await one.type("shipping")
        await one.until(lambda: "function shipping_cost" in one.screen_text())


async def test_every_key_is_on_the_help_screen(repository):
    """Each binding's text is shown, by group."""
    async with journey(repository, size=(200, 60)) as one:
        await one.press("f1")
        await one.until(lambda: isinstance(one.app.screen, HelpScreen))
        for binding in WORKSPACE_BINDINGS:
            await one.until(partial(one.shows, binding.description))
        assert one.shows("Accept the suggestion, or indent")


async def test_panels_come_and_go_with_the_room(repository):
    """A wide terminal shows files and receipt, a narrow one the text alone; keys overrule."""
    async with journey(repository, size=(160, 40)) as one:
        tree, receipt = one.workspace.query_one(FileTree), one.workspace.query_one(ReceiptPanel)
        assert (tree.display, receipt.display) == (True, True)
        await one.pilot.resize_terminal(80, 24)
        await one.until(lambda: not tree.display)
        assert not receipt.display
        await one.press("f4")
        await one.until(lambda: receipt.display)
        assert one.editor.has_focus


async def test_files_are_scrolled_as_they_were_the_last_time(repository):
    """The row at the top is the same one, of the file in front and of the one behind it."""
    names = ("long.py", "longer.py")
    for name in names:
        (repository / name).write_text("x = 1\n" * 300)
    async with journey(repository, file="long.py", size=(120, 40)) as one:
        one.editor.go(Location(200, 0))
        await one.workspace.document_controller.open(repository / "longer.py", Location(200, 0))
        for document in one.workspace.documents:
            one.workspace.document_controller.show(document)
            await one.until(lambda: one.editor.scroll_offset.y)
            # To the last row before the margin, not the middle of the screen.
            await one.press(*["down"] * 30, *["up"] * 20)
            await one.pilot.pause()
        before = [each.editor.scroll_offset.y for each in one.workspace.documents]
        await one.press("ctrl+q")
        await one.until(lambda: not one.app.is_running)
    async with journey(repository, file=None, size=(120, 40), should_restore=True) as one:
        await one.until(lambda: one.name == "longer.py")
        for document, first_row in reversed([*zip(one.workspace.documents, before, strict=True)]):
            one.workspace.document_controller.show(document)
            await one.until(partial(_is_scrolled_to, one, first_row))
            await one.pilot.pause()
            assert one.editor.scroll_offset.y == first_row
            assert one.editor.editing.cursor == Location(210, 0)


def _is_scrolled_to(one: Journey, row: int) -> bool:
    return one.editor.scroll_offset.y == row


async def test_panels_are_shown_as_they_were_the_last_time(repository):
    """What a key showed or hid holds after the next start, before anything is resized."""
    async with journey(repository, size=(120, 40)) as one:
        await one.press("f2", "f4")
        await one.until(lambda: one.workspace.query_one(ReceiptPanel).display)
        await one.press("ctrl+q")
        await one.until(lambda: not one.app.is_running)
    async with journey(repository, file=None, size=(120, 40), should_restore=True) as one:
        tree, receipt = one.workspace.query_one(FileTree), one.workspace.query_one(ReceiptPanel)
        await one.until(lambda: one.name == "cart.py" and receipt.display)
        assert not tree.display
        await one.pilot.pause()


async def test_themes_are_switched_by_a_key(repository):
    """Each theme draws the same text."""
    async with journey(repository) as one:
        seen = {one.app.theme}
        for _ in range(3):
            await one.press("alt+t")
            await one.pilot.pause()
            seen.add(one.app.theme)
            assert "apply_discount" in one.screen_text()
        assert len(seen) == 4


async def test_commands_are_in_the_palette(repository):
    """The command palette finds a command by its words and runs it."""
    async with journey(repository) as one:
        await one.run_command("all keys", "All keys")
        await one.until(lambda: isinstance(one.app.screen, HelpScreen))


async def test_the_mouse_sets_the_cursor_and_selects(repository):
    """A click puts the cursor there, a double click selects the word."""
    async with journey(repository) as one:
        gutter = one.editor.gutter_cells
        await one.pilot.click(one.editor, offset=(gutter + 7, 4))
        assert one.editor.editing.cursor == Location(4, 7)
        await one.pilot.double_click(one.editor, offset=(gutter + 7, 4))
        await one.until(lambda: one.editor.editing.selected_text == "amount_cents")


async def test_folders_come_before_files_and_a_name_may_be_both():
    """Paths become folders within folders, whatever order and names they have."""
    assert as_folders(["b.py", "a/c.py", "a/b/d", "a", "b.py/x"]) == {
        "b.py": {"x": None},
        "a": {"c.py": None, "b": {"d": None}},
    }


async def test_keys_that_come_close_together_work_in_their_order(repository):
    """None of the editor's keys is overtaken by one that is pressed after it."""
    pressed = ["a", "b", "backspace", "c", "enter", "d", "left", "e", "up", "f", "ctrl+z", "g"]
    async with journey(repository, is_automatic=False) as one:
        for key in pressed:
            one.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await one.until(lambda: one.editor.buffer.lines[0].endswith("gc"))
        assert one.editor.buffer.lines[0] == "agc"
        assert one.editor.buffer.lines[1].startswith("edfrom")
