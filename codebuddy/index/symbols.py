"""A syntax tree's definitions, references and imports, in one iterative walk.

It knows nothing of files, chunks or storage. What a node means comes from the language's
rules (`codebuddy.syntax.rules`).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from codebuddy.syntax.documentation import comment_above, first_line_of_literal
from codebuddy.syntax.limits import OutOfTimeError
from codebuddy.syntax.node_queries import declared, header, holds, last_name, names_below, resolve
from codebuddy.syntax.spec import CLASS_KINDS, FUNCTION_KINDS

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import CompiledRule, Grammar, Node, Path, Tree

MAX_SIGNATURE_CHARACTERS = 300
MAX_NAME_BYTES = 200

_PLAIN_NAME = re.compile(rb"[\w$?!'@-]+")
_DOTTED_NAME = re.compile(r"[\w$]+(?:(?:::|\.|:|\\)~?[\w$?!=]+)+")
_SEPARATORS = re.compile(r"::|\.|:|\\")
_IMPORT_WORDS = re.compile(r"^(?:import|use|using|open|include|require|static)\s+")
_LAST_PART = re.compile(r"(?<![\w$-])[\w$-]+$")
_LAST_SEGMENT = re.compile(r"::|\.|\\")
_ANGLE_BRACKETS = re.compile(r"<[^<>]*>")
_FILE_ENDING = re.compile(r"(?<=\w)\.(?:h|hpp|hh|js|mjs|ts|dart|css|sh|rb|pl|php|mk)$")
_QUOTES = "\"'`<>"
_SELF_WORDS = frozenset({"this", "self", "module", "exports"})


@dataclass(frozen=True, slots=True)
class FoundDefinition:
    """A definition of a file.

    `line` is the name's own line, `end_line` the last line of the whole; both 1-based.
    `start_byte` is where the name begins, `extent` the byte range of the whole definition.
    `signature` is the header up to the body on one line, `doc` the documentation's first line.
    """

    name: str
    qualified: str
    kind: str
    line: int
    end_line: int
    signature: str
    doc: str
    start_byte: int
    extent: tuple[int, int]


@dataclass(frozen=True, slots=True)
class FoundReference:
    """A use of a name: `kind` is `call`, `import`, `type` or `name`; `line` is 1-based."""

    name: str
    kind: str
    line: int


@dataclass(frozen=True, slots=True)
class Symbols:
    """What a walk found, each in source order and without repetitions on a line."""

    definitions: tuple[FoundDefinition, ...]
    references: tuple[FoundReference, ...]
    imports: tuple[str, ...]


@dataclass(slots=True)
class _Scope:
    start_byte: int
    end_byte: int
    qualified: str
    kind: str


@dataclass(slots=True)
class _Walk:
    """The state of one walk."""

    source: bytes
    grammar: Grammar
    scopes: list[_Scope] = field(default_factory=list)
    definitions: list[FoundDefinition] = field(default_factory=list)
    references: dict[FoundReference, None] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)
    defined_at: set[int] = field(default_factory=set)

    def text(self, node: Node) -> str:
        """The node's text, cut at the length of the longest sensible name."""
        start = node.start_byte
        end = min(node.end_byte, start + MAX_NAME_BYTES)
        return self.source[start:end].decode("utf-8", "replace")


def find_symbols(
    tree: Tree, source: bytes, grammar: Grammar, deadline: float = float("inf")
) -> Symbols:
    """Definitions, references and imports of a tree.

    Args:
        tree: The tree of `source`.
        source: The bytes that were parsed.
        grammar: The language's grammar.
        deadline: When to give up, on the clock of `time.monotonic`.

    Raises:
        OutOfTimeError: The deadline came first.
    """
    walk = _Walk(source, grammar)
    actions = grammar.actions
    stack = [tree.root_node]
    count = 0
    while stack:
        node = stack.pop()
        count += 1
        if not count & 0x7FF and time.monotonic() > deadline:
            raise OutOfTimeError
        rules = actions.get(node.kind_id)
        if rules is not None:
            _apply(walk, node, rules)
        children = node.named_children
        if children:
            children.reverse()
            stack += children
    return Symbols(tuple(walk.definitions), tuple(walk.references), tuple(walk.imports))


def _apply(walk: _Walk, node: Node, rules: tuple[CompiledRule, ...]) -> None:
    """Do what the rules say of `node`; of several definitions the first holds."""
    is_defined = False
    for rule in rules:
        role = rule.rule.role
        if role == "define":
            if not is_defined and holds(rule, node, walk.source):
                is_defined = _define(walk, node, rule)
        elif holds(rule, node, walk.source):
            if role == "refer":
                _refer(walk, node, rule)
            else:
                _import(walk, node, rule)


def _define(walk: _Walk, node: Node, compiled: CompiledRule) -> bool:
    """Record the definition; whether there was one."""
    rule, start, end = compiled.rule, node.start_byte, node.end_byte
    scopes = walk.scopes
    while scopes and scopes[-1].end_byte <= start:
        scopes.pop()
    if 0 <= rule.max_depth < len(scopes):
        return False
    if rule.outside_functions and any(scope.kind in FUNCTION_KINDS for scope in scopes):
        return False
    found = [each for each in resolve(node, compiled.name) if each.is_named or not rule.is_joined]
    if rule.many:
        names = [name for each in found for name in _pattern_names(walk, each)]
    else:
        names = [declared(each, walk.grammar) for each in found[: None if rule.is_joined else 1]]
    if not names:
        return False
    if compiled.continues >= 0:
        end = _end_with_sibling(node, compiled.continues)
    kind = _kind(walk, node, compiled)
    outer = scopes[-1].qualified if scopes else ""
    if compiled.qualifier is not None:
        receiver = compiled.qualifier.first(node)
        receiver = last_name(receiver, walk.grammar) if receiver is not None else None
        outer = walk.text(receiver) if receiver is not None else outer
    signature = header(node, compiled, walk.source, walk.grammar, MAX_SIGNATURE_CHARACTERS)
    if signature.startswith("{"):
        # Members that are names alone stand in a body: `enum E { A, B }`.
        signature = ""
    doc = _doc(walk, node, compiled)
    qualified = ""
    joined = ".".join(_split(walk, each)[1] for each in names) if rule.is_joined else ""
    for name_node in names[-1:] if rule.is_joined else names:
        if name_node.end_byte - name_node.start_byte > MAX_NAME_BYTES:
            continue
        name, own = _split(walk, name_node)
        own = joined or own
        if not name:
            continue
        qualified = f"{outer}.{own}" if outer else own
        walk.defined_at.add(name_node.start_byte)
        if _continues_equations(walk, qualified, kind, end):
            continue
        walk.definitions.append(
            FoundDefinition(
                name=name,
                qualified=qualified,
                kind=kind,
                line=name_node.start_point[0] + 1,
                end_line=_end_line(walk.source, node, end),
                signature=signature or name,
                doc=doc,
                start_byte=name_node.start_byte,
                extent=(start, end),
            )
        )
    if rule.is_container and qualified:
        scopes.append(_Scope(start, end, qualified, kind))
    return bool(qualified)


def _pattern_names(walk: _Walk, node: Node) -> list[Node]:
    """The names that a pattern or declarator binds; none for `a.b = 1` or `a[0] = 1`."""
    grammar = walk.grammar
    inner = declared(node, grammar)
    if inner.child_count and inner.kind_id in grammar.skipped_in_patterns:
        return []
    return list(names_below(inner, grammar))


def _kind(walk: _Walk, node: Node, compiled: CompiledRule) -> str:
    kind = compiled.rule.kind
    if compiled.kinds is not None:
        path, by_type = compiled.kinds
        for found in path.nodes(node):
            inner = found
            for _ in range(8):
                turned = by_type.get(inner.kind_id)
                deeper = inner.child_by_field_id(walk.grammar.declarator_field)
                if turned is not None and not _is_function_pointer(deeper):
                    kind = turned
                    break
                if deeper is None:
                    break
                inner = deeper
    if walk.scopes and walk.scopes[-1].kind in CLASS_KINDS:
        kind = {"function": "method", "variable": "field", "prototype": "method"}.get(kind, kind)
    return kind


def _is_function_pointer(inner: Node | None) -> bool:
    """Whether a function declarator's own declarator is `(*name)`: a variable, no prototype."""
    return inner is not None and inner.type == "parenthesized_declarator"


def _split(walk: _Walk, node: Node) -> tuple[str, str]:
    """The last name and the dotted whole of a name node: (`c`, `A.b.c`) of `A::b::c`."""
    raw = walk.source[node.start_byte : node.end_byte]
    text = raw.decode("utf-8", "replace").strip(":")
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1]
    if _PLAIN_NAME.fullmatch(raw) or not text:
        return text, text
    bare = _ANGLE_BRACKETS.sub("", text)
    if _PLAIN_NAME.fullmatch(bare.encode()):
        return bare, bare
    if _DOTTED_NAME.fullmatch(bare):
        parts = [part for part in _SEPARATORS.split(bare) if part]
        while len(parts) > 1 and parts[0] in _SELF_WORDS:
            del parts[0]
        return parts[-1], ".".join(parts)
    text = " ".join(text.split())
    return text, text


def _doc(walk: _Walk, node: Node, compiled: CompiledRule) -> str:
    if not compiled.rule.is_container:
        return ""
    if walk.grammar.spec.docstring:
        body = compiled.body[0].first(node)
        first = body.named_child(0) if body is not None and body.named_child_count else None
        if first is not None and first.type == "expression_statement":
            first = first.named_child(0) if first.named_child_count == 1 else None
        if first is None or first.kind_id not in walk.grammar.strings:
            return ""
        return first_line_of_literal(walk.source[first.start_byte : first.end_byte][:2000])
    start = node.start_byte
    line_start = walk.source.rfind(b"\n", max(0, start - 1000), start) + 1
    if walk.scopes and walk.scopes[-1].start_byte >= line_start:
        # The comment above the line belongs to the definition around this one.
        return ""
    return comment_above(walk.source, start, walk.grammar.spec.line_comment)


def _end_line(source: bytes, node: Node, end: int) -> int:
    row, column = node.end_point
    if end > node.end_byte:
        return int(row) + 1 + source.count(b"\n", node.end_byte, end)
    # Some grammars count the line break into the node.
    return int(row) if column == 0 and row > node.start_point[0] else int(row) + 1


def _end_with_sibling(node: Node, kind_id: int) -> int:
    """The end of the sibling that belongs to `node` (a body apart from its header), or its own."""
    sibling = node.next_named_sibling
    if sibling is None and node.parent is not None:
        sibling = node.parent.next_named_sibling
    if sibling is not None and sibling.kind_id == kind_id:
        return int(sibling.end_byte)
    return int(node.end_byte)


def _continues_equations(walk: _Walk, qualified: str, kind: str, end: int) -> bool:
    """Let the last definition reach to `end` if this is another equation of the same name."""
    last = walk.definitions[-1] if walk.definitions else None
    if (
        not walk.grammar.spec.merges_equations
        or last is None
        or last.qualified != qualified
        or last.kind not in (kind, "signature")
    ):
        return False
    walk.definitions[-1] = replace(
        last,
        kind=kind,
        end_line=last.end_line + walk.source.count(b"\n", last.extent[1], end),
        extent=(last.extent[0], end),
    )
    return True


def _refer(walk: _Walk, node: Node, compiled: CompiledRule) -> None:
    for found in resolve(node, compiled.name):
        names = names_below(found, walk.grammar) if compiled.rule.many else ()
        last = last_name(found, walk.grammar) if not compiled.rule.many else None
        for name in (last,) if last is not None else names:
            if name.start_byte not in walk.defined_at:
                text = _LAST_SEGMENT.split(walk.text(name).lstrip("@:"))[-1]
                reference = FoundReference(text, compiled.rule.kind, name.start_point[0] + 1)
                walk.references[reference] = None
        if not compiled.rule.many:
            break


def _import(walk: _Walk, node: Node, compiled: CompiledRule) -> None:
    line = node.start_point[0] + 1
    modules = _all(node, compiled.module)
    for module in sorted(modules, key=lambda each: each.start_byte):
        text = _IMPORT_WORDS.sub("", walk.text(module)).strip(_QUOTES + " \n\r\t;()")
        if not text or "\n" in text:
            continue
        walk.imports[text] = None
        last = _LAST_PART.search(_FILE_ENDING.sub("", text).rstrip("./*"))
        if last:
            walk.references[FoundReference(last[0], "import", line)] = None
    for each in _all(node, compiled.name):
        last_node = last_name(each, walk.grammar)
        name = walk.text(last_node) if last_node is not None else "_"
        if last_node is not None and name != "_":
            walk.references[FoundReference(name, "import", last_node.start_point[0] + 1)] = None


def _all(node: Node, paths: tuple[Path, ...]) -> list[Node]:
    """What every one of the paths leads to: an import has several forms at once."""
    return [found for path in paths for found in path.nodes(node)]
