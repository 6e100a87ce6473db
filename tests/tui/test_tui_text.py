"""The text under the editor: edits, undo, motion, cells, search, ghost text."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.tui.screens.palettes import matching_paths
from codebuddy.tui.text import find, motion
from codebuddy.tui.text.buffer import Location, TextBuffer
from codebuddy.tui.text.cells import lay_out, width_of
from codebuddy.tui.text.editing import Editing
from codebuddy.tui.text.ghost import Ghost, is_worth_asking


def editing(text, line=0, column=0):
    """An editing of `text` with the cursor somewhere."""
    made = Editing(TextBuffer(text))
    made.go(Location(line, column))
    return made


def type_text(made, text):
    """Type character by character."""
    for character in text:
        made.insert(character)


def test_undo_takes_back_a_word_at_a_time_and_redo_brings_it_back():
    """Typing is undone word by word; redo makes it again."""
    made = editing("")
    type_text(made, "one two three")
    made.undo()
    assert made.buffer.text == "one two "
    made.undo()
    assert made.buffer.text == "one "
    made.redo()
    made.redo()
    assert made.buffer.text == "one two three"
    assert made.cursor == Location(0, 13)


def test_a_moved_cursor_begins_a_new_step_of_undo():
    """What is typed elsewhere is undone by itself."""
    made = editing("ab\ncd")
    made.insert("x")
    made.go(Location(1, 0))
    made.insert("y")
    made.undo()
    assert made.buffer.text == "xab\ncd"


def test_undoing_to_the_saved_text_is_no_change():
    """A buffer knows that undo brought back what is on disk."""
    made = editing("a")
    made.insert("x")
    made.buffer.mark_saved()
    assert not made.buffer.is_modified
    made.insert("y")
    assert made.buffer.is_modified
    made.undo()
    assert not made.buffer.is_modified
    made.undo()
    assert made.buffer.is_modified


@given(st.integers(0, 10_000))
def test_undo_of_everything_gives_the_first_text(seed):
    """Whatever is done, undoing all of it restores the text exactly, and redoing repeats it."""
    chance = random.Random(seed)
    first = "\n".join("".join(chance.choices("ab \t(é中", k=5)) for _ in range(4))
    made = editing(first)
    actions = [
        lambda: made.insert(chance.choice(["x", "\n", "two words", "a\nb"])),
        made.backspace,
        made.delete,
        made.newline,
        made.indent,
        made.dedent,
        lambda: made.move_lines(chance.choice([1, -1])),
        lambda: made.toggle_comment("#"),
        made.delete_lines,
        made.delete_word_left,
        lambda: made.go(Location(chance.randrange(6), chance.randrange(6)), select=True),
        lambda: made.go(Location(chance.randrange(6), chance.randrange(6))),
    ]
    for _ in range(30):
        chance.choice(actions)()
    last = made.buffer.text
    while made.undo():
        pass
    assert made.buffer.text == first
    while made.redo():
        pass
    assert made.buffer.text == last


def test_a_new_line_is_indented_like_the_old_one_and_deeper_behind_an_opener():
    """Enter keeps the indentation, adds a level behind a colon, and opens brackets up."""
    made = editing("def f():\n    x = 1", 1, 9)
    made.newline()
    assert made.buffer.lines[2] == "    "
    made = editing("    def f():", 0, 12)
    made.newline()
    assert made.buffer.lines[1] == "        "
    made = editing("f()", 0, 2)
    made.newline()
    assert made.buffer.text == "f(\n    \n)"
    assert made.cursor == Location(1, 4)


def test_backspace_in_indentation_takes_a_level():
    """Four blanks go at once; a tab is one character."""
    made = editing("if a:\n    b\n        x", 2, 8)
    made.backspace()
    assert made.buffer.lines[2] == "    x"
    made = editing("if a {\n\t\tx", 1, 2)
    made.backspace()
    assert made.buffer.lines[1] == "\tx"


def test_comments_are_toggled_for_all_lines_or_none():
    """Lines become comments at their common indentation, and code again."""
    made = editing("  a\n\n    b")
    made.select_all()
    made.toggle_comment("#")
    assert made.buffer.text == "  # a\n\n  #   b"
    made.toggle_comment("#")
    assert made.buffer.text == "  a\n\n    b"


def test_the_cursor_keeps_its_cell_over_short_lines_and_tabs():
    """Going down through a short line comes back to the same cell."""
    made = editing("abcdefgh\nx\n\tabcd", 0, 6)
    made.vertically(1)
    assert made.cursor == Location(1, 1)
    made.vertically(1)
    assert made.cursor == Location(2, 3)


def test_moving_lines_takes_the_selection_along():
    """Lines go down by one, the cursor with them; at the end nothing happens."""
    made = editing("a\nb\nc", 0, 1)
    made.move_lines(1)
    assert (made.buffer.text, made.cursor) == ("b\na\nc", Location(1, 1))
    made.move_lines(1)
    made.move_lines(1)
    assert made.buffer.text == "b\nc\na"


def test_words_are_found_to_both_sides():
    """Word motion stops at the ends of words and of lines."""
    buffer = TextBuffer("one.two  three\nfour")
    assert motion.word_right(buffer, Location(0, 0)) == Location(0, 3)
    assert motion.word_right(buffer, Location(0, 14)) == Location(1, 0)
    assert motion.word_left(buffer, Location(0, 9)) == Location(0, 4)
    assert motion.word_left(buffer, Location(1, 0)) == Location(0, 14)


def test_the_matching_bracket_is_found_across_lines():
    """Nested brackets are counted in both directions."""
    buffer = TextBuffer("f(a, [b,\n  (c)], d)")
    assert motion.matching_bracket(buffer, Location(0, 1)) == Location(1, 9)
    assert motion.matching_bracket(buffer, Location(1, 10)) == Location(0, 1)
    assert motion.matching_bracket(buffer, Location(1, 4)) == Location(1, 2)


def test_the_unit_of_indentation_is_the_files_own():
    """Two blanks, four blanks and tabs are told apart."""
    assert motion.indentation_unit(TextBuffer("a:\n  b:\n    c\n  d")) == "  "
    assert motion.indentation_unit(TextBuffer("a:\n    b:\n        c")) == "    "
    assert motion.indentation_unit(TextBuffer("a {\n\tb")) == "\t"


def test_tabs_wide_characters_and_control_bytes_have_their_cells():
    """A tab reaches its stop, a wide character takes two cells, a control byte shows as text."""
    layout = lay_out("a\t中\x1b]x", 4)
    assert layout.text(0, 6) == "a   中^[]x"
    assert list(layout.starts) == [0, 1, 4, 6, 8, 9, 10]
    assert layout.column_at(5) == 2
    assert width_of("e\u0301") == 1


@given(st.text(max_size=40))
def test_no_control_character_is_ever_shown(text):
    """Whatever a line holds, what is shown of it is printable."""
    line = text.replace("\n", "")
    layout = lay_out(line, 4)
    shown = layout.text(0, len(line))
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert len(layout.starts) == len(line) + 1


def test_find_takes_capitals_seriously_and_wraps_around():
    """Small letters match both; the match after the last is the first."""
    lines = ["Alpha beta", "alpha"]
    matches = find.find_all(lines, find.Query("alpha"))
    assert [match[0] for match in matches] == [Location(0, 0), Location(1, 0)]
    assert len(find.find_all(lines, find.Query("Alpha"))) == 1
    assert find.next_match(matches, Location(1, 2)) == matches[0]
    assert find.previous_match(matches, Location(0, 0)) == matches[1]


def test_a_bad_pattern_is_said_to_be_one():
    """A regular expression that does not compile raises with its reason."""
    with pytest.raises(find.BadPatternError, match="missing"):
        find.find_all(["a"], find.Query("(", is_regex=True))


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(?R)"])
def test_an_expression_that_tries_every_combination_is_ended(pattern):
    """It takes for ever with Python's own expressions; here it is refused, in one sentence."""
    with pytest.raises(find.BadPatternError, match="takes too long here"):
        find.find_all(["fine", "a" * 200 + "!"], find.Query(pattern, is_regex=True))


def test_a_search_that_nobody_waits_for_ends():
    """The answer to an older query is not looked for any further."""
    answers = iter([True, True, False])
    with pytest.raises(find.UnwantedError):
        find.find_all(["x"] * 9, find.Query("x"), lambda: next(answers))


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a{99999999999}", "(" * 600 + ")" * 600, "(?P<x", "\\"]
)
def test_what_is_no_expression_is_said(pattern):
    """Whatever is typed is compiled, or raises with a reason."""
    with pytest.raises(find.BadPatternError, match=r"\w"):
        find.find_all(["a"], find.Query(pattern, is_regex=True))


def test_a_word_of_a_million_letters_is_passed_at_once():
    """Going a word left or right takes time in proportion to the line; nothing is searched for."""
    line = "key = " + "a" * 1_000_000 + "  "
    buffer = editing(line).buffer
    end = Location(0, len(line))
    assert motion.word_left(buffer, end) == Location(0, 6)
    assert motion.word_left(buffer, Location(0, 6)) == Location(0, 4)
    assert motion.word_left(buffer, Location(0, 3)) == Location(0, 0)
    assert motion.word_right(buffer, Location(0, 5)) == Location(0, 1_000_006)


def test_files_are_found_by_letters_in_order_and_closest_first():
    """A name before folders, a run before scattered letters; any number of candidates is tried."""
    paths = ["src/pricing.py", "pricing/other.py", "docs/p/r/c/n/g.md", "a" * 200]
    assert matching_paths(paths, "prcng", 9) == paths[:3]
    assert matching_paths(paths, "pricing", 9) == paths[:2]
    assert matching_paths(paths, "zz", 9) == []
    assert matching_paths(paths, "a" * 40 + "b", 9) == []


def test_replacing_with_groups_is_one_step_of_undo():
    """Groups of the pattern stand in the replacement; one undo brings everything back."""
    made = editing("a1 b2\nc3")
    query = find.Query(r"([a-z])(\d)", is_regex=True)
    matches = find.find_all(made.buffer.lines, query)
    edits = find.replacements(made.buffer.lines, matches, query, r"\2\1")
    assert made.replace_all(edits) == 3
    assert made.buffer.text == "1a 2b\n3c"
    made.undo()
    assert made.buffer.text == "a1 b2\nc3"


def test_a_ghost_is_typed_through_and_ends_where_it_disagrees():
    """Agreeing characters leave the rest, others end it, alternatives that agree stay."""
    ghost = Ghost(Location(0, 2), ("return x", "raise y"))
    rest = ghost.after_typing("r")
    assert rest is not None
    assert (rest.texts, rest.at) == (("eturn x", "aise y"), Location(0, 3))
    assert rest.after_typing("a") is None
    assert rest.cycled(1).after_typing("a") is not None


def test_a_ghost_is_accepted_by_words_and_lines():
    """Words bring their blanks, lines end before the newline, then with it."""
    ghost = Ghost(Location(0, 0), ("total = sum(items)\n    return total",))
    taken = []
    rest: Ghost | None = ghost
    while rest is not None:
        taken.append(rest.next_word())
        rest = rest.after_typing(taken[-1])
    assert taken == ["total", " =", " sum", "(", "items", ")", "\n    return", " total"]
    assert ghost.next_line() == "total = sum(items)"
    after = ghost.after_typing("total = sum(items)")
    assert after is not None
    assert after.next_line() == "\n    return total"


def test_nothing_is_suggested_in_the_middle_of_a_word():
    """Only the ends of words are worth asking at."""
    assert is_worth_asking("foo", "")
    assert is_worth_asking("foo(", ")")
    assert not is_worth_asking("fo", "o")
