"""CB103: a new import of a name that its module in this repository does not have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from codebuddy.hook.finding import Edit, Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.syntax.imported import JAVASCRIPT, PYTHON


def check(review: Review) -> Iterator[Finding]:
    """The imports on new lines that lead nowhere."""
    for change, file in review.state.written():
        review.check_time()
        if file.language not in PYTHON | JAVASCRIPT or file.tree is None:
            continue
        if file.tree.root_node.has_error:
            continue
        added = review.state.added(change)
        for each in file.imported:
            if each.line not in added:
                continue
            verdict = review.resolver.verdict(change.path, each)
            if verdict is None or verdict.path == change.path:
                continue
            evidence = (Evidence(change.path, each.line, file.line(each.line)),)
            if verdict.missing == "module":
                message = f"{each.module} is imported, and {verdict.path} is gone"
                yield Finding("CB103", change.path, each.line, each.column, message, evidence)
                continue
            target = review.state.file(verdict.path)
            close = _close_name(target, each.name) if target else ""
            message = f"{verdict.path} has no {each.name}"
            if close:
                message += f"; did you mean {close}?"
            edits = _edit(file, each.line, each.column, each.name, close) if close else ()
            yield Finding(
                "CB103", change.path, each.line, each.column, message, evidence, edits=edits
            )


def _close_name(target: SourceFile, name: str) -> str:
    close = difflib.get_close_matches(name, list(target.top_level()), n=1, cutoff=0.8)
    return close[0] if close else ""


def _edit(file: SourceFile, line: int, column: int, old: str, new: str) -> tuple[Edit, ...]:
    text = file.lines[line - 1]
    start = column - 1
    if text[start : start + len(old)] != old:
        return ()
    changed = text[:start] + new + text[start + len(old) :]
    return (Edit(file.path, line, line, text, changed),)
