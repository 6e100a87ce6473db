"""CB103: a new import of a name that its module in this repository does not have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace

from codebuddy.hook.finding import Evidence, FileEdit, Finding, with_edits
from codebuddy.hook.review import Review
from codebuddy.hook.rules.renaming_patch import Renaming, renaming_patch
from codebuddy.hook.state import SourceFile
from codebuddy.syntax.imported import ImportedName
from codebuddy.syntax.occurrences import Occurrence
from codebuddy.syntax.traits import traits_of


def check(review: Review) -> Iterator[Finding]:
    """The imports on new lines that lead nowhere, but for those that CB102 explains."""
    told = review.told_imports
    for change, file in review.state.written():
        review.check_time()
        if not traits_of(file.language).import_syntax or file.tree is None:
            continue
        if file.tree.root_node.has_error:
            continue
        added = review.state.added(change)
        for each in file.imported:
            if each.line not in added or (change.path, each.line, each.column) in told:
                continue
            unresolved = review.resolver.unresolved(change.path, each)
            if unresolved is None or unresolved.path == change.path:
                continue
            evidence = (Evidence(change.path, each.line, file.line(each.line)),)
            if unresolved.missing == "module":
                message = f"{each.module} is imported, and {unresolved.path} is gone"
                yield Finding("CB103", change.path, each.line, each.column, message, evidence)
                continue
            target = review.state.file(unresolved.path)
            close = _close_name(target, each.name) if target else ""
            message = f"{unresolved.path} has no {each.name}"
            if close:
                message += f"; did you mean {close}?"
            finding = Finding("CB103", change.path, each.line, each.column, message, evidence)
            if close:
                renaming = Renaming(unresolved.path, each.name, close, may_alias=False)
                finding = with_edits(finding, *_patch(review, file, each, renaming))
                finding = replace(finding, needs=((unresolved.path, close),))
            yield finding


def _close_name(target: SourceFile, name: str) -> str:
    close = difflib.get_close_matches(name, list(target.top_level()), n=1, cutoff=0.8)
    return close[0] if close else ""


def _patch(
    review: Review, file: SourceFile, imported: ImportedName, renaming: Renaming
) -> tuple[tuple[FileEdit, ...], str]:
    """The import and what it brings in, with the name that there is; none where that is unclear."""
    name = imported.name
    uses = [Occurrence(name, imported.line, imported.column, 0, "import")]
    if imported.alias == name:
        found = [each for each in file.occurrences([name]) if each.receiver is None]
        uses += [each for each in found if each.role in ("call", "read", "decorator")]
    return renaming_patch(review, renaming, [(file.path, file, each) for each in uses])
