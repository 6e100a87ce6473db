"""Grammars and parsing: the one home of tree-sitter.

A grammar is loaded when its language is first met and kept for the life of the process.
Parsing always has a deadline. It does not know what the nodes mean to codebuddy beyond the
tables compiled here from `rules`.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from codebuddy import platforms
from codebuddy.syntax.rules import LOADERS, SPECS, spec_of
from codebuddy.syntax.spec import LanguageSpec, Rule

if TYPE_CHECKING:
    from tree_sitter import Language
    from tree_sitter import Node as Node
    from tree_sitter import Tree as Tree

DEFAULT_BUDGET_MS = 2000
# Small, because the lexer looks at the clock only between reads: with 64 KB, 36,000 backticks
# take Scala's grammar 16 s. Parsing is as fast with 1 KB as with everything at once.
READ_BYTES = 4096
_BLANK = bytearray(b" ")
_NOTHING = bytearray()
_of_thread = threading.local()

_WORD = re.compile(r"[A-Za-z_]\w*")
# Named leaves that are literal words; the grammar hides how they are written, so both ways.
_LITERAL_KINDS = frozenset(
    [
        "true",
        "false",
        "none",
        "null",
        "nil",
        "self",
        "this",
        "super",
        "undefined",
        "iota",
        "boolean_literal",
        "null_literal",
    ]
)


class Path:
    """A compiled path of `spec`: from a node to the nodes that it leads to."""

    __slots__ = ("steps",)

    def __init__(self, path: str, language: Language) -> None:
        self.steps: list[tuple[str, int]] = []
        for step in path.split("/"):
            if step in (".", "*", "<-"):
                self.steps.append((step, 0))
            elif step.startswith("^"):
                self.steps.append(("^", _kind_id(language, step[1:])))
            elif step.startswith("'"):
                self.steps.append(("'", language.id_for_node_kind(step[1:-1], False) or -1))  # noqa: FBT003 (positional only)
            elif step.startswith("<"):
                self.steps.append(("<>", _kind_id(language, step[1:-1])))
            else:
                self.steps.append(("field", language.field_id_for_name(step) or 0))

    def nodes(self, node: Node) -> list[Node]:
        """Every node that the path leads to, in source order."""
        found = [node]
        for step, number in self.steps:
            if step == "field":
                found = [child for each in found for child in each.children_by_field_id(number)]
            elif step == "<>":
                found = [
                    child
                    for each in found
                    for child in each.named_children
                    if child.kind_id == number
                ]
            elif step == "*":
                found = [child for each in found for child in each.named_children]
            elif step == "^":
                firsts = [each.named_child(0) for each in found if each.named_child_count]
                found = [child for child in firsts if child and child.kind_id == number]
            elif step == "'":
                found = [
                    child for each in found for child in each.children if child.kind_id == number
                ]
            elif step == "<-":
                befores = [each.prev_named_sibling for each in found]
                found = [before for before in befores if before]
            if not found:
                break
        return found

    def first(self, node: Node) -> Node | None:
        """The first node that the path leads to."""
        if len(self.steps) == 1 and self.steps[0][0] == "field":
            return node.child_by_field_id(self.steps[0][1])
        found = self.nodes(node)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its paths compiled for one grammar."""

    rule: Rule
    name: tuple[Path, ...]
    module: tuple[Path, ...]
    body: tuple[Path, ...]
    when: tuple[Path, frozenset[bytes]] | None
    is_negated: bool
    is_needed_absent: bool
    kinds: tuple[Path, dict[int, str]] | None
    needs: Path | None
    qualifier: Path | None
    continues: int


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language's grammar and, by node type, what its nodes mean."""

    name: str
    language: Language
    spec: LanguageSpec
    actions: dict[int, tuple[CompiledRule, ...]]
    binds: dict[int, tuple[CompiledRule, ...]]
    identifiers: frozenset[int]
    comments: frozenset[int]
    strings: frozenset[int]
    blocks: frozenset[int]
    attached: frozenset[int]
    skipped_in_patterns: frozenset[int]
    definitions: frozenset[int]
    continuations: frozenset[int]
    pure_imports: frozenset[int]
    name_fields: tuple[int, ...]
    declarators: frozenset[int]
    declarator_field: int


def line_comment(language: str) -> str:
    """What begins a comment that ends with the line; `#` where none is known."""
    return spec_of(language).line_comment or "#"


@cache
def grammar_for(language: str) -> Grammar | None:
    """The grammar of `language`; `None` if there is none."""
    spec = SPECS.get(language)
    if spec is None:
        return None
    loaded = _load(language)
    actions: dict[int, list[CompiledRule]] = {}
    bindings: dict[int, list[CompiledRule]] = {}
    for rule in spec.rules:
        compiled = _compile(rule, loaded)
        for number in _kind_ids(loaded, frozenset({rule.node})):
            if rule.role != "bind":
                actions.setdefault(number, []).append(compiled)
            if rule.role != "refer":
                bindings.setdefault(number, []).append(compiled)
    names = {
        loaded.node_kind_for_id(number) or ""
        for number in range(loaded.node_kind_count)
        if loaded.node_kind_is_named(number)
    }
    identifiers = spec.identifiers | {name for name in names if name.endswith("identifier")}
    return Grammar(
        name=language,
        language=loaded,
        spec=spec,
        actions={number: tuple(rules) for number, rules in actions.items()},
        binds={number: tuple(rules) for number, rules in bindings.items()},
        identifiers=_kind_ids(loaded, identifiers),
        comments=_kind_ids(loaded, spec.comments),
        strings=_kind_ids(loaded, spec.strings),
        blocks=_kind_ids(loaded, spec.blocks),
        attached=_kind_ids(loaded, spec.attached),
        skipped_in_patterns=_kind_ids(loaded, spec.skipped_in_patterns),
        definitions=_kind_ids(
            loaded, frozenset(rule.node for rule in spec.rules if rule.role == "define")
        ),
        pure_imports=frozenset(
            number
            for number, rules in actions.items()
            if all(rule.rule.role == "import" for rule in rules)
        ),
        continuations=_kind_ids(
            loaded, frozenset(rule.continues for rule in spec.rules if rule.continues)
        ),
        name_fields=tuple(
            number
            for number in (loaded.field_id_for_name(name) for name in spec.name_fields)
            if number
        ),
        declarators=_kind_ids(loaded, {name for name in names if name.endswith("_declarator")}),
        declarator_field=loaded.field_id_for_name("declarator") or 0,
    )


def parse(
    source: bytes,
    language: str,
    budget_ms: int = DEFAULT_BUDGET_MS,
    old_tree: Tree | None = None,
) -> Tree | None:
    """The syntax tree of `source`, or `None` if there is no grammar or no time left.

    `old_tree`, with the edits since applied, spares parsing what did not change.
    The tree covers broken code too. Two callbacks keep the deadline: between steps of the
    parser, and wherever its lexer asks for text, which it does for every character that it
    skips (64,000 bytes that are no UTF-8 take Lua's grammar over 10 s otherwise). What
    neither reaches must not come here: see `limits`.
    """
    grammar = grammar_for(language)
    if grammar is None:
        return None
    from tree_sitter import Parser

    deadline = time.monotonic() + budget_ms / 1000
    is_expired = False

    chunk = _chunk()

    def expire() -> None:
        nonlocal deadline
        deadline = 0.0

    def read(offset: int, _point: object) -> bytearray:
        nonlocal is_expired
        if not is_expired and time.monotonic() <= deadline:
            chunk[:] = source[offset : offset + READ_BYTES]
            return chunk
        # To the parser the text ends here; its tree is thrown away. A lexer that asks again
        # for a character that it could not decode reads through a null pointer if it gets
        # nothing, so the first answer for a byte outside ASCII is a blank.
        is_first, is_expired = not is_expired, True
        if is_first and offset < len(source) and source[offset] >= 0x80:
            return _BLANK
        return _NOTHING

    def is_late(_offset: int, _has_error: object) -> bool:
        return is_expired or time.monotonic() > deadline

    parser = Parser(grammar.language)
    # What a callback raises, the parser loses, or makes an error of the interpreter.
    with platforms.interrupts_held(expire) as interrupts:
        try:
            if old_tree is None:
                tree = parser.parse(read, progress_callback=is_late)
            else:
                tree = parser.parse(read, old_tree, progress_callback=is_late)
        except ValueError:
            # What tree-sitter raises when the callback stops it; the parser is dropped then.
            tree = None
    if interrupts.was_interrupted:
        raise KeyboardInterrupt
    return None if is_expired else tree


def _chunk() -> bytearray:
    """This thread's buffer for what the parser reads.

    py-tree-sitter 0.26.1 never gives back what its read callback returns: new objects would
    cost a process that parses on every keystroke the whole source each time. It asks for the
    next chunk when it is done with the last one, so one buffer serves them all.
    """
    buffer: bytearray | None = getattr(_of_thread, "chunk", None)
    if buffer is None:
        buffer = _of_thread.chunk = bytearray(READ_BYTES)
    return buffer


@cache
def keywords(language: str) -> frozenset[str]:
    """The words that `language` reserves, from its grammar's own tokens."""
    grammar = grammar_for(language)
    if grammar is None:
        return frozenset()
    found = set()
    for number in range(grammar.language.node_kind_count):
        if not grammar.language.node_kind_is_visible(number):
            continue
        kind = grammar.language.node_kind_for_id(number) or ""
        if grammar.language.node_kind_is_named(number):
            if kind in _LITERAL_KINDS:
                word = kind.removesuffix("_literal")
                found |= {word, word.capitalize()}
                if word == "boolean":
                    found |= {"true", "false"}
            elif (prefix := grammar.spec.keyword_prefix) and kind.startswith(prefix):
                # Such words are written either way.
                word = kind.removeprefix(prefix)
                found |= {word, word.upper()}
        elif _WORD.fullmatch(kind):
            found.add(kind)
    return frozenset(found)


def _load(language: str) -> Language:
    from tree_sitter import Language

    package, function = LOADERS.get(language, (f"tree_sitter_{language}", "language"))
    pointer: Any = getattr(import_module(package), function)()
    if isinstance(pointer, int):
        # Older wheels hand out a bare address, which tree-sitter deprecates.
        import ctypes

        new_capsule = ctypes.pythonapi.PyCapsule_New
        new_capsule.restype = ctypes.py_object
        new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        pointer = new_capsule(pointer, b"tree_sitter.Language", None)
    return Language(pointer)


def _compile(rule: Rule, language: Language) -> CompiledRule:
    def path(text: str) -> Path:
        return Path(text, language)

    return CompiledRule(
        rule=rule,
        name=tuple(map(path, rule.name)),
        module=tuple(map(path, rule.module)),
        body=tuple(map(path, rule.body)),
        when=rule.when and (path(rule.when[0]), frozenset(w.encode() for w in rule.when[1])),
        is_negated=rule.when is not None and "!" in rule.when[1],
        kinds=rule.kinds
        and (
            path(rule.kinds[0]),
            {_kind_id(language, node): kind for node, kind in rule.kinds[1].items()},
        ),
        needs=path(rule.needs.removeprefix("!")) if rule.needs else None,
        is_needed_absent=rule.needs.startswith("!"),
        qualifier=path(rule.qualifier) if rule.qualifier else None,
        continues=_kind_id(language, rule.continues) if rule.continues else -1,
    )


def _kind_id(language: Language, kind: str) -> int:
    return language.id_for_node_kind(kind, True) or -1  # noqa: FBT003 (positional only)


def _kind_ids(language: Language, kinds: set[str] | frozenset[str]) -> frozenset[int]:
    return frozenset(
        number
        for number in range(language.node_kind_count)
        if language.node_kind_is_named(number) and language.node_kind_for_id(number) in kinds
    )
