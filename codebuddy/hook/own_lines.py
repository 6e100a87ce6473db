"""Lines that a user added to the hook's script: they survive `install` and `uninstall`.

The script is compared with what would be written now. What it has beside that is the user's,
and keeps its place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from codebuddy.hook import stub

# Lines of ours that differ from script to script, as one token each.
_VARYING = (
    (re.compile(rf"# {stub.MARK} \d+"), "mark"),
    (re.compile(r"python=.*"), "python"),
    (re.compile(r"    sleep \d+ &"), "sleep"),
)
# Lines of scripts that earlier versions wrote, and this one does not.
_FORMER = frozenset(
    {
        'here=$(dirname -- "$0")',
        '"$python" -P -m codebuddy hook run --from-git pre-commit </dev/null 2>/dev/null &',
        '"$python" -P -m codebuddy hook run --from-git prepare-commit-msg --message-file "$1"'
        " </dev/null 2>/dev/null &",
        """    trap 'kill "$pause" 2>/dev/null; exit 0' TERM""",
        'trap \'kill -KILL "$child" 2>/dev/null; kill "$watchdog" 2>/dev/null; exit 0\''
        " INT TERM HUP",
    }
)
# So much of a line of ours is left where the user changed it.
_CHANGED_RATIO = 0.7


def merged(ours: str, text: str) -> str:
    """The script `ours` with what a user added to its earlier form `text`, in the same places."""
    lines = ours.split("\n")
    for place, added in reversed(_added(ours, text)):
        lines[place:place] = added
    # Their lines may need the shell that they chose.
    return "\n".join([_shell(text) or lines[0], *lines[1:]])


def without_ours(ours: str, text: str) -> str:
    """What is left of the script `text` without our lines; empty where nothing is the user's."""
    added = [line for _, lines in _added(ours, text) for line in lines]
    if not any(line.strip() for line in added):
        return ""
    shell = _shell(text)
    return "\n".join([*([shell] if shell else []), *added]).rstrip("\n") + "\n"


def _shell(text: str) -> str:
    """The first line, if it names the program that runs the script."""
    first = text.partition("\n")[0].rstrip("\r")
    return first if first.startswith("#!") else ""


def _added(ours: str, text: str) -> list[tuple[int, list[str]]]:
    """Lines of `text` that are not ours, each run with its place among the lines of `ours`."""
    expected = ours.split("\n")
    actual = text.replace("\r\n", "\n").split("\n")
    if _shell(text):
        actual[0] = expected[0]
    matcher = difflib.SequenceMatcher(None, _plain(expected), _plain(actual), autojunk=False)
    found = []
    for tag, first, last, start, end in matcher.get_opcodes():
        if tag not in ("insert", "replace"):
            continue
        replaced = expected[first:last]
        lines = [each for each in actual[start:end] if not _is_ours(each, replaced)]
        if any(each.strip() for each in lines):
            found.append((max(1, first), lines))
    return found


def _plain(lines: Sequence[str]) -> list[str]:
    return [
        next((token for pattern, token in _VARYING if pattern.fullmatch(line)), line)
        for line in lines
    ]


def _is_ours(line: str, replaced: Sequence[str]) -> bool:
    """Whether a line that stands in the place of `replaced` is one of ours, older or changed."""
    if line in _FORMER:
        return True
    return any(
        each.strip()
        and difflib.SequenceMatcher(None, each, line, autojunk=False).ratio() > _CHANGED_RATIO
        for each in replaced
    )
