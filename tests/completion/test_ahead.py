"""Where the cursor is likely to go: named places, definitions, places of before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy.completion.ahead import VisitedPlaces, places_ahead
from codebuddy.completion.context import build_context
from codebuddy.datatypes import Document, Position

FILLER = "    value = value + 1\n" * 24
TEXT = "".join(
    f"def {name}(value):\n{FILLER}    return {called}(value)\n\n\n"
    for name, called in [
        ("first", "third"),
        ("second", "first"),
        ("third", "print"),
        ("fourth", "len"),
        ("last", "print"),
    ]
)
LINE = {name: TEXT[: TEXT.index(f"def {name}(")].count("\n") + 1 for name in ("third", "fourth")}


def places(line: int, **more) -> list[int]:
    """The lines that are worth reading, from the end of `line`."""
    document = Document("shop.py", TEXT, Path("/shop.py"))
    column = len(TEXT.split("\n")[line - 1]) + 1
    context = build_context(document, Position(line, column), "python")
    found = places_ahead(context, **{"named": [], "visited": [], "limit": 2, **more})
    for place in found:
        assert place.column == len(TEXT.split("\n")[place.line - 1]) + 1
    return [place.line for place in found]


def test_definitions_of_names_at_the_cursor_come_first_then_the_next_function():
    """A call of `third` leads there; without a name to go to, the function behind."""
    assert places(26)[0] == LINE["third"]
    assert places(LINE["fourth"]) == [LINE["fourth"] + 28]


def test_what_was_named_precedes_and_what_was_visited_follows():
    """A search's place comes before all; one of before only where there is room."""
    assert places(26, named=[100])[0] == 100
    far = places(26, visited=[28 * 5 - 2], limit=9)
    assert far[-1] == 28 * 5 - 2
    assert places(26, visited=[130], limit=1) == [LINE["third"]]


def test_places_near_the_cursor_or_each_other_or_outside_are_left_out():
    """Their text is shown here already, or there is none."""
    assert places(26, named=[30, 0, 9000, 100, 101], limit=1) == [100]
    assert 101 not in places(26, named=[100, 101], limit=9)


def test_visited_places_are_few_and_apart():
    """Going down line by line is one place; the latest comes first; files are forgotten."""
    visited = VisitedPlaces()
    for line in (10, 11, 12, 200, 50, 51):
        visited.note("a.py", line)
    assert visited.before("a.py") == [51, 200, 12]
    for number in range(20):
        visited.note(f"{number}.py", 1)
    assert visited.before("a.py") == []


@pytest.mark.process
def test_nothing_that_reads_syntax_is_loaded_before_it_looks():
    """An engine's worker starts with this module, and the feature is off by default."""
    code = "import sys; import codebuddy.completion.ahead as a; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "codebuddy.index.analysis" not in done.stdout.split()
