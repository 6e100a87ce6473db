"""A Python function's parameters and returns, and whether a call fits them.

The rules are those of Python's reference, "Calls": positional arguments fill parameters from
the left, keywords by name, defaults the rest. It knows one function at a time.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from codebuddy.syntax.occurrences import Arguments

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node, Tree

ParameterKind = Literal["positional_only", "any", "keyword_only", "splat", "keyword_splat"]

# Of parameters that have a name at the call, and get one argument each.
_NAMED = ("positional_only", "any", "keyword_only")
_MAX_RETURNS = 200
_DEF = re.compile(rb"\bdef\s+(\w+)")
# With these the function is called as it is written.
_TRANSPARENT_DECORATORS = frozenset(
    "staticmethod classmethod abstractmethod contextmanager asynccontextmanager lru_cache cache "
    "override final deprecated".split()
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter."""

    name: str
    kind: ParameterKind
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives.

    `decorators` are names without arguments; `return_lengths` holds how many values each
    `return` gives as a tuple written out (1 for any other value), empty where unknown.
    """

    parameters: tuple[Parameter, ...]
    decorators: tuple[str, ...]
    return_lengths: frozenset[int]

    @property
    def is_called_as_written(self) -> bool:
        """Whether no decorator may change how it is called."""
        return _TRANSPARENT_DECORATORS.issuperset(self.decorators)

    def bound(self) -> Signature:
        """Without the first parameter, as a method is called on an object."""
        if "staticmethod" in self.decorators or not self.parameters:
            return self
        first = self.parameters[0]
        if first.kind not in ("any", "positional_only"):
            return self
        return Signature(self.parameters[1:], self.decorators, self.return_lengths)

    def mismatch(self, arguments: Arguments, known: Collection[str] = ()) -> str:
        """Why a call with `arguments` fails; empty if it works or may work.

        Args:
            arguments: What the call passes.
            known: Parameters that the caller knew of. Where one lacks an argument because a new one
                stands before it, the new one is named.
        """
        positional = [p for p in self.parameters if p.kind in ("positional_only", "any")]
        by_keyword = {p.name for p in self.parameters if p.kind in ("any", "keyword_only")}
        takes_any = any(p.kind == "splat" for p in self.parameters)
        takes_any_keyword = any(p.kind == "keyword_splat" for p in self.parameters)
        if arguments.n_positional > len(positional) and not takes_any:
            n_most = len(positional)
            return f"takes at most {n_most} positional argument{'s' * (n_most != 1)}"
        if not takes_any_keyword:
            for name in arguments.keywords:
                if name not in by_keyword:
                    return f"no longer takes '{name}'"
        filled = {p.name for p in positional[: arguments.n_positional]}
        for name in arguments.keywords:
            if name in filled and name in by_keyword:
                return f"gets '{name}' twice"
        if arguments.has_splat or arguments.has_keyword_splat:
            return ""
        filled |= set(arguments.keywords)
        needed = [p.name for p in self.parameters if p.kind in _NAMED and not p.has_default]
        missing = [name for name in needed if name not in filled]
        if not missing:
            return ""
        new = [name for name in needed if name not in known and name not in arguments.keywords]
        is_shifted = missing[0] in known and new
        return f"needs '{new[0] if is_shifted else missing[0]}'"


def signature_at(tree: Tree, source: bytes, extent: tuple[int, int]) -> Signature | None:
    """The signature of the function whose definition has this byte range; `None` if it is none."""
    node = tree.root_node.descendant_for_byte_range(extent[0], extent[1] - 1)
    decorators: list[str] = []
    if node is not None and node.type == "decorated_definition":
        node = node.child_by_field_name("definition")
    if node is None or node.type != "function_definition":
        return None
    outer = node.parent
    if outer is not None and outer.type == "decorated_definition":
        decorators = [
            _decorator_name(child, source)
            for child in outer.named_children
            if child.type == "decorator"
        ]
    parameters = node.child_by_field_name("parameters")
    if parameters is None or node.has_error:
        return None
    return Signature(_parameters(parameters, source), tuple(decorators), _return_lengths(node))


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a Python file: `owner` is the class around it, empty at the top level.

    `line` is the name's own, 1-based; `extent` the definition's byte range.
    """

    name: str
    owner: str
    line: int
    extent: tuple[int, int]

    @property
    def qualified(self) -> str:
        """The name with its class's."""
        return f"{self.owner}.{self.name}" if self.owner else self.name


def find_functions(tree: Tree, source: bytes) -> list[Function]:
    """Functions at the top level and in top-level classes, in source order.

    Found at the word `def`, which costs a small part of a walk through the tree.
    """
    found = []
    for match in _DEF.finditer(source):
        name = tree.root_node.descendant_for_byte_range(match.start(1), match.end(1))
        node = name.parent if name is not None else None
        if name is None or node is None or node.type != "function_definition":
            continue
        outer = node.parent
        if outer is not None and outer.type == "decorated_definition":
            outer = outer.parent
        owner = ""
        # Within a class the block lies between.
        klass = outer.parent if outer is not None and outer.type == "block" else None
        if klass is not None and klass.type == "class_definition":
            named = klass.child_by_field_name("name")
            owner = _text(named, source) if named is not None else ""
            outer = klass.parent
            if outer is not None and outer.type == "decorated_definition":
                outer = outer.parent
        if outer is None or outer.type != "module":
            continue
        extent = (node.start_byte, node.end_byte)
        found.append(Function(_text(name, source), owner, name.start_point[0] + 1, extent))
    return found


def _text(node: Node, source: bytes) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _decorator_name(node: Node, source: bytes) -> str:
    text = _text(node, source).lstrip("@ ").partition("(")[0]
    return text.strip().rpartition(".")[2]


def _parameters(node: Node, source: bytes) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    kind: ParameterKind = "any"
    for child in node.named_children:
        if child.type == "positional_separator":
            found = [Parameter(p.name, "positional_only", p.has_default) for p in found]
            continue
        if child.type == "keyword_separator":
            kind = "keyword_only"
            continue
        if child.type == "comment":
            continue
        inner = child
        if child.type == "typed_parameter" and child.named_children:
            inner = child.named_children[0]
        if inner.type == "list_splat_pattern":
            found.append(Parameter(_text(inner, source).lstrip("* "), "splat"))
            kind = "keyword_only"
        elif inner.type == "dictionary_splat_pattern":
            found.append(Parameter(_text(inner, source).lstrip("* "), "keyword_splat"))
        elif child.type in ("default_parameter", "typed_default_parameter"):
            name = child.child_by_field_name("name")
            found.append(Parameter(_text(name, source) if name else "", kind, has_default=True))
        else:
            found.append(Parameter(_text(inner, source), kind))
    return tuple(found)


def _return_lengths(function: Node) -> frozenset[int]:
    """How many values each `return` gives; empty for generators and where none is written out."""
    lengths: set[int] = set()
    body = function.child_by_field_name("body")
    stack = list(body.named_children) if body is not None else []
    n_seen = 0
    while stack:
        node = stack.pop()
        if node.type in ("function_definition", "class_definition", "lambda"):
            continue
        if node.type == "yield":
            return frozenset()
        if node.type == "return_statement":
            n_seen += 1
            lengths.add(_length(node))
            if n_seen > _MAX_RETURNS:
                return frozenset()
            continue
        stack.extend(node.named_children)
    return frozenset(lengths)


def _length(statement: Node) -> int:
    if not statement.named_children:
        return 1
    value = statement.named_children[0]
    if value.type not in ("expression_list", "tuple"):
        return 1
    if any(child.type == "list_splat" for child in value.named_children):
        return 1
    return value.named_child_count
