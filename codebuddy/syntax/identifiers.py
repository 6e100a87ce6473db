"""Identifiers in a part of a file, by syntax: words in strings and comments do not count.

It knows nothing of cursors or lines.
"""

from __future__ import annotations

from codebuddy.syntax.scope import identifiers, open_tree


def names_between(source: bytes, language: str, start: int, end: int) -> list[tuple[str, int]]:
    """(name, byte) of each identifier that begins in `start`..`end`, in their order.

    Comments and the text of strings hold none. Where the syntax cannot be known, every word
    counts.
    """
    opened = open_tree(source, language)
    if opened is None:
        return _words(source, start, end)
    tree, grammar = opened
    found: list[tuple[str, int]] = []
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        if node.end_byte <= start or node.start_byte >= end or node.kind_id in grammar.comments:
            continue
        if node.kind_id in grammar.identifiers and not node.named_child_count:
            if start <= node.start_byte:
                text = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
                found.append((text, node.start_byte))
            continue
        stack += reversed(node.named_children)
    return found


def _words(source: bytes, start: int, end: int) -> list[tuple[str, int]]:
    text = source[start:end].decode("utf-8", "replace")
    found, place = [], 0
    for name in identifiers(text):
        place = text.index(name, place)
        found.append((name, start + len(text[:place].encode("utf-8", "replace"))))
        place += len(name)
    return found
