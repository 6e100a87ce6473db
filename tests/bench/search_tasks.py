"""Queries of a search's benchmark, made of a repository's own code, and the chunks that answer.

*name*: a definition by the words of its name. *form*: the same with one word in another form
(`retries`, `cfg`). *call*: what another file defines, by a line that calls it. *fragment*: a chunk
by some lines of it. *error*: a chunk by the message that it reports. *path*: a file by its path,
also with a line or from another root. *question*: a function by what a person would ask
(search_questions.txt). The documentation's first lines are in search.py, for want of a copy.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from codebuddy.datatypes import Definition
from codebuddy.evaluation.callees import definitions_elsewhere
from codebuddy.evaluation.sites import find_sites
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.terms import terms
from codebuddy.syntax import names_in, traits_of
from codebuddy.syntax.spec import VALUE_KINDS

Half = Literal["tune", "held-out"]

QUESTIONS = Path(__file__).with_name("search_questions.txt")

_MIN_NAME_PARTS = 2
_COMMENT_OR_IMPORT = re.compile(r"^\s*(?:#|//|\*|import\b|from\b|use\b)")
_FRAGMENT_LINES = 3
_MIN_FRAGMENT_LETTERS = 40
_REPORTS = re.compile(
    r"\b(?:raise (\w+)\(|throw new (\w+)\(|panic!?\(|errors\.New\(|fmt\.Errorf\(|bail!\(|anyhow!\("
    r"|\w*[eE]rr(?:or)?\w*\()"
)
_LITERAL = re.compile(
    r"(?<![\w\"'])[rfbu]?(\"[^\"\\\n]{12,160}\"|'[^'\\\n]{12,160}'|`[^`\\\n]{12,160}`)"
)
_PLACEHOLDER = re.compile(r"%[-+#0-9.]*[sdrvqwfx]|\$\{[^{}]*\}|\{[^{}]*\}")
_VALUES = ("foo", "42", "'data.txt'", "None", "3", "/home/ann/x")
_MIN_MESSAGE_WORDS = 4
_SHORT_FORMS = {
    "config": "cfg",
    "configuration": "config",
    "argument": "arg",
    "arguments": "args",
    "args": "arguments",
    "parameter": "param",
    "params": "parameters",
    "request": "req",
    "response": "resp",
    "message": "msg",
    "directory": "dir",
    "dir": "directory",
    "string": "str",
    "str": "string",
    "number": "num",
    "int": "integer",
    "env": "environment",
    "context": "ctx",
    "ctx": "context",
    "init": "initialize",
    "max": "maximum",
    "min": "minimum",
    "bytes": "byte",
    "auth": "authentication",
    "temp": "temporary",
    "info": "information",
    "error": "err",
    "exec": "execute",
}


@dataclass(frozen=True, slots=True)
class Task:
    """A query, the chunks that answer it, and the file that it comes from."""

    kind: str
    query: str
    right: frozenset[int]
    repository: str
    near: str = ""
    half: Half = "tune"


def tasks_of(index: RepositoryIndex, repository: str, count: int, seed: int) -> list[Task]:
    """At most `count` tasks of each kind that the index itself answers, with their halves."""
    found = [
        *name_tasks(index, count, seed),
        *form_tasks(index, count, seed),
        *call_tasks(index, count, seed),
        *fragment_tasks(index, count, seed),
        *error_tasks(index, count, seed),
        *path_tasks(index, count, seed),
        *question_tasks(index, repository),
    ]
    return [with_half(index, replace(task, repository=repository)) for task in found]


def with_half(index: RepositoryIndex, task: Task) -> Task:
    """The task in its half: that of the definition that answers it, whatever asks for it."""
    first = min(index.chunks(sorted(task.right)), key=lambda chunk: (chunk.path, chunk.start_line))
    symbol = first.path if task.kind == "path" else first.symbol.split(" ")[-1] or first.path
    digest = hashlib.sha256(f"{task.repository}:{symbol}".encode("utf-8", "replace")).digest()
    return replace(task, half="tune" if digest[0] % 2 else "held-out")


def name_tasks(index: RepositoryIndex, count: int, seed: int) -> list[Task]:
    """Definitions that are the only ones of their name, by the words of it."""
    return [
        Task("name", query, frozenset({definition.chunk_id}), "")
        for query, definition in _named(index, count, seed)
    ]


def form_tasks(index: RepositoryIndex, count: int, seed: int) -> list[Task]:
    """The same by another form of one word, where a form is known; other definitions."""
    found: list[Task] = []
    for query, definition in _named(index, 6 * count, seed + 1):
        parts = query.split()
        for place, part in enumerate(parts):
            if (form := _other_form(part)) and len(found) < count:
                parts[place] = form
                found.append(Task("form", " ".join(parts), frozenset({definition.chunk_id}), ""))
                break
    return found


def _other_form(word: str) -> str:
    if short := _SHORT_FORMS.get(word):
        return short
    if len(word) < 4 or not word.isalpha():
        return ""
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    if word.endswith("ing"):
        return word[:-3]
    return word[:-1] + "ies" if word.endswith("y") else word + "s"


def _named(index: RepositoryIndex, count: int, seed: int) -> Iterator[tuple[str, Definition]]:
    done = 0
    for path in code_paths(index, seed):
        of_file = [
            each
            for each in index.definitions_of(path)
            if each.kind not in VALUE_KINDS and len(terms(each.name)[1:]) >= _MIN_NAME_PARTS
        ]
        for definition in random.Random(seed).sample(of_file, min(2, len(of_file))):
            same = index.definitions([definition.name], 50)[definition.name]
            if len(same) == 1 and done < count:
                done += 1
                yield " ".join(terms(definition.name)[1:]), definition


def call_tasks(index: RepositoryIndex, count: int, seed: int) -> list[Task]:
    """What another file defines, by the line that calls it, asked from its file."""
    tasks: list[Task] = []
    for path in code_paths(index, seed):
        chunks = index.chunks_of(path)
        if len(tasks) >= count or not chunks:
            continue
        source = "".join(chunk.text for chunk in chunks).encode("utf-8", "replace")
        sites = find_sites(source, chunks[0].language)
        if sites is None:
            continue
        own = {each.name for each in index.definitions_of(path)}
        own |= names_in(source, chunks[0].language).defined
        known = definitions_elsewhere(path, chunks[0].language, sites, own, index)
        calls = sorted(known.items(), key=lambda item: item[0].name_byte)
        for call, definitions in random.Random(seed).sample(calls, min(2, len(calls))):
            start = source.rfind(b"\n", 0, call.name_byte) + 1
            line = source[start : source.find(b"\n", call.name_byte)].decode("utf-8", "replace")
            if not _COMMENT_OR_IMPORT.match(line) and len(tasks) < count:
                right = frozenset(each.chunk_id for each in definitions)
                tasks.append(Task("call", line.strip(), right, "", path))
    return tasks


def fragment_tasks(index: RepositoryIndex, count: int, seed: int) -> list[Task]:
    """Chunks by three lines of theirs that stand in no other chunk of the file."""
    tasks: list[Task] = []
    draw = random.Random(seed)
    for path in code_paths(index, seed):
        chunks = index.chunks_of(path)
        long = [each for each in chunks if each.text.count("\n") > 3 * _FRAGMENT_LINES]
        if not long or len(tasks) >= count:
            continue
        chunk = draw.choice(long)
        lines = chunk.text.splitlines()
        start = draw.randrange(_FRAGMENT_LINES, len(lines) - _FRAGMENT_LINES)
        fragment = "\n".join(lines[start : start + _FRAGMENT_LINES])
        is_rare = sum(fragment in each.text for each in chunks) == 1
        if is_rare and sum(c.isalpha() for c in fragment) >= _MIN_FRAGMENT_LETTERS:
            tasks.append(Task("fragment", fragment, frozenset({chunk.id}), ""))
    return tasks


def error_tasks(index: RepositoryIndex, count: int, seed: int) -> list[Task]:
    """Chunks by a message that they report, its placeholders filled in as when it is printed."""
    tasks: list[Task] = []
    draw = random.Random(seed)
    for path in code_paths(index, seed):
        if len(tasks) >= count:
            break
        messages = [
            (chunk, message, kind)
            for chunk in index.chunks_of(path)
            for message, kind in _messages(chunk.text)
        ]
        for chunk, message, kind in draw.sample(messages, min(2, len(messages))):
            shown = _PLACEHOLDER.sub(lambda _: draw.choice(_VALUES), message)
            query = f"{kind}: {shown}" if kind else shown
            if len(tasks) < count:
                tasks.append(Task("error", query, frozenset({chunk.id}), ""))
    return tasks


def _messages(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not (report := _REPORTS.search(line)):
            continue
        here = "\n".join(lines[number : number + 2])
        for literal in _LITERAL.findall(here):
            words = re.findall(r"[A-Za-z]{2,}", _PLACEHOLDER.sub(" ", literal))
            if len(words) >= _MIN_MESSAGE_WORDS:
                yield literal[1:-1], report[1] or report[2] or ""
                break


def path_tasks(index: RepositoryIndex, count: int, seed: int) -> list[Task]:
    """Files by their path: its end, with a line, without its ending, from another root."""
    tasks: list[Task] = []
    draw = random.Random(seed)
    for number, path in enumerate(code_paths(index, seed + 2)[:count]):
        chunks = index.chunks_of(path)
        if not chunks:
            continue
        ids = [each.id for each in chunks]
        parts = path.split("/")
        place = draw.randrange(len(chunks))
        line = draw.randint(chunks[place].start_line, chunks[place].end_line)
        query, right = (
            ("/".join(parts[-2:]), ids),
            (f"{path}:{line}", ids[place : place + 1]),
            ("/".join(parts[-3:]).rsplit(".", 1)[0], ids),
            (f"/home/ann/src/project/{path}:{line}", ids[place : place + 1]),
        )[number % 4]
        tasks.append(Task("path", query, frozenset(right), ""))
    return tasks


def question_tasks(index: RepositoryIndex, repository: str) -> list[Task]:
    """What people would ask of this repository; nothing of one that the file does not know."""
    return [
        Task("question", question, frozenset(each.chunk_id for each in right), "")
        for question, right in questions(index, repository)
    ]


def questions(index: RepositoryIndex, repository: str) -> list[tuple[str, list[Definition]]]:
    """Each question about this repository, with the definitions that answer it."""
    found: list[tuple[str, list[Definition]]] = []
    for line in QUESTIONS.read_text("utf-8").splitlines():
        fields = [field.strip() for field in line.split("|", 2)]
        if line.startswith("#") or len(fields) != 3 or fields[0] != repository:
            continue
        file, _, qualified = fields[1].rpartition(":")
        name = qualified.rsplit(".", 1)[-1]
        right = [
            each
            for each in index.definitions([name], 50).get(name, [])
            if f".{each.qualified}".replace("::", ".").endswith(f".{qualified}")
            and f"./{each.path}".endswith(file)
            and "test" not in each.path
        ]
        if right:
            found.append((fields[2], right))
    return found


def code_paths(index: RepositoryIndex, seed: int) -> list[str]:
    """The files of code that nobody generated, in an order of the seed's."""
    with index._snapshot():
        paths = sorted(
            os.fsdecode(each.path)
            for each in index._store.files()
            if traits_of(each.language).category == "code" and each.role != "generated"
        )
    random.Random(seed).shuffle(paths)
    return paths
