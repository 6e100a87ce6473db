"""Which calls of a file go to definitions in other files of the repository, and to which.

A name alone proves nothing (`get` is defined everywhere), so a call counts only where the
file's own imports lead to the definition's file, where the language shares names within a
folder, or where a telling name is defined once in the whole repository. It knows the index,
and what `sites` found; it does not run or resolve code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from codebuddy.datatypes import Definition
from codebuddy.evaluation.sites import CallSite, Sites
from codebuddy.syntax.spec import VALUE_KINDS
from codebuddy.syntax.traits import IMPORT_WORDS, traits_of

_DEFINITIONS_PER_NAME = 16
# What may be one of more definitions is not known to be any.
_MAX_MEANT = 4
_RELATIVE_IMPORT = re.compile(r"""from\s+\.|["']\.\.?/|\bcrate\b|\bsuper\b|\bself\b|^\s*mod\b""")
_WORD = re.compile(r"[\w$-]+")
_COMPOUND_NAME = re.compile(r"[a-z0-9]_[a-z0-9]|[a-z][A-Z]")
# Words of the statements themselves, and the file that stands for its folder.
_COMMON_PARTS = IMPORT_WORDS | {"__init__", "type"}


class DefinitionLookup(Protocol):
    """The part of the index that is asked."""

    def definitions(self, names: Sequence[str], per_name: int = 3) -> dict[str, list[Definition]]:
        """Where names are defined."""
        ...


def definitions_elsewhere(
    path: str, language: str, sites: Sites, own_names: Iterable[str], index: DefinitionLookup
) -> dict[CallSite, tuple[Definition, ...]]:
    """The calls whose definition is in another file, with the definitions that may be meant.

    Args:
        path: The calling file.
        language: Its language.
        sites: What was found in it.
        own_names: Names that the file defines or binds; calls of these stay within it.
        index: Where definitions are looked up.
    """
    own = set(own_names)
    wanted = dict.fromkeys(call.name for call in sites.calls if call.name not in own)
    known = index.definitions(list(wanted), _DEFINITIONS_PER_NAME)
    found: dict[CallSite, tuple[Definition, ...]] = {}
    for call in sites.calls:
        if call.name in own or call.name not in known:
            continue
        every = [each for each in known[call.name] if each.kind not in VALUE_KINDS]
        elsewhere = [each for each in every if each.path != path]
        if len(elsewhere) < len(every) or not elsewhere:
            continue
        meant = _meant(call, elsewhere, path, language, sites)
        if meant:
            found[call] = tuple(meant)
    return found


def _meant(
    call: CallSite, elsewhere: list[Definition], path: str, language: str, sites: Sites
) -> list[Definition]:
    """The definitions that the call can mean, as far as text shows."""
    statement = sites.imports.get(call.qualifier or call.name)
    if statement is not None:
        imported = _best_led_to(statement, call, elsewhere)
        if imported or not call.qualifier:
            return imported
    if not call.qualifier:
        name_scope = traits_of(language).name_scope
        if name_scope == "folder":
            folder = PurePosixPath(path).parent
            return [each for each in elsewhere if PurePosixPath(each.path).parent == folder]
        return elsewhere if name_scope == "program" and len(elsewhere) == 1 else []
    if len(elsewhere) == 1 and _COMPOUND_NAME.search(call.name):
        return elsewhere
    return []


def _best_led_to(statement: str, call: CallSite, elsewhere: list[Definition]) -> list[Definition]:
    """The definitions whose files share most words with the import statement."""
    if call.qualifier[:1].isupper():
        # `Store.open`: a type's own, not those of every type of the same package.
        elsewhere = [each for each in elsewhere if call.qualifier in each.qualified.split(".")]
        if not elsewhere:
            return []
    # The imported name itself proves a module only where it is the qualifier.
    words = set(_WORD.findall(statement)) - _COMMON_PARTS - {call.name}
    shared = {each: len(words & _places(each)) for each in elsewhere}
    most = max(shared.values())
    if most == 0 and not _RELATIVE_IMPORT.search(statement):
        return []
    best = [each for each in elsewhere if shared[each] == most]
    return best if len(best) <= _MAX_MEANT else []


def _places(definition: Definition) -> set[str]:
    """The folders, file and outer definitions that a definition lies in."""
    file = PurePosixPath(definition.path)
    return {*file.parts[:-1], file.stem, *definition.qualified.split(".")[:-1]} - _COMMON_PARTS
