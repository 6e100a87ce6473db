"""CB107: a new public function that no test names, in a file whose functions have tests."""

from __future__ import annotations

from collections.abc import Iterator

from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.state import SourceFile
from codebuddy.index.file_role import role_of
from codebuddy.index.symbols import FoundDefinition

_MIN_SIBLINGS = 3
_TESTED_SHARE = 0.7
_MIN_LINES = 4
_MAX_SIBLINGS = 20


def check(review: Review) -> Iterator[Finding]:
    """New functions without a test among tested ones."""
    if review.lookup is None:
        return
    for change, file in review.state.written():
        review.check_time()
        if role_of(change.path, file.source) != "code" or not change.old_path:
            continue
        old = review.state.old_file(change.old_path)
        before = old.top_level() if old else {}
        functions = [each for each in file.top_level().values() if _is_public(each)]
        new = [each for each in functions if each.name not in before]
        siblings = [each for each in functions if each.name in before][:_MAX_SIBLINGS]
        if not new or len(siblings) < _MIN_SIBLINGS:
            continue
        tested = [each for each in siblings if _tests_of(review, each.name)]
        if len(tested) < _TESTED_SHARE * len(siblings):
            continue
        for each in new:
            if not _tests_of(review, each.name):
                yield _finding(review, file, each, tested, len(siblings))


def _is_public(definition: FoundDefinition) -> bool:
    is_long = definition.end_line - definition.line + 1 >= _MIN_LINES
    return definition.kind == "function" and not definition.name.startswith("_") and is_long


def _tests_of(review: Review, name: str) -> list[str]:
    """Test files of the new state that hold the name."""
    found = []
    for path in review.places(name):
        if role_of(path) == "test":
            file = review.state.file(path)
            if file is not None and file.holds_word(name):
                found.append(path)
                break
    return found


def _finding(
    review: Review,
    file: SourceFile,
    new: FoundDefinition,
    tested: list[FoundDefinition],
    n_siblings: int,
) -> Finding:
    text = file.lines[new.line - 1]
    return Finding(
        "CB107",
        file.path,
        new.line,
        max(1, text.find(new.name) + 1),
        f"{new.name}() has no test; {len(tested)} of its {n_siblings} neighbours have one",
        tuple(Evidence(path, 0) for path in _tests_of(review, tested[0].name)),
    )
