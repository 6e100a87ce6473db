"""Files that mix line ends: no key, click or command comes between a CR and its LF."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.widgets import Input

from codebuddy.tui.text import find, motion
from codebuddy.tui.text.buffer import Location, TextBuffer
from codebuddy.tui.text.editing import Editing
from codebuddy.tui.text.ghost import Ghost
from codebuddy.tui.widgets.editor import Editor
from tests.support.tui_pilot import journey

MIXED = "b = 1\r\n\r\n  c(\r\nd: \n\tlast  \r\nend"


def editing(text, line=0, column=0):
    """An editing of `text` with the cursor somewhere."""
    made = Editing(TextBuffer(text))
    made.go(Location(line, column))
    return made


def is_whole(text):
    """Whether every CR is followed by its LF."""
    return text.count("\r") == text.count("\r\n")


def replace_blanks(made, by):
    """Replace the blanks at the ends of lines, as the find bar does."""
    query = find.Query(r"\s*$|.$", is_regex=True)
    lines = made.buffer.lines
    made.replace_all(find.replacements(lines, find.find_all(lines, query), query, by))


@given(st.integers(0, 100_000))
def test_nothing_comes_between_a_cr_and_its_lf(seed):
    """Whatever is pressed, typed, pasted, moved, replaced or undone: a CRLF stays whole."""
    chance = random.Random(seed)
    made = editing(MIXED)
    motions = [
        made.left,
        made.right,
        made.to_line_end,
        lambda select: made.vertically(chance.choice([1, -1, 9, -9]), select=select),
        lambda select: made.by(motion.word_right, select=select),
        lambda select: made.by(motion.word_left, select=select),
        lambda select: made.by(motion.line_start, select=select),
        lambda select: made.go(Location(chance.randrange(7), chance.randrange(9)), select=select),
        lambda select: made.go(made.buffer.end, select=select),
    ]
    changes = [
        lambda: made.insert(chance.choice(["z", "z\n", "\n", "q\r\nr\n"])),
        lambda: made.insert(made.selected_text * 2, keeps_ends=True),
        made.backspace,
        made.delete,
        made.newline,
        made.indent,
        made.dedent,
        made.delete_lines,
        made.delete_word_left,
        made.delete_word_right,
        made.select_all,
        made.select_line,
        made.select_word,
        made.undo,
        made.redo,
        lambda: made.move_lines(chance.choice([1, -1])),
        lambda: made.toggle_comment("#"),
        lambda: replace_blanks(made, chance.choice(["", "x", "\n"])),
    ]
    for _ in range(40):
        for _ in range(chance.randrange(3)):
            chance.choice(motions)(select=chance.random() < 0.3)
        chance.choice(changes)()
        assert is_whole(made.buffer.text)
    while made.undo():
        assert is_whole(made.buffer.text)
    assert made.buffer.text == MIXED


def test_a_new_line_ends_as_the_line_does_in_which_it_is_put():
    """Enter, a paste and a suggestion of several lines: CRLF in CRLF lines, LF in others."""
    made = editing("a\r\nb\nc\r\nlast", 0, 1)
    made.newline()
    assert made.buffer.text == "a\r\n\r\nb\nc\r\nlast"
    made.go(Location(2, 1))
    made.insert("\nnew")
    assert made.buffer.text == "a\r\n\r\nb\nnew\nc\r\nlast"
    made.go(Location(5, 0))
    made.insert("new\n")
    assert made.buffer.text == "a\r\n\r\nb\nnew\nc\r\nnew\r\nlast"
    made = editing("a\nb")
    made.insert("x\r\n", keeps_ends=True)
    assert made.buffer.text == "x\na\nb"


def test_cut_lines_are_pasted_with_their_own_ends():
    """What is copied here and pasted here is the same text again."""
    made = editing("a\r\nb\nc\r\nd\r\n", 1, 0)
    made.go(Location(3, 0), select=True)
    cut = made.selected_text
    made.delete()
    assert made.buffer.text == "a\r\nd\r\n"
    made.insert(cut, keeps_ends=True)
    assert made.buffer.text == "a\r\nb\nc\r\nd\r\n"


def test_moved_lines_take_their_ends_along():
    """Only where the last line, which has none, goes up does it get one from the new last."""
    made = editing("a\r\nb\nc", 0, 0)
    made.move_lines(1)
    assert made.buffer.text == "b\na\r\nc"
    made.move_lines(1)
    assert made.buffer.text == "b\nc\r\na"
    made.move_lines(-1)
    assert made.buffer.text == "b\na\r\nc"


def test_deleting_the_last_line_takes_the_whole_line_end_before_it():
    """No CR is left at the file's end."""
    made = editing("a\r\nb", 1, 0)
    made.delete_lines()
    assert made.buffer.text == "a"


def test_a_cr_within_a_line_and_at_the_files_end_is_a_character():
    """It is passed, deleted and found like any other."""
    made = editing("a\rb\r", 0, 0)
    made.to_line_end()
    assert made.cursor == Location(0, 4)
    made.backspace()
    made.go(Location(0, 2))
    made.backspace()
    assert made.buffer.text == "ab"
    assert len(find.find_all(["a\rb\r", "c\r"], find.Query("\\r", is_regex=True))) == 2


async def replace_all(one, pattern, by):
    """Replace what an expression matches, by the find bar."""
    await one.press("ctrl+r", "alt+r")
    one.workspace.query_one("#find-text", Input).value = pattern
    await one.until(lambda: one.editor.matches)
    await one.press("tab")
    await one.type(by)
    await one.press("alt+a")


async def click_far_right(one):
    """Click behind the end of the first line."""
    await one.pilot.click(Editor, offset=(60, 0))


async def paste_in_terminal(one):
    """What a terminal sends for a text of two lines."""
    one.editor.post_message(events.Paste("x\r\ny"))
    await one.pilot.pause()


FILE = b"b = 1\r\nc = 2  \r\nd = 3\ne = 4"


def named(value):
    """The same name in each process, whatever an object's address is."""
    if isinstance(value, bytes):
        return repr(value)
    return " ".join(getattr(each, "__name__", None) or str(each) for each in value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keys", "after"),
    [
        (["end", "z"], b"b = 1z\r\nc = 2  \r\nd = 3\ne = 4"),
        (["end", "enter", "z"], b"b = 1\r\nz\r\nc = 2  \r\nd = 3\ne = 4"),
        (["ctrl+end", "up", "up", "up", "end", "z"], b"b = 1z\r\nc = 2  \r\nd = 3\ne = 4"),
        (["down", "left", "z"], b"b = 1z\r\nc = 2  \r\nd = 3\ne = 4"),
        (["down", "ctrl+left", "z"], b"b = 1z\r\nc = 2  \r\nd = 3\ne = 4"),
        (["end", "right", "z"], b"b = 1\r\nzc = 2  \r\nd = 3\ne = 4"),
        (["end", "ctrl+right", "z"], b"b = 1\r\nzc = 2  \r\nd = 3\ne = 4"),
        (["end", "delete", "z"], b"b = 1zc = 2  \r\nd = 3\ne = 4"),
        (["down", "backspace", "z"], b"b = 1zc = 2  \r\nd = 3\ne = 4"),
        (["end", "alt+d", "z"], b"b = 1zc = 2  \r\nd = 3\ne = 4"),
        (["shift+end", "z"], b"z\r\nc = 2  \r\nd = 3\ne = 4"),
        (["ctrl+x", "ctrl+v"], FILE),
        (["ctrl+c", "down", "down", "ctrl+v"], b"b = 1\r\nc = 2  \r\nb = 1\r\nd = 3\ne = 4"),
        (["ctrl+a", "ctrl+x", "ctrl+v"], FILE),
        (["alt+slash"], b"# b = 1\r\nc = 2  \r\nd = 3\ne = 4"),
        (["down", "alt+k", "alt+k", "alt+k"], b"b = 1"),
        (["down", "down", "alt+k", "up", "alt+down"], b"b = 1\r\ne = 4\r\nc = 2  "),
        (["end", paste_in_terminal], b"b = 1x\r\ny\r\nc = 2  \r\nd = 3\ne = 4"),
        (["ctrl+end", "up", paste_in_terminal], b"b = 1\r\nc = 2  \r\nd = 3x\ny\ne = 4"),
        ([click_far_right, "z"], b"b = 1z\r\nc = 2  \r\nd = 3\ne = 4"),
        (
            [lambda one: replace_all(one, r"\s+$", "z")],
            b"b = 1\r\nc = 2z\r\nd = 3\ne = 4",
        ),
        (
            [lambda one: replace_all(one, r".$", r"\n")],
            b"b = \r\n\r\nc = 2 \r\n\r\nd = \n\ne = \n",
        ),
    ],
    ids=named,
)
async def test_keys_in_a_file_of_mixed_line_ends(repository, keys, after):
    """The file on the disk after some keys: every line end that was not deleted is the same."""
    path = repository / "mix.py"
    path.write_bytes(FILE)
    async with journey(repository, "mix.py", is_automatic=False) as one:
        for key in keys:
            if callable(key):
                await key(one)
            else:
                await one.press(key)
        await one.until(lambda: after == FILE or one.document.is_modified)
        await one.press("escape", "ctrl+s")
        await one.until(lambda: not one.document.is_modified)
    assert path.read_bytes() == after


@pytest.mark.asyncio
async def test_a_suggestion_goes_before_the_line_end(repository):
    """What is accepted at the end of a CRLF line leaves that whole, and its lines end like it."""
    path = repository / "mix.py"
    path.write_bytes(FILE)
    async with journey(repository, "mix.py", is_automatic=False) as one:
        await one.press("end")
        one.editor.set_ghost(Ghost(one.editor.editing.cursor, (" + 2\nz = 3\nzz",)))
        await one.press("ctrl+down", "enter", "tab", "ctrl+s")
        await one.until(lambda: not one.document.is_modified)
    assert path.read_bytes() == b"b = 1 + 2\r\nz = 3\r\nzz\r\nc = 2  \r\nd = 3\ne = 4"


@pytest.mark.asyncio
async def test_the_cursor_of_the_last_time_comes_before_the_line_end(repository):
    """A session, or a record of another version, may have it between CR and LF."""
    path = repository / "mix.py"
    path.write_bytes(FILE)
    async with journey(repository, "mix.py", at=(0, 6), is_automatic=False) as one:
        assert one.editor.editing.cursor == Location(0, 5)


@pytest.mark.asyncio
async def test_line_ends_that_another_program_changed_are_the_files_after_undo(repository):
    """Undo brings the text back; saved, it has the line ends that the file has now."""
    path = repository / "mix.py"
    path.write_bytes(FILE)
    async with journey(repository, "mix.py", is_automatic=False) as one:
        path.write_bytes(b"theirs\r\n")
        await one.until(lambda: one.text == "theirs\n")
        await one.press("ctrl+z")
        assert one.text == FILE.decode()
        await one.press("ctrl+s")
        await one.until(lambda: not one.document.is_modified)
    assert path.read_bytes() == FILE.replace(b"3\n", b"3\r\n")
