"""CB101: callers that fit a Python function as it was, and no longer as it is.

A call counts only if it could be bound to the old parameters and cannot be to the new ones,
and if it certainly means this function: by its import, by its class, or because no other
method of the repository has the name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from codebuddy.hook.finding import Evidence, Finding
from codebuddy.hook.resolution import module_word
from codebuddy.hook.review import Review, shown_evidence
from codebuddy.hook.state import SourceFile
from codebuddy.syntax.occurrences import Occurrence
from codebuddy.syntax.signatures import Function, Signature, find_functions, signature_at
from codebuddy.syntax.traits import traits_of

_MAX_FUNCTIONS = 60
_MIN_METHOD_NAME = 4
_LINES_OF_A_TEST = 3
_EXPECTS_ERROR = re.compile(r"\b(?:raises|assertRaises\w*|suppress)\(")
# Methods of what everybody has: `x.update()` is seldom ours.
_BUILTIN_METHODS = frozenset(
    name
    for kind in (str, bytes, list, dict, set, tuple, int, float, type, object, Exception, property)
    for name in dir(kind)
) | frozenset(
    "open close read write flush seek run start stop send put join submit result connect execute "
    "commit rollback fetch fetchone fetchall group groups match search findall split sub exists "
    "mkdir unlink rename resolve iterdir read_text write_text save delete filter create all "
    "first last order_by acquire release notify wait cancel shutdown main setup teardown "
    "setUp tearDown parse load loads dump dumps reset call apply name".split()
)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A function whose use changed. `name` is what callers write, `owner` its class."""

    path: str
    name: str
    owner: str
    function: Function
    old: Signature
    new: Signature
    is_constructor: bool

    def complaint(self, call: Occurrence) -> str:
        """Why the call no longer fits; empty if it does, or never did."""
        arguments = call.arguments
        if arguments is None or self.old.mismatch(arguments):
            return ""
        reason = self.new.mismatch(arguments, known={each.name for each in self.old.parameters})
        if reason or not call.n_unpacked:
            return reason
        before, after = self.old.return_lengths, self.new.return_lengths
        if before == {call.n_unpacked} and len(after) == 1 and after != before:
            (length,) = after
            if length > 1:
                return f"returns {length} values, no longer {call.n_unpacked}"
        return ""


def check(review: Review) -> Iterator[Finding]:
    """The functions of this change whose callers elsewhere do not fit any more."""
    for change in review.state.changes:
        if not change.path or not change.old_path:
            continue
        old = review.state.old_file(change.old_path)
        new = review.state.file(change.path)
        if old is None or new is None or not (_has_signatures(old) and _has_signatures(new)):
            continue
        for changed in list(_changed(old, new))[:_MAX_FUNCTIONS]:
            review.check_time()
            yield from _stale(review, new, changed)


def _has_signatures(file: SourceFile) -> bool:
    return "signatures" in traits_of(file.language).analyses


def _changed(old: SourceFile, new: SourceFile) -> Iterator[_Changed]:
    """Functions that both contents define once, with other parameters or returns."""
    if old.tree is None or new.tree is None:
        return
    before = _unique(old)
    for qualified, function in _unique(new).items():
        earlier = before.get(qualified)
        if earlier is None or _source(old, earlier) == _source(new, function):
            continue
        one = signature_at(old.tree, old.source, earlier.extent)
        other = signature_at(new.tree, new.source, function.extent)
        if one is None or other is None or one == other:
            continue
        if not (one.is_called_as_written and other.is_called_as_written):
            continue
        if set(one.decorators) != set(other.decorators):
            continue
        owner = function.owner
        if owner:
            one, other = one.bound(), other.bound()
        is_constructor = bool(owner) and function.name == "__init__"
        if function.name.startswith("__") and not is_constructor:
            continue
        name = owner if is_constructor else function.name
        yield _Changed(new.path, name, owner, function, one, other, is_constructor)


def _source(file: SourceFile, function: Function) -> bytes:
    return file.source[function.extent[0] : function.extent[1]]


def _unique(file: SourceFile) -> dict[str, Function]:
    """Functions by qualified name, without those that are defined several times."""
    functions = find_functions(file.tree, file.source) if file.tree is not None else []
    count = Counter(each.qualified for each in functions)
    return {each.qualified: each for each in functions if count[each.qualified] == 1}


def _stale(review: Review, new: SourceFile, changed: _Changed) -> Iterator[Finding]:
    stale: list[tuple[str, Evidence, str]] = []
    is_method = bool(changed.owner) and not changed.is_constructor
    is_unique = is_method and _is_unique_method(review, changed)
    # Parsed only where something of the name, or an alias of it, is called.
    called = re.compile(rb"\b" + changed.name.encode() + rb"(?:\s*\(|\s+as\s)")
    for path in (new.path, *review.places(changed.name, but_for=new.path)):
        file = new if path == new.path else review.state.file(path)
        if file is None or not _has_signatures(file) or not file.holds_word(changed.name):
            continue
        if not called.search(file.source):
            continue
        if is_method:
            calls = _method_calls(review, path, file, changed, is_unique=is_unique)
        else:
            calls = _function_calls(review, path, file, changed)
        for call in calls:
            reason = changed.complaint(call)
            if reason and not _is_meant_to_fail(file, call.line):
                stale.append((reason, Evidence(path, call.line, file.line(call.line)), path))
    if not stale:
        return
    evidence, n_more = shown_evidence(each for _, each, _ in stale)
    n_stale = len(evidence) + n_more
    reason = stale[0][0]
    line = changed.function.line
    text = new.lines[line - 1] if line <= len(new.lines) else ""
    column = max(1, text.find(changed.function.name) + 1)
    yield Finding(
        "CB101",
        new.path,
        line,
        column,
        f"{changed.name}() {reason}; {n_stale} call{'s' * (n_stale != 1)} did not follow",
        evidence,
        n_more,
    )


def _is_meant_to_fail(file: SourceFile, line: int) -> bool:
    """Whether a test expects the call to raise."""
    above = file.lines[max(0, line - 1 - _LINES_OF_A_TEST) : line]
    return any(_EXPECTS_ERROR.search(text) for text in above)


def _is_unique_method(review: Review, changed: _Changed) -> bool:
    """Whether no other class of the repository has a method of this name."""
    name = changed.name
    if review.lookup is None or name in _BUILTIN_METHODS or len(name) < _MIN_METHOD_NAME:
        return False
    pattern = re.compile(rb"\bdef\s+" + name.encode() + rb"\b")
    for change, file in review.state.written():
        if len(pattern.findall(file.source)) > (change.path == changed.path):
            return False
    return all(
        each.path == changed.path or review.state.was_there(each.path)
        for each in review.lookup.definitions(name)
    )


def _function_calls(
    review: Review, path: str, file: SourceFile, changed: _Changed
) -> Iterator[Occurrence]:
    """Calls that certainly mean the module-level name `changed.name`."""
    name = changed.name
    direct: set[str] = {name} if path == changed.path else set()
    modules: set[str] = set()
    for each in file.imported:
        last = each.name or each.module.rpartition(".")[2]
        if not each.alias or each.is_guarded or last not in (name, module_word(changed.path)):
            continue
        target = review.resolver.target(path, each.module, each.name)
        if target == (changed.path, name):
            direct.add(each.alias)
        elif target == (changed.path, ""):
            modules.add(each.alias)
    if not direct and not modules:
        return
    found = file.occurrences({name, *direct, *(alias.partition(".")[0] for alias in modules)})
    n_own = 1 if path == changed.path else 0
    binds = [use.name for use in found if use.role == "bind" and use.receiver is None]
    for use in found:
        if use.role != "call":
            continue
        if use.receiver is None and use.name in direct:
            if binds.count(use.name) <= (n_own if use.name == name else 0):
                yield use
        elif (
            use.name == name
            and use.receiver in modules
            and use.receiver.partition(".")[0] not in binds
        ):
            yield use


def _method_calls(
    review: Review, path: str, file: SourceFile, changed: _Changed, *, is_unique: bool
) -> Iterator[Occurrence]:
    for each in file.occurrences([changed.name]):
        if each.role != "call" or each.receiver in (None, "super()"):
            continue
        is_own = path == changed.path and each.class_name == changed.owner
        if each.receiver in ("self", "cls") and is_own:
            # A class derived from it may have its own; only one definition is sure.
            if is_unique or not _is_redefined(review, changed):
                yield each
        elif is_unique and each.receiver not in (changed.owner, "?"):
            yield each


def _is_redefined(review: Review, changed: _Changed) -> bool:
    """Whether another class may override the method."""
    if review.lookup is None:
        return False
    return any(each.path != changed.path for each in review.lookup.definitions(changed.name))
