"""Every regular expression of the package, and what it costs on texts made to be expensive.

Expressions are found in the syntax trees, so that a new one is measured without being named.
"""

from __future__ import annotations

import ast
import importlib
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The parser of the standard library, which has no stubs.
codes: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")

PACKAGE = Path(__file__).parents[2] / "codebuddy"
_FUNCTIONS = frozenset({"match", "fullmatch", "search", "sub", "subn", "split", "findall"})
_FUNCTIONS |= {"finditer"}
_FLAGS_AT = {"sub": 4, "subn": 4, "split": 3}
# Searching everywhere costs most: what is done with an expression that is handed on.
_ANY = "finditer"

# Sizes compared; where the larger one costs less than this, growth cannot be told from noise.
_SMALL, _FACTOR = 1500, 4
_NEGLIGIBLE_S = 0.003
# Linear costs 4 times as much, quadratic 16 times.
_MAX_GROWTH = 9.0
_LIMIT_S = 2.0
# Characters that a negated class leaves out, which are tried behind a repetition.
_MAX_EXCLUDED = 2
_UNITS = (
    *"\n \t\r\f aA0_.\"'`\\/|()[]{}<>,:;=*#-+!?@$%&~^é\x01\x00",
    "\r\n",
    " \n",
    "\n ",
    "a\n",
    "a ",
    "a.",
    "a,",
    "a:",
    "a::",
    "aA",
    "a0",
    "a(",
    "(a",
    "a, ",
    "<a",
    "[a",
    '\\"',
    "\\'",
    '""',
    "()",
    "a=",
    "a = ",
    ": ",
    "- ",
    "//",
    "/*",
    "--",
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression and how it is asked: `methods` are those of a compiled one."""

    place: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A call whose expression is made at run time: `file.py: call`."""

    place: str


def expressions(values: dict[str, dict[str, Any]]) -> Iterator[Expression | Unknown]:
    """All expressions of the package.

    Args:
        values: Of the local variables that an expression is made of, by file; a list stands
            for several values.
    """
    trees = {file: ast.parse(file.read_text("utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
    uses = {file: _uses(tree) for file, tree in trees.items()}
    for file, tree in trees.items():
        name = file.relative_to(PACKAGE).as_posix()
        names = _names(tree)
        for node in ast.walk(tree):
            function = _function_of(node)
            if not function:
                continue
            assert isinstance(node, ast.Call)
            bound = names.get(id(node), "")
            # A name with an underscore is its module's own.
            users = [uses[file]] if bound.startswith("_") else list(uses.values())
            methods = _methods(function, bound, users)
            try:
                patterns = list(_evaluated(node, function, _module(file), values.get(name, {})))
            except NameError:
                yield Unknown(f"{name}: {ast.unparse(node)}")
                continue
            for pattern in patterns:
                yield Expression(f"{name}:{node.lineno}", pattern, methods)


def _function_of(node: ast.AST) -> str:
    """`compile`, `search` and so on for a call of the module `re`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    owner, name = node.func.value, node.func.attr
    is_ours = isinstance(owner, ast.Name) and owner.id == "re"
    return name if is_ours and name in _FUNCTIONS | {"compile"} else ""


def _module(file: Path) -> dict[str, Any]:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return vars(importlib.import_module(".".join(parts)))


def _evaluated(
    node: ast.Call, function: str, names: dict[str, Any], values: dict[str, Any]
) -> Iterator[re.Pattern[Any]]:
    """The expressions of a call; none where it takes one that was compiled elsewhere."""
    given = [each.value for each in node.keywords if each.arg == "flags"]
    place = 1 if function == "compile" else _FLAGS_AT.get(function, 2)
    given += node.args[place : place + 1]
    flags: Any = eval(ast.unparse(given[0]), dict(names)) if given else 0
    found = eval(ast.unparse(node.args[0]), {**names, **values})
    for pattern in found if isinstance(found, list) else [found]:
        if not isinstance(pattern, re.Pattern):
            yield re.compile(pattern, flags)


def _names(tree: ast.Module) -> dict[int, str]:
    """The name that a compiled expression is bound to, by the line and column of its call."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            pairs = [(targets[0], node.value)]
            if isinstance(targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(targets[0].elts, node.value.elts, strict=True))
            for target, value in pairs:
                if isinstance(target, ast.Name) and value is not None:
                    found[id(value)] = target.id
    return found


def _uses(tree: ast.Module) -> dict[str, set[str]]:
    """Methods asked of each name of a module; `_ANY` where the name is handed on."""
    found: dict[str, set[str]] = {}
    owners = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owners.add(id(node.value))
            found.setdefault(node.value.id, set()).add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in owners:
            found.setdefault(node.id, set())
            if isinstance(node.ctx, ast.Load):
                found[node.id].add(_ANY)
    return found


def _methods(function: str, bound: str, users: list[dict[str, set[str]]]) -> frozenset[str]:
    if function != "compile":
        return frozenset({function})
    used = {each for uses in users for each in uses.get(bound, set())} & _FUNCTIONS
    return frozenset(used or {_ANY})


def too_expensive(expression: Expression) -> str:
    """A text on which the cost grows faster than it does, empty if none was found."""
    for prefix, unit, suffix in dict.fromkeys(_attacks(expression.pattern)):
        for method in sorted(expression.methods):
            growths: list[float] = []
            # Measured again before it counts: the machine may have been busy.
            while len(growths) < 4:
                growth = _growth(expression.pattern, method, prefix, unit, suffix)
                if growth <= _MAX_GROWTH:
                    break
                growths.append(growth)
                if growth == float("inf"):
                    break
            else:
                growth = min(growths)
            if growth > _MAX_GROWTH:
                return f"{method} of {prefix[:40]!r} + {unit!r} * n + {suffix!r}: x {growth:.0f}"
    return ""


def _attacks(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    for unit in _UNITS:
        yield "", unit, ""
        yield "", unit, "\x01"
    source = pattern.pattern
    text = source.decode("latin-1") if isinstance(source, bytes) else source
    tree = parser.parse(
        text, pattern.flags & ~re.DEBUG & (~re.UNICODE if isinstance(source, bytes) else -1)
    )
    excluded = dict.fromkeys(_excluded(list(tree)))
    suffixes = ["", "\x01", "\n\x01", *(f"{each}\x01" for each in list(excluded)[:_MAX_EXCLUDED])]
    for prefix, unit in _repeated(list(tree), ""):
        for suffix in suffixes:
            yield prefix, unit, suffix
    for prefix in _prefixes(list(tree), ""):
        yield "", prefix, ""
        yield "", prefix + "\n", "\x01"


def _repeated(items: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
    """What leads to each repetition of the expression, and what it repeats."""
    for code, argument in items:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            _, most, inner = argument
            if most > 8:
                for sample in _samples(list(inner)):
                    yield prefix, sample
            yield from _repeated(list(inner), prefix)
        elif code is codes.SUBPATTERN:
            yield from _repeated(list(argument[-1]), prefix)
        elif code is codes.ATOMIC_GROUP:
            yield from _repeated(list(argument), prefix)
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from _repeated(list(branch), prefix)
        elif code in (codes.ASSERT, codes.ASSERT_NOT):
            yield from _repeated(list(argument[1]), prefix)
        prefix += next(iter(_samples([(code, argument)])), "")


def _excluded(items: list[Any]) -> Iterator[str]:
    """Single characters that some class leaves out: what ends a repetition without a match."""
    for code, argument in items:
        if code is codes.NOT_LITERAL:
            yield chr(argument)
        elif code is codes.IN and argument[0][0] is codes.NEGATE:
            yield from (chr(value) for kind, value in argument[1:] if kind is codes.LITERAL)
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            yield from _excluded(list(argument[2]))
        elif code in (codes.SUBPATTERN, codes.ASSERT, codes.ASSERT_NOT):
            yield from _excluded(list(argument[-1]))
        elif code is codes.ATOMIC_GROUP:
            yield from _excluded(list(argument))
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from _excluded(list(branch))


def _prefixes(items: list[Any], prefix: str) -> Iterator[str]:
    """The beginnings of a match, without its last part: near matches of the expression."""
    for code, argument in items:
        if code is codes.SUBPATTERN:
            yield from _prefixes(list(argument[-1]), prefix)
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from _prefixes(list(branch), prefix)
        prefix += next(iter(_samples([(code, argument)])), "")
        if prefix:
            yield prefix


def _samples(items: list[Any]) -> list[str]:
    """A few texts that match the items, each repetition done as seldom as may be."""
    found = [""]
    for code, argument in items:
        if code is codes.LITERAL:
            choices = [chr(argument)]
        elif code is codes.IN:
            choices = _members(argument)
        elif code in (codes.ANY, codes.NOT_LITERAL):
            choices = ["a"] if argument != ord("a") else ["b"]
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            least, _, inner = argument
            choices = [each * int(least) for each in _samples(list(inner))]
        elif code is codes.SUBPATTERN:
            choices = _samples(list(argument[-1]))
        elif code is codes.ATOMIC_GROUP:
            choices = _samples(list(argument))
        elif code is codes.BRANCH:
            choices = [each for branch in argument[1] for each in _samples(list(branch))[:1]]
        else:
            choices = [""]
        found = [one + other for one in found for other in choices[:4]][:6]
    return found


_CATEGORIES = {
    codes.CATEGORY_DIGIT: ["0"],
    codes.CATEGORY_SPACE: ["\n", " "],
    codes.CATEGORY_WORD: ["a", "0", "_"],
    codes.CATEGORY_NOT_SPACE: ["a", "("],
    codes.CATEGORY_NOT_WORD: ["(", "\n"],
    codes.CATEGORY_NOT_DIGIT: ["a"],
}


def _members(argument: list[Any]) -> list[str]:
    if argument[0][0] is codes.NEGATE:
        excluded = re.compile("[" + "".join(_written(each) for each in argument[1:]) + "]")
        return [each for each in ("a", "\n", " ", "(", "<", "0") if not excluded.match(each)][:3]
    found: list[str] = []
    for code, value in argument:
        if code is codes.LITERAL:
            found.append(chr(value))
        elif code is codes.RANGE:
            found.append(chr(value[0]))
        elif code is codes.CATEGORY:
            found += _CATEGORIES[value]
    return found


def _written(member: Any) -> str:
    code, value = member
    if code is codes.LITERAL:
        return re.escape(chr(value))
    if code is codes.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    letters = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}
    name = str(value).removeprefix("CATEGORY_")
    letter = letters[name.removeprefix("NOT_")]
    return f"\\{letter.upper() if name.startswith('NOT_') else letter}"


def _growth(pattern: re.Pattern[Any], method: str, prefix: str, unit: str, suffix: str) -> float:
    """How many times as much the larger text costs; 0 where it costs next to nothing."""
    small = prefix + unit * (_SMALL // len(unit)) + suffix
    large = prefix + unit * (_FACTOR * _SMALL // len(unit)) + suffix
    try:
        with _limited():
            # First what decides most often: nothing else is measured then.
            second = float("inf")
            for _ in range(2):
                second = min(second, _cost(pattern, method, large))
                if second <= _NEGLIGIBLE_S:
                    return 0.0
            first = min(_cost(pattern, method, small) for _ in range(2))
    except _TooLongError:
        return float("inf")
    return second / max(first, 1e-6)


def _cost(pattern: re.Pattern[Any], method: str, text: str) -> float:
    subject: Any = text
    if isinstance(pattern.pattern, bytes):
        subject = text.encode("latin-1", "replace")
    started = time.thread_time()
    if method == "finditer":
        for _ in pattern.finditer(subject):
            pass
    elif method in ("sub", "subn"):
        pattern.sub(subject[:0], subject)
    else:
        getattr(pattern, method)(subject)
    return time.thread_time() - started


class _TooLongError(Exception):
    """The limit came."""


@contextmanager
def _limited() -> Iterator[None]:
    """End what takes much too long, for example exponentially long.

    Raises:
        _TooLongError: It did.
    """

    def stop(_number: int, _frame: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
