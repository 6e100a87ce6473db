"""CB102: a definition or file that is gone or has another name, and is still used.

Python, JavaScript and TypeScript. A use counts only if it is certain: an import that resolves
to the very file, a name read from such a module, a name that nothing else in its file binds,
or `self.name` in the class that lost the method.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from dataclasses import replace

from codebuddy.hook.finding import Evidence, Finding, with_edits
from codebuddy.hook.resolution import module_word
from codebuddy.hook.review import Review, shown_evidence
from codebuddy.hook.rules.renames import renamed_to
from codebuddy.hook.rules.renaming_patch import Renaming, renaming_patch
from codebuddy.hook.state import Change, SourceFile
from codebuddy.index.file_role import role_of
from codebuddy.syntax.imported import is_same_family
from codebuddy.syntax.occurrences import Occurrence
from codebuddy.syntax.traits import traits_of

_KINDS = frozenset({"function", "class", "constant", "variable", "type", "interface", "enum"})
_MAX_NAMES = 60
_DEFINED = re.compile(
    rb"\b(?:def|class|function\*?|const|let|var|interface|type|enum)\s+([\w$]+)"
    rb"|^([\w$]+)\s*(?:=|:[^=\n]*=|,)|^[^\S\n]++([\w$]+)\s*\(",
    re.MULTILINE,
)
_BUILTINS = frozenset(dir(builtins))


def check(review: Review) -> Iterator[Finding]:
    """The definitions and files that this change takes away, and who still uses them."""
    for change in review.state.changes:
        review.check_time()
        old = review.state.old_file(change.old_path) if change.old_path else None
        if old is None or not traits_of(old.language).import_syntax:
            continue
        if role_of(change.old_path, old.source) in ("vendored", "generated"):
            continue
        new = review.state.file(change.path) if change.path else None
        if change.path != change.old_path:
            yield from _removed_file(review, change, old)
        if new is None or change.path != change.old_path or not _loses_a_name(old, new):
            continue
        if not _is_broken(new):
            yield from _removed_names(review, change.path, old, new)
            yield from _removed_methods(review, old, new)


def _loses_a_name(old: SourceFile, new: SourceFile) -> bool:
    """Whether a name that stood where definitions stand is no longer there.

    Asked before anything is parsed: most changes take no name away.
    """
    before = {name for match in _DEFINED.findall(old.source) for name in match}
    return not before <= {name for match in _DEFINED.findall(new.source) for name in match}


def _is_broken(file: SourceFile) -> bool:
    return file.tree is None or file.tree.root_node.has_error


def _removed_file(review: Review, change: Change, old: SourceFile) -> Iterator[Finding]:
    """Imports of a module whose file was deleted or renamed."""
    stem = module_word(change.old_path)
    if not stem:
        return
    places: list[Evidence] = []
    for path in review.places(stem):
        file = review.state.file(path)
        if file is None or not file.holds_word(stem):
            continue
        if not is_same_family(file.language, old.language):
            continue
        for each in file.imported:
            unresolved = review.resolver.unresolved(path, each)
            if unresolved and unresolved.missing == "module" and unresolved.path == change.old_path:
                places.append(Evidence(path, each.line, file.line(each.line)))
                review.told_imports.add((path, each.line, each.column))
    if places:
        moved = f"renamed to {change.path}" if change.path else "deleted"
        evidence, n_more = shown_evidence(places)
        yield Finding(
            "CB102",
            places[0].path,
            places[0].line,
            1,
            f"{change.old_path} is {moved}, and is still imported here",
            evidence,
            n_more,
        )


def _removed_names(
    review: Review, path: str, old: SourceFile, new: SourceFile
) -> Iterator[Finding]:
    """Top-level names that the new content no longer has."""
    kept = new.top_level()
    gone = {
        name: definition
        for name, definition in old.top_level().items()
        if name not in kept and definition.kind in _KINDS and len(name) > 2
    }
    gone = {
        name: each for name, each in gone.items() if review.resolver.provides(path, name) is False
    }
    for name, definition in list(gone.items())[:_MAX_NAMES]:
        replacement = renamed_to(old, new, definition)
        uses = list(_uses(review, path, name, new))
        if not uses:
            continue
        review.told_imports.update((p, o.line, o.column) for p, _, o in uses)
        first_path, _, first = uses[0]
        places = (Evidence(p, o.line, f.line(o.line)) for p, f, o in uses)
        evidence, n_more = shown_evidence(places)
        became = f"renamed to {replacement} in {path}" if replacement else f"removed from {path}"
        finding = Finding(
            "CB102",
            first_path,
            first.line,
            first.column,
            f"{name} is {became}, and is still used here",
            evidence,
            n_more,
        )
        if replacement:
            renaming = Renaming(path, name, replacement)
            finding = with_edits(finding, *renaming_patch(review, renaming, uses))
            finding = replace(finding, needs=((path, replacement),))
        yield finding


def _uses(
    review: Review, path: str, name: str, new: SourceFile
) -> Iterator[tuple[str, SourceFile, Occurrence]]:
    if _has_bindings(new) and name not in _BUILTINS and not _has_star(new):
        # Nothing binds the name there any more (`provides` said so), not even in a function:
        # a plain use must fail.
        found = [each for each in new.occurrences([name]) if each.receiver is None]
        if not any(each.role in ("bind", "import") for each in found):
            for each in found:
                if each.role in ("call", "read", "decorator"):
                    yield path, new, each
    for other in review.places(name, but_for=path):
        file = review.state.file(other)
        if file is None or not traits_of(file.language).import_syntax or not file.holds_word(name):
            continue
        yield from ((other, file, each) for each in _uses_in(review, other, file, path, name))


def _has_star(file: SourceFile) -> bool:
    return any(each.name == "*" for each in file.imported)


def _uses_in(
    review: Review, other: str, file: SourceFile, path: str, name: str
) -> Iterator[Occurrence]:
    """Uses of `name` of the module `path` in another file: imports, then what they bring in."""
    modules: set[str] = set()
    is_imported_plainly = False
    for each in file.imported:
        if each.is_guarded:
            continue
        if each.name == name:
            unresolved = review.resolver.unresolved(other, each)
            if unresolved and unresolved.missing == "name" and unresolved.path == path:
                is_imported_plainly = is_imported_plainly or each.alias == name
                yield Occurrence(name, each.line, each.column, 0, "import")
        elif each.alias and review.resolver.target(other, each.module, each.name) == (path, ""):
            modules.add(each.alias)
    if not modules and not is_imported_plainly:
        return
    found = file.occurrences([name, *(alias.partition(".")[0] for alias in modules)])
    rebound = {use.name for use in found if use.role == "bind" and use.receiver is None}
    for use in found:
        if use.name != name or use.role not in ("call", "read", "decorator"):
            continue
        if use.receiver is None:
            is_use = is_imported_plainly and name not in rebound
        else:
            is_use = use.receiver in modules and use.receiver.partition(".")[0] not in rebound
        if is_use:
            yield use


def _has_bindings(file: SourceFile) -> bool:
    return "bindings" in traits_of(file.language).analyses


def _removed_methods(review: Review, old: SourceFile, new: SourceFile) -> Iterator[Finding]:
    """`self.name` in a class without bases that no longer has the method."""
    if not _has_bindings(new) or b"__getattr__" in new.source or b"setattr(" in new.source:
        return
    classes = {each.name: each for each in new.top_level().values() if each.kind == "class"}
    defined = {each.name for each in new.symbols.definitions}
    methods = [each for each in old.symbols.definitions if each.kind == "method"]
    gone = {
        (owner, each.name): each
        for each in methods
        for owner in [each.qualified.rpartition(".")[0]]
        if owner in classes and each.name not in defined and "(" not in classes[owner].signature
    }
    # Defined elsewhere too: a class that derives from this one may have it.
    names = {name for _, name in gone if not _is_defined_elsewhere(review, new.path, name)}
    if not names:
        return
    found = new.occurrences(names)
    bound = {each.name for each in found if each.role == "bind"}
    by_line: dict[tuple[str, str, int], list[Occurrence]] = {}
    for each in found:
        if (each.class_name, each.name) in gone and each.name not in bound:
            by_line.setdefault((each.class_name, each.name, each.line), []).append(each)
    for (owner, name, line), calls in by_line.items():
        replacement = renamed_to(old, new, gone[owner, name])
        became = f"renamed to {replacement}" if replacement else "removed"
        finding = Finding(
            "CB102",
            new.path,
            line,
            calls[0].column,
            f"{owner}.{name} is {became}, and is still called here",
            (Evidence(new.path, line, new.line(line)),),
        )
        if replacement:
            finding = _with_method_patch(review, new, finding, calls, replacement)
        yield finding


def _with_method_patch(
    review: Review, new: SourceFile, finding: Finding, calls: list[Occurrence], replacement: str
) -> Finding:
    """The finding about calls in one line with the method's new name, if that means the method."""
    owner, name = calls[0].class_name, calls[0].name
    bound = [
        each
        for each in new.occurrences([replacement])
        if each.role == "bind" and each.receiver is None
    ]
    if len(bound) != 1 or _is_defined_elsewhere(review, new.path, replacement):
        return with_edits(finding, (), f"{replacement} is defined elsewhere, too")
    uses = [(new.path, new, each) for each in calls]
    renaming = Renaming(new.path, name, replacement)
    finding = with_edits(finding, *renaming_patch(review, renaming, uses))
    return replace(finding, needs=((new.path, f"{owner}.{replacement}"),))


def _is_defined_elsewhere(review: Review, path: str, name: str) -> bool:
    if review.lookup is None:
        return True
    return any(each.path != path for each in review.lookup.definitions(name))
