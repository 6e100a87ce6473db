"""What an agent spends until it has read the right function: `codebuddy mcp`, or grep and read.

    python -m tests.bench.agents REPOSITORY... [--tasks N] [--seed N]      Markdown on stdout

The tasks are those of `tests.bench.search`: *docstring*, a function by the first line of its
documentation, in a copy without any; *call*, what another file defines, by a line that calls it.
Both agents look, then read what they were shown from the top until the right function is in it.

- ours: for a call, `definition` of each name that the line calls, with the calling file as
  `near`. For words, and where that was not right, `search` and then `read` of each result; last,
  `search` once more for 30 results.
- grep: for a call, the places that define the names that the line calls; where there are none,
  all places with these names. For words, all lines with one of the longest six. It sees 100
  lines of them. An agent could not sort them: here the files with the most different words come
  first. Then it reads each file: whole up to 400 lines, else 200 lines around the place with the
  most words.

Ten reads at most. A task that is not reached counts with all that was spent. A token is three
bytes of what the agent is shown, for both; the descriptions of the tools, which an agent pays for
once, are not in it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import Chunk
from codebuddy.evaluation.statistics import percentile
from codebuddy.evaluation.tables import table
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.search_response import search_response
from codebuddy.serve.agents.page import count_tokens
from codebuddy.serve.agents.pages import code_page, definition_page, search_page
from codebuddy.service.code_questions import find_definitions
from codebuddy.service.code_text import CodeText
from codebuddy.service.request import SearchRequest
from codebuddy.settings import Settings
from tests.bench.search import _indexes
from tests.bench.search_tasks import Task

_MAX_READS = 10
_MAX_GREP_LINES = 100
_WHOLE_FILE_LINES = 400
_WINDOW_LINES = 200
_MAX_WORDS = 6
_CALLED = re.compile(r"([^\W\d]\w*)\s*(?:\(|!\(|<)")
_DEFINES = (
    r"\b(?:def|class|function|func|fn|const|let|var|type|interface|struct|enum|trait|macro_rules!)"
    r"\s+(?:\([^)]*\)\s*)?{name}\b"
)
_COMMON = frozenset(
    "the a an of to and or in is are for with from by on at as it its this that be if not into"
    " when which return returns get set given all any".split()
)


@dataclass(frozen=True, slots=True)
class Spent:
    """Until the right function was read, or the agent gave up."""

    tokens: int
    calls: int
    is_reached: bool


@dataclass(frozen=True, slots=True)
class Grepped:
    """A file with hits: how many different words, and the numbers of the lines."""

    path: str
    n_words: int
    lines: tuple[int, ...]


def main() -> None:
    """Both agents over the tasks of all repositories."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(f"command: python -m tests.bench.agents {' '.join(sys.argv[1:])}\n")
    found: dict[tuple[str, str], list[tuple[Spent, Spent]]] = defaultdict(list)
    for root in (each.resolve() for each in arguments.repositories):
        for tasks, _, index in _indexes(root, {"": Settings()}, arguments.tasks, arguments.seed):
            texts = _texts(index)
            for task in tasks:
                if task.kind != "name":
                    pair = (_ours(index, task), _grep(index, texts, task))
                    found[root.name, task.kind].append(pair)
                    found["all", task.kind].append(pair)
                    found["all", "both"].append(pair)
    rows = [_row(f"{name}, {kind}", pairs) for (name, kind), pairs in sorted(found.items())]
    head = ["repository, task", "n", "tokens, ours", "grep", "ours / grep", "calls, ours", "grep"]
    print("\n".join(table([*head, "reached, ours", "grep", "where both reached"], rows)))


def _row(name: str, pairs: list[tuple[Spent, Spent]]) -> list[str]:
    """Medians; the ratios are those of the medians."""
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    tokens = [percentile([each.tokens for each in side], 50) for side in (ours, theirs)]
    calls = [percentile([each.calls for each in side], 50) for side in (ours, theirs)]
    reached = [sum(each.is_reached for each in side) / len(side) for side in (ours, theirs)]
    both = [pair for pair in pairs if all(each.is_reached for each in pair)]
    of_both = [percentile([pair[side].tokens for pair in both], 50) for side in (0, 1)]
    return [
        name,
        str(len(pairs)),
        *(f"{each:,.0f}" for each in tokens),
        f"{tokens[0] / tokens[1]:.2f}",
        *(f"{each:.0f}" for each in calls),
        *(f"{each:.0%}" for each in reached),
        f"{of_both[0] / of_both[1]:.2f} of {len(both)}" if both else "",
    ]


def _texts(index: RepositoryIndex) -> dict[str, list[str]]:
    """The lines of every file, which grep goes through."""
    paths = [each.path.decode("utf-8", "surrogateescape") for each in index.files()]
    return {path: "".join(c.text for c in index.chunks_of(path)).split("\n") for path in paths}


def _ours(index: RepositoryIndex, task: Task) -> Spent:
    tokens = calls = 0
    seen: set[int] = set()
    for name in _called(task):
        found = find_definitions(index, name, task.near, CancellationToken(), 3)
        tokens += count_tokens(definition_page(name, found, 2_000).text())
        calls += 1
        if any(each.chunk_id in task.right for each, _ in found.found):
            return Spent(tokens, calls, True)
    for limit, budget in ((8, 1_500), (30, 5_000)):
        request = SearchRequest("", task.query, limit, near=task.near)
        response = cast("Any", search_response(index, request, task.near))
        page = search_page(response, budget)
        tokens += count_tokens(page.text())
        calls += 1
        shown = limit - page.left_out.get("results", 0)
        for result in index.search(task.query, limit, near=task.near)[:shown]:
            chunk = result.chunk
            # An agent knows the file that it works in.
            if chunk.id in seen or chunk.path == task.near or len(seen) >= _MAX_READS:
                continue
            seen.add(chunk.id)
            tokens += count_tokens(_read(chunk))
            calls += 1
            if chunk.id in task.right:
                return Spent(tokens, calls, True)
    return Spent(tokens, calls, False)


def _read(chunk: Chunk) -> str:
    lines = tuple(chunk.text.rstrip("\n").split("\n"))
    return code_page(CodeText(chunk.path, chunk.start_line, lines, chunk.end_line), 3_000).text()


def _grep(index: RepositoryIndex, texts: dict[str, list[str]], task: Task) -> Spent:
    right = [(each.path, each.start_line, each.end_line) for each in index.chunks(list(task.right))]
    tokens = calls = n_read = 0
    seen: set[str] = set()
    for patterns in _patterns(task):
        hits = _hits(texts, patterns, task.near)
        tokens += count_tokens(_listed(texts, hits))
        calls += 1
        for hit in hits:
            if hit.path in seen or n_read >= _MAX_READS:
                continue
            seen.add(hit.path)
            n_read += 1
            first, last = _window(texts[hit.path], hit)
            lines = texts[hit.path][first - 1 : last]
            tokens += count_tokens("\n".join(f"{n}\t{t}" for n, t in enumerate(lines, first)))
            calls += 1
            if any(p == hit.path and first <= s and e <= last + 1 for p, s, e in right):
                return Spent(tokens, calls, True)
            if any(p == hit.path and s <= last and e >= first for p, s, e in right):
                # Part of it is seen: it reads on.
                span = next(each for each in right if each[0] == hit.path)
                tokens += count_tokens("\n".join(texts[hit.path][span[1] - 1 : span[2]]))
                return Spent(tokens, calls + 1, True)
    return Spent(tokens, calls, False)


def _called(task: Task) -> list[str]:
    """The names that the line of a call task calls, in their order."""
    return list(dict.fromkeys(_CALLED.findall(task.query))) if task.kind == "call" else []


def _patterns(task: Task) -> Iterator[list[re.Pattern[str]]]:
    """What is looked for first, and where that finds nothing right."""
    if task.kind == "call":
        names = _called(task) or re.findall(r"[^\W\d]\w+", task.query)
        yield [re.compile(_DEFINES.format(name=re.escape(name))) for name in names]
        yield [re.compile(rf"\b{re.escape(name)}\b") for name in names]
        return
    words = [word for word in re.findall(r"\w+", task.query.lower()) if word not in _COMMON]
    words = sorted(dict.fromkeys(words), key=len, reverse=True)[:_MAX_WORDS]
    yield [re.compile(re.escape(word), re.IGNORECASE) for word in words]


def _hits(texts: dict[str, list[str]], patterns: list[re.Pattern[str]], near: str) -> list[Grepped]:
    """The files with hits but for the agent's own, those with the most different words first."""
    found = []
    for path, lines in texts.items():
        met: set[int] = set()
        numbers = []
        for number, line in enumerate(lines, 1):
            here = {place for place, each in enumerate(patterns) if each.search(line)}
            if here:
                met |= here
                numbers.append(number)
        if numbers and path != near:
            found.append(Grepped(path, len(met), tuple(numbers)))
    return sorted(found, key=lambda each: (-each.n_words, -len(each.lines), each.path))


def _listed(texts: dict[str, list[str]], hits: list[Grepped]) -> str:
    """What `grep -rn` prints, cut as agents' tools cut it."""
    lines = [
        f"{hit.path}:{number}:{texts[hit.path][number - 1][:200]}"
        for hit in hits
        for number in hit.lines
    ]
    return "\n".join(lines[:_MAX_GREP_LINES])


def _window(lines: list[str], hit: Grepped) -> tuple[int, int]:
    """First and last line that are read."""
    if len(lines) <= _WHOLE_FILE_LINES:
        return 1, len(lines)
    best = max(
        hit.lines,
        key=lambda first: sum(first <= other < first + _WINDOW_LINES for other in hit.lines),
    )
    first = max(1, best - _WINDOW_LINES // 4)
    return first, min(len(lines), first + _WINDOW_LINES - 1)


if __name__ == "__main__":
    main()
