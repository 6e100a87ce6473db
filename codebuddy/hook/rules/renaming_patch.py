"""The patch of a renaming: each file that used the old name, changed so that it means the same.

An import may bring the new name in under the old one: that holds whatever else the file does.
The uses are renamed with it only where the file has the new name nowhere, means nothing else by
the old one, and passes it on to no other file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codebuddy.hook.finding import FileEdit
from codebuddy.hook.patching import patched, stays_well_formed
from codebuddy.hook.resolution import module_word
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.syntax.occurrences import Occurrence
from codebuddy.syntax.traits import traits_of

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

# As many places of a name as are looked for: there may be more.
_MAX_PLACES = 2000
_MAX_ANCESTORS = 8
# Two words with white space between them: prose, no name and no expression.
_PROSE = re.compile(rb"\w\s+\w")


@dataclass(frozen=True, slots=True)
class Renaming:
    """`name` of the file `path` has become `replacement`.

    `may_alias` says that an import may go on under the old name.
    """

    path: str
    name: str
    replacement: str
    may_alias: bool = True


@dataclass(frozen=True, slots=True)
class _Replacement:
    """The old name at a 1-based place and what stands there then."""

    line: int
    column: int
    text: str


class _UnsafeError(Exception):
    """The patch may change what code means; the message says how."""


def renaming_patch(
    review: Review, renaming: Renaming, uses: Sequence[tuple[str, SourceFile, Occurrence]]
) -> tuple[tuple[FileEdit, ...], str]:
    """The edits of all uses, or none and the reason."""
    files = {path: file for path, file, _ in uses}
    edits: list[FileEdit] = []
    try:
        if any(path != renaming.path for path in files):
            _check_exported(review, renaming)
        for path, file in files.items():
            own = [each for other, _, each in uses if other == path]
            edits += _edits_of(review, renaming, file, own)
    except _UnsafeError as error:
        return (), str(error)
    return tuple(edits), ""


def _edits_of(
    review: Review, renaming: Renaming, file: SourceFile, uses: Sequence[Occurrence]
) -> list[FileEdit]:
    imports = [each for each in uses if each.role == "import"]
    members = [each for each in uses if each.receiver is not None]
    plain = [each for each in uses if each.receiver is None and each.role != "import"]
    if members:
        _check_members(renaming, file)
    replaced = [_Replacement(each.line, each.column, renaming.replacement) for each in members]
    if imports:
        replaced += _imported(review, renaming, file, imports, plain)
    elif plain:
        _check_own_uses(renaming, file, plain)
        replaced += _renamed(renaming, file, plain)
    edits = _line_edits(renaming, file, replaced)
    if not stays_well_formed(file, patched(file, edits)):
        raise _UnsafeError(f"{file.path} would not parse")
    return edits


def _line_edits(
    renaming: Renaming, file: SourceFile, replaced: Sequence[_Replacement]
) -> list[FileEdit]:
    edits = []
    name = renaming.name
    for line in sorted({each.line for each in replaced}):
        text = new = file.lines[line - 1]
        places = {each.column: each.text for each in replaced if each.line == line}
        for column in sorted(places, reverse=True):
            start, end = column - 1, column - 1 + len(name)
            if new[start:end] != name:
                raise _UnsafeError(f"{name} is written in another way in {file.path}")
            new = new[:start] + places[column] + new[end:]
        edits.append(FileEdit(file.path, line, line, text, new))
    return edits


def _imported(
    review: Review,
    renaming: Renaming,
    file: SourceFile,
    imports: Sequence[Occurrence],
    plain: Sequence[Occurrence],
) -> list[_Replacement]:
    """The imports with the new name, and the uses if the file can do without the old one."""
    name, replacement = renaming.name, renaming.replacement
    specifiers = [(each, _Specifier.at(file, each)) for each in imports]
    bound = [each for each, specifier in specifiers if specifier.binds_name]
    reason = ""
    if bound:
        is_kept = any(specifier.local == name for _, specifier in specifiers)
        reason = "it is imported twice" if is_kept else ""
        reason = reason or _why_not_everywhere(review, renaming, file, [*imports, *plain])
    if reason and not renaming.may_alias:
        raise _UnsafeError(f"{reason} in {file.path}")
    found = []
    for each, specifier in specifiers:
        is_alias = specifier.is_passed_on or (specifier.binds_name and bool(reason))
        text = specifier.alias_form.format(replacement, name) if is_alias else replacement
        found.append(_Replacement(each.line, each.column, text))
    return found if reason or not bound else [*found, *_renamed(renaming, file, plain)]


@dataclass(frozen=True, slots=True)
class _Specifier:
    """How an import statement writes a name.

    `binds_name`: the file knows it by this name, without saying so again. `local` is the other
    name that it gives. `is_passed_on`: it is exported at once. `alias_form` is how new and old
    name stand in it.
    """

    binds_name: bool
    local: str
    is_passed_on: bool
    alias_form: str = "{} as {}"

    @staticmethod
    def at(file: SourceFile, place: Occurrence) -> _Specifier:
        """What is written at the place of an import."""
        node = file.node_at(place.line, place.column)
        if node is None:
            raise _UnsafeError(f"{file.path} could not be parsed")
        holder = node.parent
        if holder is not None and holder.type == "dotted_name":
            holder = holder.parent
        kind = "" if holder is None else holder.type
        if holder is None or kind == "import_from_statement":
            return _Specifier(binds_name=True, local="", is_passed_on=False)
        if kind == "object_pattern":
            return _Specifier(binds_name=True, local="", is_passed_on=False, alias_form="{}: {}")
        field = "value" if kind == "pair_pattern" else "alias"
        alias = holder.child_by_field_name(field)
        local = "" if alias is None else file.code[alias.start_byte : alias.end_byte].decode()
        is_export = kind == "export_specifier"
        return _Specifier(
            binds_name=not local and not is_export,
            local="" if is_export else local,
            is_passed_on=is_export and not local,
        )


def _renamed(
    renaming: Renaming, file: SourceFile, plain: Sequence[Occurrence]
) -> Iterator[_Replacement]:
    """Uses of the name by itself; the key of `{name}` stays what it is."""
    for each in plain:
        node = file.node_at(each.line, each.column)
        is_key_too = node is not None and node.type == "shorthand_property_identifier"
        text = f"{renaming.name}: {renaming.replacement}" if is_key_too else renaming.replacement
        yield _Replacement(each.line, each.column, text)


def _why_not_everywhere(
    review: Review, renaming: Renaming, file: SourceFile, known: Sequence[Occurrence]
) -> str:
    """Why not all uses of an imported name can be renamed; empty if they can."""
    name, replacement = renaming.name, renaming.replacement
    if any(each.receiver is None for each in file.occurrences([replacement])):
        return f"{replacement} stands there already"
    if file.holds_beside_code(name) or file.holds_beside_code(replacement):
        return f"{name} stands beside the code"
    places = {(each.line, each.column) for each in known}
    if not _has_no_other_use(file, name, places):
        return f"{name} means something else, too,"
    is_script = traits_of(file.language).import_syntax == "script"
    if is_script and name[0].isupper() != replacement[0].isupper():
        # In JSX the case of the first letter tells a component from an element.
        return f"{replacement} would be another kind of name"
    if replacement.startswith("__"):
        return f"{replacement} would be another name in a class"
    if _stands_in_text(file, name):
        return f"{name} stands in a text"
    if not is_script and _is_passed_on(review, renaming, file):
        return f"{name} is used through this file"
    return ""


def _has_no_other_use(file: SourceFile, name: str, places: set[tuple[int, int]]) -> bool:
    found = [each for each in file.occurrences([name]) if each.receiver is None]
    return len(found) < _MAX_PLACES and all(
        each.role == "keyword" or (each.line, each.column) in places for each in found
    )


def _check_own_uses(renaming: Renaming, file: SourceFile, plain: Sequence[Occurrence]) -> None:
    """Uses in the file that defines the new name, which must mean that definition there."""
    name, replacement = renaming.name, renaming.replacement
    found = [each for each in file.occurrences([replacement]) if each.receiver is None]
    bound = [each for each in found if each.role in ("bind", "import")]
    if len(bound) != 1 or len(found) >= _MAX_PLACES or replacement.startswith("__"):
        raise _UnsafeError(f"{replacement} means something else, too, in {file.path}")
    places = {(each.line, each.column) for each in plain}
    if file.holds_beside_code(name) or not _has_no_other_use(file, name, places):
        raise _UnsafeError(f"{name} means something else, too, in {file.path}")


def _check_members(renaming: Renaming, file: SourceFile) -> None:
    """Uses behind a dot: nothing in the file may set the attribute."""
    for name in (renaming.name, renaming.replacement):
        found = file.occurrences([name])
        if any(each.receiver is not None and each.role == "bind" for each in found):
            raise _UnsafeError(f"{name} is assigned to in {file.path}")
        if len(found) >= _MAX_PLACES or file.holds_beside_code(name):
            raise _UnsafeError(f"{name} stands beside the code in {file.path}")
    if _stands_in_text(file, renaming.name):
        raise _UnsafeError(f"{renaming.name} stands in a text in {file.path}")


def _stands_in_text(file: SourceFile, name: str) -> bool:
    """Whether a text that is not prose has the name: `__all__`, `getattr`, an annotation."""
    from codebuddy.syntax.grammar import grammar_for

    grammar = grammar_for(file.language)
    if file.tree is None or grammar is None:
        return True
    word = re.compile(rb"(?<![\w$])" + re.escape(name.encode()) + rb"(?![\w$])")
    for match in word.finditer(file.code):
        node = file.tree.root_node.descendant_for_byte_range(match.start(), match.end())
        for _ in range(_MAX_ANCESTORS):
            if node is None or node.kind_id in grammar.comments or "identifier" in node.type:
                break
            if node.kind_id in grammar.strings:
                if not _PROSE.search(file.code[node.start_byte : node.end_byte]):
                    return True
                break
            node = node.parent
    return False


def _is_passed_on(review: Review, renaming: Renaming, file: SourceFile) -> bool:
    """Whether another file has the name from this one, or may have it."""
    path, name = file.path, renaming.name
    if posixpath.basename(path) == "__init__.py" or path.endswith(".pyi"):
        return True
    module = module_word(path).encode("utf-8", "surrogateescape")
    word = re.compile(rb"(?<!\w)" + re.escape(module) + rb"(?!\w)")
    through = re.compile(word.pattern + rb"\s*[.:]\s*" + name.encode() + rb"\b")
    quoted = re.compile(rb"[\"']" + name.encode() + rb"[\"']")
    for other in review.places(name, but_for=path):
        user = review.state.file(other)
        if user is None or not user.holds_word(name):
            continue
        if through.search(user.source):
            return True
        if word.search(user.source) and quoted.search(user.source):
            return True
        for each in user.imported:
            if review.resolver.module(other, each.module) == path and each.name in (name, "*"):
                return True
            is_module = review.resolver.target(other, each.module, each.name) == (path, "")
            if is_module and each.alias.rpartition(".")[2].encode() != module:
                return True
    return False


def _check_exported(review: Review, renaming: Renaming) -> None:
    """Check that a script lets others import the new name; in Python every one can be."""
    file = review.state.file(renaming.path)
    if file is None or traits_of(file.language).import_syntax != "script":
        return
    for each in file.occurrences([renaming.replacement]):
        node = file.node_at(each.line, each.column)
        if node is not None and each.receiver is None and _is_exported(node):
            return
    raise _UnsafeError(f"{renaming.path} does not export {renaming.replacement}")


def _is_exported(node: Node) -> bool:
    """Whether a name is exported where it stands, and under no other name."""
    specifier = node.parent
    if specifier is None or specifier.child_by_field_name("alias") is not None:
        return False
    if specifier.type == "export_specifier":
        return True
    named = specifier.child_by_field_name("name")
    declaration: Node | None = specifier
    if specifier.type == "variable_declarator":
        declaration = specifier.parent
    if named is None or named.start_byte != node.start_byte or declaration is None:
        return False
    statement = declaration.parent
    if statement is None or statement.type != "export_statement":
        return False
    return all(each.type != "default" for each in statement.children)
