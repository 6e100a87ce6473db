"""Finding functions by their documentation, in code from which all documentation is gone.

As CodeSearchNet does it: the query is the first line of a function's documentation, the
right answer the function. The index under test would hold that very line, so a second one is
built, of a copy of the code without comments and docstrings, in a folder that goes away.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from codebuddy.evaluation.progress import TaskProgress
from codebuddy.evaluation.retrieval import (
    TOP_K,
    Ranking,
    RankingFigures,
    channels_of,
    first_rank,
    summarize_rankings,
)
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex, SearchChannel
from codebuddy.index.symbols import find_symbols
from codebuddy.settings import Settings
from codebuddy.syntax import language_for, traits_of
from codebuddy.syntax.scope import open_tree
from codebuddy.syntax.spec import FUNCTION_KINDS
from codebuddy.vcs.repository import Repository

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Grammar, Node, Tree

_MAX_FILES = 3000
_MAX_FILE_BYTES = 300_000
_MIN_WORDS, _MAX_WORDS = 4, 40
# Documentation that says something of the tools or the author and nothing of the function.
_NO_QUERY_MARKS = ("todo", "fixme", "copyright", "eslint", "noqa", "@", ":param", "http", "type:")


@dataclass(frozen=True, slots=True)
class DocumentedFunction:
    """A function with the words that describe it."""

    path: str
    qualified: str
    query: str


def docstring_report(
    repository: Repository, index: RepositoryIndex, settings: Settings, count: int, seed: int
) -> RankingFigures:
    """`summarize_rankings` of up to `count` documented functions; none gives no queries."""
    with bare_copy(repository, index, settings, seed) as (functions, bare):
        rankings = rank_functions(functions, bare, count)
    return summarize_rankings(rankings, seed)


@contextmanager
def bare_copy(
    repository: Repository, index: RepositoryIndex, settings: Settings, seed: int
) -> Iterator[tuple[list[DocumentedFunction], RepositoryIndex]]:
    """Documented functions in an order that `seed` decides, and an index without documentation."""
    with tempfile.TemporaryDirectory(prefix="codebuddy-eval-") as scratch:
        functions = _copy_without_documentation(repository, index, Path(scratch) / "code", seed)
        random.Random(seed).shuffle(functions)
        with _index_of(Path(scratch), settings) as bare:
            yield functions, bare


def rank_functions(
    functions: Sequence[DocumentedFunction],
    bare: RepositoryIndex,
    count: int,
    asked: Callable[[str], str] | None = None,
) -> list[dict[str, Ranking]]:
    """The rank of each function in each channel, for the first `count` that can be told apart.

    Args:
        functions: Which.
        bare: An index of their code without documentation.
        count: How many at most.
        asked: What becomes of a query before it is asked.
    """
    channels = channels_of(bare)
    rankings: list[dict[str, Ranking]] = []
    with TaskProgress("searching by words", min(count, len(functions))) as progress:
        for function in functions:
            if len(rankings) == count:
                break
            right = {
                each.chunk_id
                for each in bare.definitions_of(function.path)
                if each.qualified == function.qualified
            }
            if len(right) != 1:
                # Overloads, or a body that was nothing but documentation.
                continue
            found: dict[str, Ranking] = {}
            query = asked(function.query) if asked is not None else function.query
            for channel in channels:
                started = time.perf_counter()
                results = bare.search(query, TOP_K, cast("SearchChannel", channel))
                ms = (time.perf_counter() - started) * 1000
                found[channel] = Ranking(first_rank(results, right.__contains__), ms)
            rankings.append(found)
            progress.advance()
    return rankings


def _copy_without_documentation(
    repository: Repository, index: RepositoryIndex, target: Path, seed: int
) -> list[DocumentedFunction]:
    """Write the code of the repository below `target`; its documented functions."""
    paths = sorted(
        path
        for each in repository.list_files()
        if traits_of(language_for(path := os.fsdecode(each), b"")).category == "code"
    )
    random.Random(seed).shuffle(paths)
    functions: list[DocumentedFunction] = []
    seen: set[str] = set()
    for path in paths[:_MAX_FILES]:
        chunks = index.chunks_of(path)
        if not chunks or chunks[-1].end_byte > _MAX_FILE_BYTES:
            continue
        source = "".join(chunk.text for chunk in chunks).encode("utf-8", "replace")
        opened = open_tree(source, chunks[0].language)
        if opened is None:
            continue
        if not _write(target / path, _bare(source, *opened)):
            continue
        for found in find_symbols(opened[0], source, opened[1]).definitions:
            if found.kind in FUNCTION_KINDS and _is_query(found.doc) and found.doc not in seen:
                seen.add(found.doc)
                functions.append(DocumentedFunction(path, found.qualified, found.doc))
    return functions


def _write(file: Path, content: bytes) -> bool:
    """Whether a file of this name could be made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except (OSError, ValueError):
        return False
    return True


def _is_query(doc: str) -> bool:
    lowered = doc.lower()
    return _MIN_WORDS <= len(doc.split()) <= _MAX_WORDS and not any(
        mark in lowered for mark in _NO_QUERY_MARKS
    )


def _bare(source: bytes, tree: Tree, grammar: Grammar) -> bytes:
    """`source` without comments and docstrings."""
    cuts: list[tuple[int, int]] = []
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        is_doc = grammar.spec.docstring and _is_docstring(node, grammar)
        if is_doc or node.kind_id in grammar.comments:
            cuts.append((node.start_byte, node.end_byte))
        else:
            stack += node.children
    kept, position = [], 0
    for start, end in sorted(cuts):
        kept.append(source[position:start])
        position = max(position, end)
    kept.append(source[position:])
    return b"".join(kept)


def _is_docstring(node: Node, grammar: Grammar) -> bool:
    if node.type != "expression_statement" or node.named_child_count != 1:
        return False
    inner = node.named_child(0)
    return inner is not None and inner.kind_id in grammar.strings


@contextmanager
def _index_of(scratch: Path, settings: Settings) -> Iterator[RepositoryIndex]:
    """An index of the files below `scratch/code`."""
    code = scratch / "code"
    code.mkdir(exist_ok=True)
    folder = _PlainFolder(code, scratch / "none", scratch / "index", is_shallow=False)
    update_index(folder, settings)
    with RepositoryIndex.open(folder, settings) as index:
        yield index


class _PlainFolder(Repository):
    """Files that git knows nothing of, as the index wants to see them."""

    def list_files(self) -> list[bytes]:
        """Every file below the root."""
        found = []
        for parent, _, names in os.walk(self.root_bytes):
            found += [os.path.relpath(os.path.join(parent, n), self.root_bytes) for n in names]  # noqa: PTH118
        return sorted(found)

    def list_ignored_files(self) -> list[bytes]:
        """None."""
        return []

    def head_commit(self) -> str:
        """None."""
        return ""

    def recent_changes(self, max_commits: int) -> list[tuple[str, list[bytes]]]:
        """None."""
        return []
