"""CB104: a new function that does what one of the repository does already, under another name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.review import Review
from codebuddy.hook.rules.similarity import body_text, normalised
from codebuddy.hook.state import SourceFile
from codebuddy.index.file_role import role_of
from codebuddy.index.symbols import FoundDefinition
from codebuddy.index.terms import count_terms
from codebuddy.syntax.embedded import COMPONENTS
from codebuddy.syntax.imported import is_same_family
from codebuddy.syntax.languages import NOTEBOOK, language_for
from codebuddy.syntax.traits import traits_of

MIN_TOKENS = 50
_MIN_LINES = 4
# Below this share of new lines a function was changed, not written.
_NEW_SHARE = 0.8
_MAX_FUNCTIONS = 30
_CANDIDATES = 12
_MAX_TERMS = 120
_KINDS = frozenset({"function", "method"})
# What stands alone on purpose, or is a copy that somebody keeps.
_STANDS_ALONE = re.compile(
    r"(?i)(?:^|/)(?:examples?|samples?|demos?|playgrounds?|docs?|scripts|extras?|contrib|_?legacy\w*)/"
)
# What these define cannot be called from another file.
_NOT_IMPORTED = frozenset({NOTEBOOK, *COMPONENTS})
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class _Function:
    path: str
    definition: FoundDefinition
    tokens: list[str]
    text: str


def check(review: Review) -> Iterator[Finding]:
    """New functions with a near twin elsewhere."""
    new = list(_new_functions(review))
    # By hand there is time for all of them.
    for function in new[:_MAX_FUNCTIONS] if math.isfinite(review.deadline) else new:
        review.check_time()
        twins = _candidates(review, function, new)
        twin = next((each for each in twins if each.tokens == function.tokens), None)
        if twin is not None:
            yield _finding(review, function, twin)


def _finding(review: Review, function: _Function, twin: _Function) -> Finding:
    mine, theirs = function.definition, twin.definition
    file = review.state.file(function.path)
    text = file.lines[mine.line - 1] if file else ""
    return Finding(
        "CB104",
        function.path,
        mine.line,
        max(1, text.find(mine.name) + 1),
        f"{mine.name}() does what {theirs.qualified}() in {twin.path}:{theirs.line} does; "
        f"call {_call(theirs)} instead",
        (Evidence(twin.path, theirs.line, theirs.signature),),
    )


def _call(definition: FoundDefinition) -> str:
    """The call as one would write it, from the signature."""
    parameters = definition.signature.partition("(")[2].rpartition(")")[0]
    names = []
    for part in _parts(parameters):
        name = re.split(r"[:=]", part.strip())[0].strip()
        if name and name not in ("self", "cls", "*", "/") and not name.startswith("**"):
            names.append(name.split()[-1])
    return f"{definition.qualified}({', '.join(names)})"


def _parts(parameters: str) -> list[str]:
    """What commas separate outside brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(parameters):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0:
            parts.append(parameters[start:place])
            start = place + 1
    return [*parts, parameters[start:]]


def _new_functions(review: Review) -> Iterator[_Function]:
    for change, file in review.state.written():
        review.check_time()
        if role_of(change.path, file.source) != "code" or file.tree is None:
            continue
        is_importable = traits_of(file.language).has_importable_functions
        if _STANDS_ALONE.search(change.path) or not is_importable:
            continue
        old = review.state.old_file(change.old_path) if change.old_path else None
        added = review.state.added(change)
        for each in _functions(file):
            lines = range(each.line, each.end_line + 1)
            share = sum(number in added for number in lines) / max(1, len(lines))
            if share < _NEW_SHARE or (old is not None and old.defines(each.name)):
                continue
            yield _prepared(file, each)


def _functions(file: SourceFile) -> Iterator[FoundDefinition]:
    """Functions long enough to be worth a call, outermost ones."""
    end = -1
    for each in file.symbols.definitions:
        if each.kind not in _KINDS or each.end_line - each.line + 1 < _MIN_LINES:
            continue
        if each.extent[0] < end or each.name.startswith(("__", "test")):
            continue
        end = each.extent[1]
        yield each


def _prepared(file: SourceFile, definition: FoundDefinition) -> _Function:
    text = body_text(file, definition)
    tokens = normalised(text, definition.name)
    return _Function(file.path, definition, tokens, text)


def _candidates(review: Review, function: _Function, new: list[_Function]) -> Iterator[_Function]:
    """Functions of the new state that the index or this change suggests."""
    if len(function.tokens) < MIN_TOKENS or review.lookup is None:
        return
    for other in new:
        is_earlier = (other.path, other.definition.line) < (function.path, function.definition.line)
        is_importable = language_for(other.path) not in _NOT_IMPORTED
        if is_earlier and is_importable and _is_comparable(function, other):
            yield other
    terms = list(count_terms(function.text))[:_MAX_TERMS]
    fresh = {(each.path, each.definition.qualified) for each in new}
    for chunk in review.lookup.similar(terms, _CANDIDATES):
        file = review.state.file(chunk.path)
        own = review.state.file(function.path)
        if file is None or own is None or not is_same_family(file.language, own.language):
            continue
        if language_for(chunk.path) in _NOT_IMPORTED:
            continue
        if role_of(chunk.path, file.source) != "code" or _STANDS_ALONE.search(chunk.path):
            continue
        for each in _functions(file):
            # The index may be older than the file: its lines are only near the place.
            is_near = each.name == chunk.symbol.rpartition(".")[2] or (
                each.line <= chunk.end_line and chunk.start_line <= each.end_line
            )
            if is_near and (chunk.path, each.qualified) not in fresh:
                other = _prepared(file, each)
                if _is_comparable(function, other) and not _is_local(file, each):
                    yield other


def _is_local(file: SourceFile, definition: FoundDefinition) -> bool:
    """Whether the function is nested in another one, where only that one can call it."""
    assert file.tree is not None
    start, end = definition.extent
    node = file.tree.root_node.descendant_for_byte_range(start, max(start, end - 1))
    for _ in range(_MAX_DEPTH):
        node = node.parent if node is not None else None
        if node is None:
            return False
        is_outside = node.start_byte < start or node.end_byte > end
        if is_outside and (
            "function" in node.type or node.type in ("lambda", "closure_expression")
        ):
            return True
    return True


def _is_comparable(one: _Function, other: _Function) -> bool:
    """Whether the other one is long enough, and they are not two forms of one method."""
    mine, theirs = one.definition, other.definition
    if (one.path, mine.qualified) == (other.path, theirs.qualified):
        return False
    if mine.kind == theirs.kind == "method" and mine.name == theirs.name:
        # The same method of two classes: that is what polymorphism looks like.
        return False
    return len(other.tokens) >= MIN_TOKENS
