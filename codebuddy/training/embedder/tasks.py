"""What the embedder is measured on: questions to repositories that it never saw.

Two tasks a repository, both with one right answer among all its functions: a docstring with
the function it documents (the docstring taken out of it), and the lines around a call with
the definition in another file. It knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy.training.embedder.pairs import (
    Function,
    ParsedFile,
    calls,
    parse_files,
    unique_functions,
)
from codebuddy.training.packages import Package, identify
from codebuddy.training.sources import LANGUAGES

MAX_QUERIES = 300
# Of fewer questions a repository's mean says nothing.
MIN_QUERIES = 20
_ALL_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Task:
    """Questions of one kind to one repository: `answers` are indices into `documents`."""

    kind: str
    repository: Package
    language: str
    documents: tuple[str, ...]
    queries: tuple[str, ...]
    answers: tuple[int, ...]


def read_repositories(folder: Path, seed: int) -> list[tuple[Package, list[ParsedFile]]]:
    """Every held-out archive below `folder`, parsed whole."""
    found = []
    for archive in sorted(each for each in folder.glob("*/*") if each.is_file()):
        package, files = identify(archive, LANGUAGES)
        found.append((package, parse_files(files, seed, _ALL_BYTES)))
    return found


def tasks_of(package: Package, files: Sequence[ParsedFile], seed: int) -> list[Task]:
    """The tasks of one repository, at most `MAX_QUERIES` questions each, drawn by `seed`."""
    functions = [
        each
        for file in files
        if not file.is_test
        for each in file.functions
        if each.kind == "function"
    ]
    by_text: dict[str, int] = {}
    for function in functions:
        by_text.setdefault(function.text, len(by_text))
    documents = tuple(by_text)
    language = max({each.language for each in functions}, key=[f.language for f in functions].count)
    asked = {
        "docstring": _documented(functions),
        "call": {
            pair.query: pair.positive
            for file in files
            if not file.is_test
            for pair in calls(file, unique_functions(files))
            if pair.positive in by_text
        },
    }
    tasks = []
    for kind, questions in asked.items():
        drawn = sorted(questions.items())
        random.Random(seed).shuffle(drawn)
        drawn = drawn[:MAX_QUERIES]
        tasks.append(
            Task(
                kind=kind,
                repository=package,
                language=language,
                documents=documents,
                queries=tuple(query for query, _ in drawn),
                answers=tuple(by_text[text] for _, text in drawn),
            )
        )
    return tasks


def _documented(functions: Sequence[Function]) -> dict[str, str]:
    """Docstrings that stand on one function only, with its text."""
    texts: dict[str, set[str]] = {}
    for each in functions:
        if each.doc:
            texts.setdefault(each.doc, set()).add(each.text)
    return {doc: next(iter(found)) for doc, found in texts.items() if len(found) == 1}
