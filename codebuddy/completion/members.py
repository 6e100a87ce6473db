"""What may follow a dot: the members of the type or module that stands before it.

The type is guessed from what the text says of the name (an annotation, a constructor), from
the name itself (`console` is likely a `Console`), and one step further from the value that
another file gives it. Base types count. It asks the index for definitions and reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from codebuddy.code_index import CodeIndex
from codebuddy.completion.expression import is_own, types_of
from codebuddy.datatypes import Context, Definition
from codebuddy.syntax.spec import VALUE_KINDS
from codebuddy.syntax.traits import IMPORT_OPENINGS, IMPORT_WORDS, PACKAGE_STEMS

# What the document imports, in the index's words; `None` where the index knows it already.
Imports = Sequence[str] | None

_MAX_HOPS = 3
_CLASSES_PER_NAME = 2
_MODULES_PER_NAME = 3
_IMPORT_LINES = 300
_CALLABLE_KINDS = frozenset({"function", "method", "macro"})
_NAME = re.compile(r"[A-Z]\w+")
_BASES = re.compile(r"\(([^)]{0,500})\)|(?:extends|implements|:)\s+(.*)")
_VALUE_TYPE = re.compile(r"(?::|=)\s*(?:new\s+|&)?(?:\w+\.)*([A-Z]\w+)")
_IMPORT_LINE = re.compile(rf"\s*+(?:{IMPORT_OPENINGS}|pub use|let|var|using|mod|[\w.]*+\s*+\"|\}})")
_WORD = re.compile(r"[\w$-]+")
# Words of import statements that name no module.
_COMMON_WORDS = PACKAGE_STEMS | IMPORT_WORDS | frozenset("src test tests crate self super".split())


def members_of(
    owner: str, context: Context, index: CodeIndex, imports: Imports
) -> list[Definition]:
    """The members of what `owner` is at the cursor; empty where nothing is known of it."""
    if is_own(owner):
        return _inherited(context, index, imports)
    types = types_of(owner, context.prefix)
    if owner in context.imported:
        types = [*types, owner]
    elif not types:
        types = _types_named_like(owner)
    path = context.document.path
    found = _members_of_types(list(dict.fromkeys(types)), path, index, imports, set())
    return found or [
        each
        for file in index.with_reexports(_modules_named(owner, context, index, imports))
        for each in index.definitions_of(file)
        if "." not in each.qualified
    ]


def modules_meant_by(owner: str, context: Context, index: CodeIndex, imports: Imports) -> set[str]:
    """The files that `owner` stands for as a module, with those whose names it passes on."""
    return set(index.with_reexports(_modules_named(owner, context, index, imports)))


def _inherited(context: Context, index: CodeIndex, imports: Imports) -> list[Definition]:
    """Members that the enclosing types have from types of other files."""
    bases = [base for header in context.scope for base in _bases(header)]
    return _members_of_types(bases, context.document.path, index, imports, set())


def _members_of_types(
    types: Sequence[str],
    path: str,
    index: CodeIndex,
    imports: Imports,
    seen: set[str],
    hops: int = _MAX_HOPS,
) -> list[Definition]:
    found: list[Definition] = []
    for each in types:
        if each in seen:
            continue
        seen.add(each)
        for definition in _meant(each, path, index, imports):
            further: list[str] = []
            if definition.kind in VALUE_KINDS:
                # A value of another module: its members are those of its type.
                further = _VALUE_TYPE.findall(definition.signature)[:1]
            elif definition.kind not in _CALLABLE_KINDS:
                further = _bases(definition.signature)
                found += _own_members(definition, index)
            if hops and further:
                there = definition.path
                found += _members_of_types(further, there, index, None, seen, hops - 1)
        if found:
            break
    return found


def _meant(name: str, path: str, index: CodeIndex, imports: Imports) -> list[Definition]:
    """The definitions that `name` may mean in the file `path`: its own, else those elsewhere."""
    own = [each for each in index.definitions_of(path) if each.name == name]
    if own:
        return own[:_CLASSES_PER_NAME]
    elsewhere = index.definitions_for([name], path, imports, _CLASSES_PER_NAME)
    return [each.definition for each in elsewhere.get(name, ())]


def _own_members(definition: Definition, index: CodeIndex) -> list[Definition]:
    """Definitions inside this one, or in another block of its name, as Rust's `impl` is."""
    return [
        each
        for each in index.definitions_of(definition.path)
        if each.qualified.startswith(definition.qualified + ".")
        or each.qualified.split(".")[-2:-1] == [definition.name]
    ]


def _bases(header: str) -> list[str]:
    match = _BASES.search(header)
    return _NAME.findall(match.group(1) or match.group(2) or "") if match else []


def _types_named_like(owner: str) -> list[str]:
    """`items_table` may be an ItemsTable or a Table."""
    parts = [part for part in owner.split("_") if part]
    if not parts:
        return []
    whole = "".join(part[0].upper() + part[1:] for part in parts)
    return [whole, parts[-1][0].upper() + parts[-1][1:]]


def _modules_named(owner: str, context: Context, index: CodeIndex, imports: Imports) -> list[str]:
    """The imported files that the import statements naming `owner` lead to."""
    path = context.document.path
    files = index.imported_files(path, context.imported, imports)
    pattern = re.compile(rf"(?<!\w){re.escape(owner)}(?!\w)")
    lines = [
        line
        for line in context.prefix.split("\n")[:_IMPORT_LINES]
        if pattern.search(line) and _IMPORT_LINE.match(line)
    ]
    words = {owner, *_WORD.findall(" ".join(lines))} - _COMMON_WORDS
    scores = {file: _score(PurePosixPath(file), words) for file in files}
    best = max(scores.values(), default=0.0)
    if best >= 1:
        return [file for file, score in scores.items() if score == best][:_MODULES_PER_NAME]
    # Named by a path in the code itself, or by an import over several lines.
    beside = [file for file in index.sibling_files(path) if _module_name(file) == owner]
    return beside[:_MODULES_PER_NAME]


def _score(file: PurePosixPath, words: set[str]) -> float:
    """1 if the module's name is among the words, and a little for each folder that is."""
    shared = words & {*file.parts[:-1], file.name.partition(".")[0]}
    return (_module_name(str(file)) in words) + len(shared) / 20


def _module_name(path: str) -> str:
    """What code calls the module of a file: its stem, or its folder's name."""
    file = PurePosixPath(path)
    stem = file.name.partition(".")[0]
    return stem if stem not in _COMMON_WORDS else file.parent.name
