"""A search judged by the files that it shows, beside the very chunks that answer.

    python -m tests.bench.search_files REPOSITORY... [--half tune|held-out|all] [--tasks N]

The tasks are those of `tests.bench.search`, and three whose answer is a file: *change*, the subject
of a commit, answered by the one to three files of code that it changed, if they are still there;
*module*, what a file's own documentation says of it first, in a copy without any; *identifier*, a
name as code writes it, which one file of code defines, and tests or documentation as well. A file
is found at its first chunk among ten results. Figures are NDCG@10 of chunks and of files; each step
is compared with the one before, task by task. A repository without history has no *change*.
"""

from __future__ import annotations

import argparse
import ast
import math
import os
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.file_role import FileRole, search_role
from codebuddy.index.ranker import RankingWeights
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.syntax import traits_of
from codebuddy.syntax.spec import VALUE_KINDS
from tests.bench.search import _indexes, _mean, _of_kind
from tests.bench.search_tasks import Task, code_paths, with_half
from tests.support.index import run_git

_TOP_K = 10
_MAX_COMMITS = 6_000
_MAX_CHANGED = 3
_SUBJECT_WORDS = range(4, 17)
_DOCUMENTATION_WORDS = range(4, 41)
# Of commits that say nothing of what the code does.
_NO_SUBJECT = re.compile(
    r"\b(?:bump|release|version|merge|revert|changelog|readme|typo|lint|format|upgrade|update .*dep"
    r"|docs?|ci|cleanup|clippy|pre-commit|comment)\b",
    re.IGNORECASE,
)
# `(#123)`, and `fix(scope): ` in front.
_REFERENCE = re.compile(r"\s*\(?#\d+\)?")
_TYPE = re.compile(r"^[\w/ -]{2,20}(?:\([^)]*\))?!?:\s+")
_HEAD_COMMENTS = {
    "java": re.compile(
        r"/\*\*(.*?)\*/\s*(?:@[^\n]*\n\s*)*(?:\w+ )*(?:class|interface|enum)\b", re.S
    ),
    "scala": re.compile(r"/\*\*(.*?)\*/\s*(?:\w+ )*(?:class|trait|object)\b", re.S),
    "php": re.compile(r"/\*\*(.*?)\*/\s*(?:\w+ )*(?:class|interface|trait)\b", re.S),
    "rust": re.compile(r"\A((?:\s*//!.*\n)+)"),
    "c": re.compile(r"\A\s*/\*(.*?)\*/", re.S),
}
_COMMENT_MARKS = re.compile(r"^\s*(?:\*|//!)\s?|<[^>]+>", re.M)


@dataclass(frozen=True, slots=True)
class FileTask:
    """A task, and the files that answer it."""

    task: Task
    files: tuple[str, ...]


def main() -> None:
    """Ask every task with the weights of each step, and print what the steps gain."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--half", choices=("tune", "held-out", "all"), default="held-out")
    arguments = parser.parse_args()
    kinds: list[str] = []
    gains: dict[str, list[tuple[float, float]]] = {name: [] for name in steps()}
    for root in arguments.repositories:
        documented: list[tuple[str, str]] = []
        for number, (of_index, _, index) in enumerate(
            _indexes(root, {"": Settings()}, arguments.tasks, arguments.seed)
        ):
            tasks = [FileTask(each, _files_of(index, each)) for each in of_index]
            if number == 0:
                tasks += change_tasks(index, root, arguments.tasks, arguments.seed)
                tasks += identifier_tasks(index, root.name, arguments.tasks, arguments.seed)
                documented = module_documentation(index)
                random.Random(arguments.seed).shuffle(documented)
            else:
                tasks += module_tasks(index, root.name, documented[: arguments.tasks])
            for each in tasks:
                if arguments.half in ("all", each.task.half):
                    kinds.append(each.task.kind)
                    for name, weights in steps().items():
                        gains[name].append(_gains(index, each, weights))
        print(f"{root.name}: {len(kinds)} tasks so far", file=sys.stderr, flush=True)
    print(f"command: python -m tests.bench.search_files {' '.join(sys.argv[1:])}\n")
    for place, what in enumerate(("chunks", "files")):
        of_steps = {name: [pair[place] for pair in found] for name, found in gains.items()}
        print("\n".join([*_lines(what, kinds, of_steps, arguments.seed), ""]))


def steps() -> dict[str, RankingWeights]:
    """The weights without what looks at files, and with one more part of it after the other."""
    full = RankingWeights()
    before = replace(full, roles_by_kind={}, coherence={}, file_names={}, spread={})
    roles = replace(before, roles_by_kind=full.roles_by_kind)
    coherence = replace(roles, coherence=full.coherence)
    names = replace(coherence, file_names=full.file_names)
    return {
        "before": before,
        "roles": roles,
        "coherence": coherence,
        "names": names,
        "spread": full,
    }


def change_tasks(index: RepositoryIndex, root: Path, count: int, seed: int) -> list[FileTask]:
    """Subjects of commits that changed code in one to three files, and no other code."""
    if not (root / ".git").exists() or not run_git(root, "for-each-ref", "--count=1"):
        return []
    code = {
        path
        for each in index.files()
        if each.role == "code"
        and traits_of(each.language).category == "code"
        and search_role(path := os.fsdecode(each.path), "code") == "code"
    }
    log = run_git(root, "log", "--no-merges", f"-n{_MAX_COMMITS}", "--format=%x00%s", "--name-only")
    found: list[tuple[str, list[str]]] = []
    for record in log.split("\0")[1:]:
        subject, *paths = [line for line in record.split("\n") if line.strip()] or [""]
        subject = _TYPE.sub("", _REFERENCE.sub("", subject)).strip().rstrip(".")
        changed = [path for path in paths if path in code]
        is_told = len(subject.split()) in _SUBJECT_WORDS and not _NO_SUBJECT.search(subject)
        if is_told and 1 <= len(changed) <= _MAX_CHANGED:
            found.append((subject, changed))
    random.Random(seed).shuffle(found)
    return [_task(index, "change", root.name, *each) for each in found[:count]]


def identifier_tasks(
    index: RepositoryIndex, repository: str, count: int, seed: int
) -> list[FileTask]:
    """Names that one file of code defines, and files of other roles as well."""
    roles = {
        (path := os.fsdecode(each.path)): search_role(path, cast("FileRole", each.role))
        for each in index.files()
    }
    tasks: dict[str, FileTask] = {}
    for path in code_paths(index, seed):
        for definition in index.definitions_of(path) if roles.get(path) == "code" else ():
            if definition.kind in VALUE_KINDS or len(tasks) >= count:
                continue
            name = definition.name
            same = [each for each in index.definitions([name], 50)[name] if each.name == name]
            code = {each.path for each in same if roles.get(each.path) == "code"}
            if code == {path} and {each.path for each in same} != code:
                task = Task("name", name, frozenset({definition.chunk_id}), repository)
                task = replace(with_half(index, task), kind="identifier")
                tasks[name] = FileTask(task, (path,))
    return list(tasks.values())


def module_documentation(index: RepositoryIndex) -> list[tuple[str, str]]:
    """Files with the first sentence of their own documentation."""
    found = []
    for each in index.files():
        path = os.fsdecode(each.path)
        if each.role == "code" and traits_of(each.language).category == "code":
            text = "".join(chunk.text for chunk in index.chunks_of(path))
            sentence = _first_sentence(text, each.language)
            is_query = not re.search(r"(?i)copyright|licen[sc]e|http|@", sentence)
            if is_query and len(sentence.split()) in _DOCUMENTATION_WORDS:
                found.append((path, sentence))
    return found


def module_tasks(
    bare: RepositoryIndex, repository: str, documented: Sequence[tuple[str, str]]
) -> list[FileTask]:
    """Files by that sentence, in an index of code without documentation."""
    return [
        _task(bare, "module", repository, sentence, [path])
        for path, sentence in documented
        if bare.chunks_of(path)
    ]


def _first_sentence(text: str, language: str) -> str:
    if language == "python":
        try:
            documentation = ast.get_docstring(ast.parse(text)) or ""
        except (SyntaxError, ValueError):
            documentation = ""
    else:
        comment = _HEAD_COMMENTS.get(language)
        found = comment.search(text) if comment else None
        documentation = _COMMENT_MARKS.sub("", found[1]) if found else ""
    paragraph = re.sub(r"\s+", " ", documentation.strip().partition("\n\n")[0])
    return re.split(r"(?<=[a-z)])[.:](?:\s|$)", paragraph)[0].strip()


def _task(
    index: RepositoryIndex, kind: str, repository: str, query: str, files: Sequence[str]
) -> FileTask:
    ids = [chunk.id for path in files for chunk in index.chunks_of(path)]
    task = with_half(index, Task("path", query, frozenset(ids), repository))
    return FileTask(replace(task, kind=kind), tuple(files))


def _files_of(index: RepositoryIndex, task: Task) -> tuple[str, ...]:
    return tuple(sorted({chunk.path for chunk in index.chunks(sorted(task.right))}))


def _gains(index: RepositoryIndex, asked: FileTask, weights: RankingWeights) -> tuple[float, float]:
    """NDCG@10 of chunks, of which one is enough, and of files."""
    task = asked.task
    results = index.search(
        task.query,
        _TOP_K,
        near=task.near,
        exclude=(lambda chunk: chunk.path == task.near) if task.near else None,
        weights=weights,
    )
    right = [rank for rank, each in enumerate(results, 1) if each.chunk.id in task.right]
    paths = [each.chunk.path for each in results]
    return _discounted(right[:1]), file_gain(paths, asked.files)


def file_gain(paths: Sequence[str], files: Sequence[str]) -> float:
    """NDCG@10 of the files that answer, each found at its first place among `paths`."""
    ranks = [paths.index(file) + 1 for file in files if file in paths[:_TOP_K]]
    return _discounted(ranks) / _discounted(range(1, 1 + min(_TOP_K, len(files))))


def _discounted(ranks: Sequence[int]) -> float:
    return sum(1 / math.log2(1 + rank) for rank in ranks)


def _lines(what: str, kinds: Sequence[str], gains: dict[str, list[float]], seed: int) -> list[str]:
    """By kind, the figure before and after all steps, and what each step adds."""
    tasks = [Task(kind, "", frozenset(), "") for kind in kinds]
    names = list(gains)
    rows = []
    for kind in sorted(set(kinds)):
        of_kind = {name: _of_kind(kind, tasks, found) for name, found in gains.items()}
        pairs = [*pairwise(names), (names[0], names[-1])]
        cells = [kind, str(kinds.count(kind)), f"{_mean(of_kind[names[0]]):.3f}"]
        cells.append(f"{_mean(of_kind[names[-1]]):.3f}")
        for earlier, later in pairs:
            added = [b - a for a, b in zip(of_kind[earlier], of_kind[later], strict=True)]
            low, high = mean_interval(added, seed) or (0.0, 0.0)
            cells.append(f"{_mean(added):+.3f} [{low:+.3f}, {high:+.3f}]")
        rows.append(cells)
    return table([what, "tasks", "before", "after", *names[1:], "all"], rows)


if __name__ == "__main__":
    main()
