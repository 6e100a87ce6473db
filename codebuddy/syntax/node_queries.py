"""Queries on syntax nodes: last name, all names, declared name.

All of them are iterative and bounded, so that no tree can make them slow. They know the
tables of a grammar, not what the answers are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codebuddy.syntax.grammar import CompiledRule, Grammar, Node, Path

# Longer texts are no keyword.
MAX_CONDITION_BYTES = 100
# No real declarator or callee is deeper; a hostile one gets no name.
_MAX_STEPS = 32
# No real pattern binds more; a hostile one is cut.
_MAX_NAMES = 1000


def resolve(node: Node, paths: tuple[Path, ...]) -> list[Node]:
    """The nodes of the first alternative that leads somewhere."""
    for path in paths:
        found = path.nodes(node)
        if found:
            return found
    return []


def holds(rule: CompiledRule, node: Node, source: bytes) -> bool:
    """Whether the rule's conditions are met at `node`."""
    if rule.needs is not None and (rule.needs.first(node) is None) != rule.is_needed_absent:
        return False
    if rule.when is not None:
        found = rule.when[0].first(node)
        if found is None or found.end_byte - found.start_byte > MAX_CONDITION_BYTES:
            return rule.is_negated
        return (source[found.start_byte : found.end_byte] in rule.when[1]) != rule.is_negated
    return True


def declared(node: Node, grammar: Grammar) -> Node:
    """The node of the name inside C's nested declarators; `node` itself elsewhere."""
    for _ in range(_MAX_STEPS):
        if node.kind_id not in grammar.declarators:
            break
        inner = node.child_by_field_id(grammar.declarator_field)
        if inner is None:
            children = node.named_children
            if not children:
                break
            inner = children[-1]
        node = inner
    return node


def last_name(node: Node, grammar: Grammar) -> Node | None:
    """The identifier that an expression or type ends in: `c` of `a.b().c`, `T` of `*pkg.T`."""
    for _ in range(_MAX_STEPS):
        if node.child_count == 0:
            return node if node.kind_id in grammar.identifiers else None
        if node.kind_id in grammar.blocks or node.kind_id in grammar.strings:
            return None
        for number in grammar.name_fields:
            inner = node.child_by_field_id(number)
            if inner is not None:
                break
        else:
            children = node.named_children
            if not children:
                return node if node.kind_id in grammar.identifiers else None
            inner = children[-1]
        node = inner
    return None


def names_below(node: Node, grammar: Grammar) -> Iterator[Node]:
    """Every identifier under `node` that a pattern binds, in source order."""
    stack, count = [node], 0
    while stack and count < _MAX_NAMES:
        each = stack.pop()
        if each is not node and each.kind_id in grammar.skipped_in_patterns:
            continue
        if each.kind_id in grammar.identifiers:
            count += 1
            yield each
        else:
            stack += reversed(each.named_children)


def header(node: Node, rule: CompiledRule, source: bytes, grammar: Grammar, limit: int) -> str:
    """A definition's header up to its body, else its first line, on one line of text.

    Decorators before it and comments at its end are no part of it.
    """
    start, end = node.start_byte, node.end_byte
    for path in rule.body:
        body = path.first(node)
        if body is not None and body.start_byte > start:
            end = body.start_byte
            break
    else:
        newline = source.find(b"\n", start + 1, end)
        end = end if newline < 0 else newline
    is_before = True
    for child in node.named_children:
        child_start = child.start_byte
        if child_start >= end:
            break
        if is_before and child.kind_id in grammar.attached:
            start = child.end_byte
            continue
        is_before = False
        if child.kind_id in grammar.comments:
            end = child_start
            break
    end = min(end, start + 4 * limit)
    text = " ".join(source[start:end].decode("utf-8", "replace").split())
    return text.rstrip("{=; ")[:limit]
