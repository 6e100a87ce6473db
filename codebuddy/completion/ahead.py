"""Where in an open file the cursor is likely to go next, so that it can be read while idle.

Found in the text alone: places that something named (a search, a hook), definitions of the names
around the cursor, where the person was before, the next function. Pure; no model, no index.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

from codebuddy.datatypes import Context, Position

# Nearer places show mostly the same text, which is moved there when the cursor comes.
_NEAR_LINES = 20
_MAX_FILES = 16
_MAX_VISITED = 8


class VisitedPlaces:
    """The lines at which suggestions were asked for, the latest last, of a few files."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[int]] = OrderedDict()

    def note(self, path: str, line: int) -> None:
        """The cursor is at `line` (1-based)."""
        lines = self._lines.setdefault(path, deque(maxlen=_MAX_VISITED))
        self._lines.move_to_end(path)
        if len(self._lines) > _MAX_FILES:
            self._lines.popitem(last=False)
        if not lines or abs(lines[-1] - line) > _NEAR_LINES:
            lines.append(line)
        else:
            lines[-1] = line

    def before(self, path: str) -> list[int]:
        """The lines, the latest first."""
        return list(reversed(self._lines.get(path, ())))


def places_ahead(
    context: Context, named: Sequence[int], visited: Sequence[int], limit: int
) -> list[Position]:
    """Ends of lines that are worth reading, at most `limit`, the likeliest first.

    Args:
        context: What is around the cursor.
        named: Lines of the document that something named.
        visited: Lines where the person was, the latest first.
        limit: How many at most.
    """
    lines = (context.prefix + context.suffix).split("\n")
    here, taken = context.position.line, [context.position.line]
    places: list[Position] = []
    for line in [*named, *_definitions(context, here), *visited]:
        if len(places) == limit:
            break
        if not 1 <= line <= len(lines) or any(abs(line - each) <= _NEAR_LINES for each in taken):
            continue
        taken.append(line)
        places.append(Position(line, len(lines[line - 1]) + 1))
    return places


def _definitions(context: Context, here: int) -> Iterator[int]:
    """Lines of the definitions of names near the cursor, then of the next one behind it."""
    # Late: what it imports would make every start of a worker slower.
    from codebuddy.index.analysis import analyze

    text = context.prefix + context.suffix
    found = analyze(context.document.path, text.encode("utf-8", "replace")).definitions
    whole = [each for each in found if each.end_line > each.line]
    line_of = {each.name: each.line for each in reversed(whole)}
    for name in context.near:
        if name in line_of:
            yield line_of[name]
    yield from (each.line for each in whole if each.line > here)
