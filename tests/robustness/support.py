"""Places in sample files, and what is left of code without what a change may touch."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from codebuddy.evaluation.sites import find_sites
from codebuddy.robustness.place import Place
from codebuddy.syntax.scope import open_tree

SAMPLES = Path(__file__).parents[1] / "syntax" / "samples"


@cache
def places(source: str, language: str, count: int = 6) -> tuple[Place, ...]:
    """Holes of lines and bodies in a source, as the evaluation cuts them."""
    code = source.encode()
    sites = find_sites(code, language)
    assert sites is not None
    rng = random.Random(language)
    lines = sorted(sites.lines, key=lambda each: each.end_byte)
    blocks = sorted(sites.blocks, key=lambda each: each.start_byte)
    found = []
    for line in rng.sample(lines, min(count, len(lines))):
        start = rng.choice(line.token_bytes)
        if line.end_byte - start > 2:
            found.append(Place(code, language, start, line.end_byte))
    found += [
        Place(code, language, each.start_byte, each.end_byte)
        for each in rng.sample(blocks, min(count // 2, len(blocks)))
    ]
    return tuple(found)


@cache
def sample(language: str) -> str:
    """A file of the language with all kinds of its syntax."""
    return (SAMPLES / f"{language}.txt").read_text(encoding="utf-8")


def tokens(source: bytes, language: str) -> list[str]:
    """The leaf tokens of code, without comments and docstrings, by kind of what is in strings."""
    opened = open_tree(source, language)
    assert opened is not None
    tree, grammar = opened
    found = []
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        if node.kind_id in grammar.comments:
            continue
        if grammar.spec.docstring and node.type == "expression_statement":
            inner = node.named_child(0)
            if node.named_child_count == 1 and inner and inner.kind_id in grammar.strings:
                continue
        if not node.child_count:
            text = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
            if text.strip():
                found.append(text)
        stack += reversed(node.children)
    return found
