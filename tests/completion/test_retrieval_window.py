"""What of its own file a completion may look up: what the prompt does not hold anyway."""

from __future__ import annotations

import pytest

from codebuddy.completion.retrieval import _is_at_cursor, query_terms
from codebuddy.datatypes import Chunk
from tests.support.completion import context_at


def chunk(first: int, last: int, path: str = "module.py") -> Chunk:
    return Chunk(1, path, "python", "function", "f", "", first, last, 0, 1, "def f(): pass")


@pytest.mark.parametrize(
    ("width", "distance", "expected"),
    [(30, 50, True), (30, 70, False), (2000, 1, True), (2000, 10, False), (50_000, 2, False)],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_the_window_is_as_many_lines_as_a_prompt_holds(width, distance, expected, side):
    """Sixty ordinary lines on each side; with lines of thousands of characters only a few."""
    lines = f"x = '{'y' * width}'\n" * 100
    context = context_at(lines + "z = \u2038\n" + lines)
    line = context.position.line + side * distance
    assert _is_at_cursor(chunk(line, line), context) is expected
    assert not _is_at_cursor(chunk(line, line, "other.py"), context)


def test_a_query_reads_a_bounded_part_of_long_lines():
    """Words are taken from near the cursor, whatever the lines are like."""
    far = " ".join(f"far_{number}" for number in range(9000))
    terms = query_terms(context_at(far + " near_name = \u2038\n"))
    assert "near_name" in " ".join(terms)
    assert len(terms) < 3000
