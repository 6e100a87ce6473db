"""Which calls of the command are keystrokes: the same file, a little typed at the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.service.keystrokes import Keystrokes

IMPORTS = "import json\nimport logging\n\nlogger = logging.getLogger(__name__)\n\n\n"
BEFORE = f"{IMPORTS}def total(items):\n    amount = "
BEHIND = "\n\n\ndef label(item):\n    return item.name\n"
FILE = "/shop/cart.py"


def second_call(text: str, offset: int, *, pause_s: float = 1.0, path: str = FILE) -> bool:
    """Whether a call follows one for the unfinished line."""
    keystrokes = Keystrokes()
    assert not keystrokes.follows(FILE, BEFORE + BEHIND, len(BEFORE), 10.0)
    return keystrokes.follows(path, text, offset, 10.0 + pause_s)


@pytest.mark.parametrize("typed", ["s", "sum(", "sum()", "sum(item.price for item in items)\n    "])
def test_what_was_typed_at_the_cursor_is_a_keystroke(typed):
    """Characters, a closing bracket that the editor added, an accepted line."""
    assert second_call(BEFORE + typed + BEHIND, len(BEFORE + typed))


def test_a_deletion_is_a_keystroke():
    """Going back is typing, too."""
    assert second_call(BEFORE[:-4] + BEHIND, len(BEFORE) - 4)


@pytest.mark.parametrize(
    ("text", "offset", "more"),
    [
        (BEFORE + BEHIND, len(BEFORE), {}),
        (BEFORE + "s" + BEHIND, 3, {}),
        (BEFORE + "s" + BEHIND, len(BEFORE) + 1, {"pause_s": 3600.0}),
        (BEFORE + "s" + BEHIND, len(BEFORE) + 1, {"path": "/shop/other.py"}),
        (BEFORE + "sum(items) + " * 20 + BEHIND, len(BEFORE) + 260, {}),
        ("# a new heading\n" + BEFORE + BEHIND, len(BEFORE) + 17, {}),
        ("# " + BEFORE + "s" + BEHIND, len(BEFORE) + 3, {}),
    ],
    ids=["same text", "cursor elsewhere", "late", "another file", "a paste", "moved", "two places"],
)
def test_what_is_no_keystroke_is_answered_exactly(text, offset, more):
    """One who asks for the same again, or about something else, gets what a new process says."""
    assert not second_call(text, offset, **more)


def test_large_texts_and_old_files_are_forgotten():
    """Memory stays bounded: a few files, of a million characters at most."""
    keystrokes = Keystrokes()
    huge = "x = 1\n" * 200_000
    assert not keystrokes.follows(FILE, huge, 6, 0.0)
    assert not keystrokes.follows(FILE, "y" + huge, 1, 1.0)
    for number in range(9):
        assert not keystrokes.follows(f"/{number}", BEFORE + BEHIND, len(BEFORE), 2.0)
    assert not keystrokes.follows("/0", BEFORE + "s" + BEHIND, len(BEFORE) + 1, 3.0)
    assert keystrokes.follows("/8", BEFORE + "s" + BEHIND, len(BEFORE) + 1, 3.0)


@given(st.text("ab\n", max_size=40), st.text("ab\n", max_size=40), st.text("ab\n", min_size=1))
def test_typing_anything_anywhere_is_found(before, behind, typed):
    """Also where what was typed repeats its surroundings, so that its place is not exact."""
    keystrokes = Keystrokes()
    typed = typed[:60]
    keystrokes.follows(FILE, before + behind, len(before), 0.0)
    assert keystrokes.follows(FILE, before + typed + behind, len(before + typed), 1.0)
