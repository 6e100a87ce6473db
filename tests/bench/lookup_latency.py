"""What a completion's lookup costs, as Markdown: `python -m tests.bench.lookup_latency FOLDER`.

Places are drawn from the files of a repository's commonest language. *Elsewhere*: each place in
another file than the last. *Typing*: further characters of one line, as pauses ask for. Times are
of the processor, in milliseconds, with an index that is warm.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from pathlib import Path, PurePosixPath

from codebuddy.completion.context import build_context
from codebuddy.completion.decision import count_definitions
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import Document, Position
from codebuddy.evaluation.statistics import percentile
from codebuddy.evaluation.tables import table
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.syntax import language_for
from codebuddy.vcs.repository import open_repository

_TOP_K = 8
_WARM_UP = 10
_TYPED = 4
_LEAST_LINES, _LEAST_COLUMNS = 30, 12


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--places", type=int, default=150)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    repository, settings = open_repository(arguments.folder), Settings()
    update_index(repository, settings)
    paths = [path.decode("utf-8", "surrogateescape") for path in repository.list_files()]
    suffix = Counter(PurePosixPath(path).suffix for path in paths if language_for(path))
    chosen = [path for path in paths if path.endswith(suffix.most_common(1)[0][0])]
    texts = {path: (repository.root / path).read_text(errors="replace") for path in chosen}
    n_lines = sum(text.count("\n") for text in texts.values())
    print(f"{len(texts)} files of {n_lines} lines\n")
    rng = random.Random(arguments.seed)
    spent: dict[str, list[float]] = {"names counted": [], "elsewhere": [], "typing": []}
    with RepositoryIndex.open(repository, settings) as index:
        for number in range(-_WARM_UP, arguments.places):
            for step, document, position in _typed(repository.root, texts, rng):
                context = build_context(document, position, document.language)
                started = time.process_time()
                count_definitions(context, index)
                counted = time.process_time()
                retrieve(context, index, _TOP_K)
                ended = time.process_time()
                if number >= 0:
                    spent["names counted"].append(1000 * (counted - started))
                    spent["typing" if step else "elsewhere"].append(1000 * (ended - counted))
    rows = [
        [name, str(len(each)), *(f"{percentile(each, share):.1f}" for share in (50, 95))]
        for name, each in spent.items()
    ]
    print("\n".join(table(["what", "places", "p50", "p95"], rows)))


def _typed(
    root: Path, texts: dict[str, str], rng: random.Random
) -> list[tuple[int, Document, Position]]:
    """A place in a file, and those of the next characters of its line."""
    while True:
        path = rng.choice(list(texts))
        lines = texts[path].split("\n")
        if len(lines) < _LEAST_LINES:
            continue
        line = rng.randrange(len(lines)) + 1
        if len(lines[line - 1]) < _LEAST_COLUMNS:
            continue
        document = Document(path, texts[path], root / path)
        first = _LEAST_COLUMNS - _TYPED
        return [(step, document, Position(line, first + step)) for step in range(_TYPED)]


if __name__ == "__main__":
    main()
