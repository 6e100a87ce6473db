"""Definitions that the code at the cursor is likely to use, in lists by how they were found.

    call      what is being called, resolved through the imports and the object before the dot
    member    what may follow the dot
    name      names in use near the cursor that the file does not define
    import    names that the file imports from this repository
    beside    definitions of the file that a test belongs to, or of the same package

Ranking within a list is by words shared with the line and its surroundings, and by how
common a name is in the repository. It asks the index's symbol table and reads no text but
the document's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import PurePosixPath

from codebuddy.code_index import CodeIndex
from codebuddy.completion.expression import Expression, types_of
from codebuddy.completion.members import Imports, members_of, modules_meant_by
from codebuddy.datatypes import Context, Definition, ResolvedDefinition
from codebuddy.index.analysis import analyze
from codebuddy.index.file_role import subject_of_test
from codebuddy.index.terms import terms
from codebuddy.syntax import language_for, traits_of
from codebuddy.syntax.spec import VALUE_KINDS

LISTS = ("call", "member", "name", "import", "beside")

_CALLEES_SEEN, _CALLEES = 8, 3
_MEMBERS = 12
_NAMES_LOOKED_UP, _DEFINITIONS_PER_NAME = 24, 2
_IMPORTS_LOOKED_UP, _IMPORTS = 60, 16
_FROM_SAME_FOLDER = 16
_NAMES_WEIGHED = 12
_NAMELESS_MARGIN = 4


def find_candidates(
    context: Context, expression: Expression, index: CodeIndex
) -> dict[str, list[Definition]]:
    """The lists, each from the likeliest down; definitions of the document itself never."""
    ranker = _Ranker(context, expression, index)
    imports = _unindexed_imports(context, index)
    return {
        "call": _called(context, expression, index, imports),
        "member": _followers(context, expression, index, ranker, imports),
        "name": _named(context, expression, index, imports),
        "import": _imported(context, index, ranker, imports),
        "beside": _from_same_folder(context, expression, index, ranker, imports),
    }


def _unindexed_imports(context: Context, index: CodeIndex) -> Imports:
    """What the document imports, read from its text where the index does not know the file."""
    document = context.document
    if index.imports(document.path) or not context.imported:
        return None
    source = document.text.encode("utf-8", "replace")
    return analyze(document.path, source, document.language).imports


class _Ranker:
    """Orders definitions by how well their names fit the place."""

    def __init__(self, context: Context, expression: Expression, index: CodeIndex) -> None:
        self._index = index
        self._begun = expression.begun
        self._on_line = set(terms(context.line_before))
        self._near = set(terms(" ".join(context.near[:_NAMES_WEIGHED])))

    def ordered(
        self, definitions: Iterable[Definition], *, commonness: float, favoured: frozenset[str]
    ) -> list[Definition]:
        """From the likeliest down.

        Args:
            definitions: What to order.
            commonness: The weight of the logarithm of a name's uses.
            favoured: Paths whose definitions are likelier than others.
        """
        known = list(definitions)
        uses = self._index.usage_counts([each.name for each in known]) if known else {}

        def key(each: Definition) -> tuple[object, ...]:
            words = set(terms(each.name))
            fit = len(words & self._on_line) + 0.5 * len(words & self._near)
            fit += commonness * math.log1p(uses.get(each.name, 0)) + 0.5 * (each.path in favoured)
            is_begun = not self._begun or each.name.startswith(self._begun)
            is_private = each.name.startswith("_")
            return (not is_begun, each.kind in VALUE_KINDS, is_private, -fit)

        return sorted(known, key=key)


def _called(
    context: Context, expression: Expression, index: CodeIndex, imports: Imports
) -> list[Definition]:
    callee, owner = expression.callee, expression.callee_owner
    if not callee:
        return []
    known = _defined([callee], context, index, imports, _CALLEES_SEEN).get(callee, [])
    types = set(types_of(owner, context.prefix)) if owner else set()
    modules = modules_meant_by(owner, context, index, imports) if owner and known else set()

    def is_elsewhere(each: Definition) -> bool:
        return not (types & set(each.qualified.split("."))) and each.path not in modules

    return sorted((each.definition for each in known), key=is_elsewhere)[:_CALLEES]


def _followers(
    context: Context,
    expression: Expression,
    index: CodeIndex,
    ranker: _Ranker,
    imports: Imports,
) -> list[Definition]:
    if not expression.owner:
        return []
    members = members_of(expression.owner, context, index, imports)
    return ranker.ordered(members, commonness=0.6, favoured=frozenset())[:_MEMBERS]


def _named(
    context: Context, expression: Expression, index: CodeIndex, imports: Imports
) -> list[Definition]:
    used = [name for name in context.unresolved if name != expression.callee][:_NAMES_LOOKED_UP]
    found = _defined(used, context, index, imports, _DEFINITIONS_PER_NAME) if used else {}
    return [each.definition for name in used for each in found.get(name, ())]


def _defined(
    names: list[str], context: Context, index: CodeIndex, imports: Imports, per_name: int
) -> dict[str, list[ResolvedDefinition]]:
    """What the names may mean at the place, never a heading or a key of a data file."""
    wanted = per_name + _NAMELESS_MARGIN
    found = index.definitions_for(names, context.document.path, imports, wanted)

    def defines(each: ResolvedDefinition) -> bool:
        return traits_of(language_for(each.definition.path)).defines_names

    return {name: [*filter(defines, known)][:per_name] for name, known in found.items()}


def _imported(
    context: Context, index: CodeIndex, ranker: _Ranker, imports: Imports
) -> list[Definition]:
    used = set(context.unresolved[:_NAMES_LOOKED_UP])
    names = [name for name in context.imported if name not in used][:_IMPORTS_LOOKED_UP]
    if not names:
        return []
    path = context.document.path
    found = index.definitions_for(names, path, imports, 1)
    known = [
        each.definition for name in names for each in found.get(name, ()) if each.via != "name"
    ]
    return ranker.ordered(known, commonness=0.0, favoured=frozenset())[:_IMPORTS]


def _from_same_folder(
    context: Context,
    expression: Expression,
    index: CodeIndex,
    ranker: _Ranker,
    imports: Imports,
) -> list[Definition]:
    if expression.owner:
        return []
    path = context.document.path
    traits = traits_of(context.language)
    is_package = traits.name_scope == "folder"
    subject = subject_of_test(path)
    if not (subject or is_package):
        return []
    siblings = index.sibling_files(path)
    imported = index.imported_files(path, context.imported, imports) if subject else []
    near = [*siblings, *imported]
    tested = [file for file in near if PurePosixPath(file).name.partition(".")[0] == subject][:2]
    files = dict.fromkeys([*tested, *(siblings if is_package else ())])
    known = [
        each
        for file in files
        if file in tested or not subject_of_test(file)
        for each in index.definitions_of(file)
        if each.kind not in VALUE_KINDS and (traits.has_type_members or "." not in each.qualified)
    ]
    return ranker.ordered(known, commonness=0.3, favoured=frozenset(tested))[:_FROM_SAME_FOLDER]
