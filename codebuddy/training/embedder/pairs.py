"""A package's files -> pairs of texts that mean the same, cut with codebuddy's own parser.

The kinds: a docstring with its function (the docstring taken out of it), a comment with the
code below it, a function's name with its body, a call with the definition that it reaches,
a test with what it tests, and a chunk with the next one. It knows nothing of vectors, and
nothing of which packages there are.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from codebuddy.index.analysis import FileAnalysis, analyze
from codebuddy.index.terms import terms
from codebuddy.syntax.rules import spec_of
from codebuddy.syntax.spec import CLASS_KINDS, FUNCTION_KINDS
from codebuddy.training.sources import written_by_hand

KINDS = ("doc", "comment", "name", "call", "test", "neighbour")
LIMITS = {"doc": 2000, "comment": 500, "name": 800, "call": 500, "test": 300, "neighbour": 150}
MAX_TEXT_CHARACTERS = 2500
MAX_QUERY_CHARACTERS = 300
# What is read of a package: enough for its limits, so that large packages do not drown others.
MAX_SOURCE_BYTES = 1_200_000

_TEST_PATH = re.compile(r"(?:^|/)tests?/|(?:^|/)test_|_tests?\.\w+$|\.(?:spec|test)\.\w+$")
_STRING_LINE = re.compile(r"^[ \t]*[rRuUbB]{0,2}(\"{3}|'{3}|\"|')", re.MULTILINE)
_NOT_PROSE = re.compile(
    r"^(?:@|todo|fixme|xxx|copyright|eslint|ts-|noqa|type:|pylint|pragma|nolint|spdx|https?:"
    r"|deprecated|see |eg\.|\W*$|=|-|\+build|go:|#|\*\*\*|coding)",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"\{@\w+ ([^}]*)\}|:\w+:`~?([^`]*)`|</?\w+[^>]*>|`+|\*\*")
_COMMENT_LINE = re.compile(r"^[ \t]*(?://|#)[ \t]?(\w.*)$")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts that mean the same; `kind` is one of `KINDS`."""

    kind: str
    query: str
    positive: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function or class of a package; `text` is its source without its docstring.

    `doc` is the documentation's first line as prose, empty where it says nothing; `source` is
    the source as it stands.
    """

    path: str
    language: str
    name: str
    kind: str
    line: int
    end_line: int
    doc: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A source file with its analysis."""

    path: str
    text: str
    analysis: FileAnalysis
    functions: tuple[Function, ...]

    @property
    def is_test(self) -> bool:
        """Whether its path is that of a test."""
        return bool(_TEST_PATH.search(self.path))


def parse_files(
    files: Iterable[tuple[str, bytes]], seed: int, max_bytes: int = MAX_SOURCE_BYTES
) -> list[ParsedFile]:
    """The source files among `files`, in random order, until `max_bytes` are read.

    Built, minified, vendored and generated files are left out.
    """
    usable = written_by_hand(files)
    random.Random(seed).shuffle(usable)
    parsed: list[ParsedFile] = []
    seen: set[bytes] = set()
    total = 0
    for path, content in usable:
        if total > max_bytes:
            break
        # Packages carry the same module several times, built for several systems.
        digest = b"".join(sorted(content.split())[:200])
        if digest in seen:
            continue
        seen.add(digest)
        total += len(content)
        analysis = analyze(path, content)
        if analysis.fallback:
            continue
        functions = tuple(_functions(path, content, analysis))
        parsed.append(ParsedFile(path, content.decode("utf-8", "replace"), analysis, functions))
    return parsed


def cut_pairs(files: Sequence[ParsedFile], seed: int) -> list[Pair]:
    """The pairs of one package, at most `LIMITS` of each kind."""
    rng = random.Random(seed)
    by_kind: dict[str, list[Pair]] = {kind: [] for kind in KINDS}
    targets = unique_functions(files)
    for file in files:
        if file.is_test:
            by_kind["test"] += _tests(file, targets)
            continue
        by_kind["doc"] += [Pair("doc", each.doc, each.text) for each in file.functions if each.doc]
        by_kind["name"] += _names(file)
        by_kind["comment"] += _comments(file)
        by_kind["call"] += calls(file, targets)
        by_kind["neighbour"] += _neighbours(file)
    pairs: list[Pair] = []
    for kind, found in by_kind.items():
        distinct = list({pair.query: pair for pair in found}.values())
        rng.shuffle(distinct)
        pairs += distinct[: LIMITS[kind]]
    return pairs


def calls(file: ParsedFile, targets: dict[str, Function]) -> Iterator[Pair]:
    """Each call's lines with the definition in another file that the name leads to."""
    lines = file.text.split("\n")
    met: set[str] = set()
    for reference in file.analysis.references:
        target = targets.get(reference.name)
        if reference.kind != "call" or target is None or target.path == file.path:
            continue
        if reference.name not in met:
            met.add(reference.name)
            around = "\n".join(lines[max(0, reference.line - 4) : reference.line + 1])
            yield Pair("call", around[:MAX_TEXT_CHARACTERS], target.text)


def unique_functions(files: Sequence[ParsedFile]) -> dict[str, Function]:
    """Functions by name, where the package defines that name once outside its tests."""
    found: dict[str, list[Function]] = defaultdict(list)
    for file in files:
        if not file.is_test:
            for function in file.functions:
                found[function.name].append(function)
    return {name: each[0] for name, each in found.items() if len(each) == 1 and len(name) > 3}


def _functions(path: str, source: bytes, analysis: FileAnalysis) -> Iterator[Function]:
    for each in analysis.definitions:
        if each.kind not in FUNCTION_KINDS and each.kind not in CLASS_KINDS:
            continue
        start, end = each.extent
        raw = source[start : min(end, start + 4 * MAX_TEXT_CHARACTERS)].decode("utf-8", "replace")
        text = without_docstring(raw) if spec_of(analysis.language).docstring else raw
        if len(text.strip()) < 40 or text.count("\n") < 1:
            continue
        yield Function(
            path=path,
            language=analysis.language,
            name=each.name,
            kind="function" if each.kind in FUNCTION_KINDS else "class",
            line=each.line,
            end_line=each.end_line,
            doc=prose(each.doc, each.name),
            text=text[:MAX_TEXT_CHARACTERS],
            source=raw[:MAX_TEXT_CHARACTERS],
        )


def without_docstring(text: str) -> str:
    """A Python definition without the string literal that opens its body."""
    found = _STRING_LINE.search(text, text.find("\n") + 1)
    if not found:
        return text
    between = text[: found.start()].rstrip()
    if not between.endswith(":"):
        return text
    close = text.find(found[1], found.end())
    if close < 0:
        return between
    after = close + len(found[1])
    end = text.find("\n", after)
    return between + (text[end:] if end >= 0 else "")


def prose(doc: str, name: str) -> str:
    """A documentation line as a question would put it: no markup, not opened by the name."""
    if _NOT_PROSE.match(doc):
        return ""
    text = " ".join(_MARKUP.sub(lambda m: m[1] or m[2] or " ", doc).split())
    first, _, rest = text.partition(" ")
    if first.strip("().:,").rpartition(".")[2] == name:
        text = rest
    text = text[:MAX_QUERY_CHARACTERS].strip()
    words = re.findall(r"[A-Za-z]{2,}", text)
    return text if len(words) >= 3 and len(text) >= 15 else ""


def _names(file: ParsedFile) -> Iterator[Pair]:
    """A name's words with the body, in which the name no longer stands."""
    for each in file.functions:
        words = terms(each.name)
        if len(words) >= 3 and each.text.count("\n") >= 3 and not each.name.startswith("__"):
            body = each.text.replace(each.name, "f")
            yield Pair("name", " ".join(words[1:]), body)


def _comments(file: ParsedFile) -> Iterator[Pair]:
    """A comment inside code with the lines below it, up to a blank line or a comment."""
    lines = file.text.split("\n")
    for number, line in enumerate(lines[:-2]):
        match = _COMMENT_LINE.match(line)
        if not match or not line[:1].isspace():
            continue
        if number and _COMMENT_LINE.match(lines[number - 1]):
            continue
        query = prose(match[1], "")
        if len(query) < 25:
            continue
        below: list[str] = []
        for following in lines[number + 1 : number + 13]:
            if not following.strip() or _COMMENT_LINE.match(following):
                break
            below.append(following)
        if len(below) >= 2:
            yield Pair("comment", query, "\n".join(below)[:MAX_TEXT_CHARACTERS])


def _tests(file: ParsedFile, targets: dict[str, Function]) -> Iterator[Pair]:
    """A test with the function that it calls whose name is most like its own."""
    for test in file.functions:
        if test.kind != "function" or "test" not in test.name.lower():
            continue
        wanted = set(terms(test.name))
        called = [
            targets[each.name]
            for each in file.analysis.references
            if each.kind == "call" and test.line <= each.line <= test.end_line
            if each.name in targets
        ]
        if called:
            best = max(called, key=lambda each: len(wanted & set(terms(each.name))))
            yield Pair("test", test.text, best.text)


def _neighbours(file: ParsedFile) -> Iterator[Pair]:
    """A chunk with the next one; chunks of imports and comments alone are left out."""
    raw = file.text.encode()
    texts = [
        raw[each.start_byte : each.end_byte].decode("utf-8", "replace")
        for each in file.analysis.chunks
        if each.kind not in ("imports", "comment") and each.end_byte - each.start_byte > 150
    ]
    for index in range(0, len(texts) - 1, 3):
        first, second = texts[index], texts[index + 1]
        yield Pair("neighbour", first[:MAX_TEXT_CHARACTERS], second[:MAX_TEXT_CHARACTERS])
