"""Samples of every language with what is expected of them, and hostile inputs.

`python -m tests.support.syntax tree LANGUAGE` prints the syntax tree of a language's sample,
`... syntax found LANGUAGE` what is found in it, as it stands in `samples/*.expected`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from codebuddy.index.analysis import FileAnalysis, analyze
from codebuddy.syntax import parse
from codebuddy.syntax.languages import extensions, languages

SAMPLES = Path(__file__).parents[1] / "syntax" / "samples"


def sample(language: str) -> tuple[str, bytes]:
    """A file name of the language and its sample's bytes."""
    name = "sample." + extensions(language)[0]
    return name, (SAMPLES / f"{language}.txt").read_bytes()


def described(analysis: FileAnalysis) -> str:
    """Definitions, references and imports as the lines of `samples/*.expected`."""
    lines = [
        f"define {each.line}-{each.end_line} {each.kind} {each.qualified} | {each.signature}"
        + (f" | {each.doc}" if each.doc else "")
        for each in analysis.definitions
    ]
    lines += [f"refer {each.line} {each.kind} {each.name}" for each in analysis.references]
    lines += [f"import {each}" for each in analysis.imports]
    return "\n".join(lines) + "\n"


def uncovered(source: bytes, analysis: FileAnalysis) -> str:
    """What is wrong with the chunks as a partition of the source; empty if nothing."""
    position, line = 0, 1
    for chunk in analysis.chunks:
        if chunk.start_byte != position:
            return f"a chunk begins at {chunk.start_byte}, not at {position}"
        if chunk.end_byte <= chunk.start_byte:
            return f"the chunk at {position} is empty"
        if chunk.start_line != line:
            return f"the chunk at {position} says line {chunk.start_line}, not {line}"
        line += source.count(b"\n", chunk.start_byte, chunk.end_byte)
        ends_line = source[chunk.end_byte - 1 : chunk.end_byte] == b"\n"
        if chunk.end_line != max(chunk.start_line, line - ends_line):
            return f"the chunk at {position} ends in line {chunk.end_line}, not {line - ends_line}"
        position = chunk.end_byte
    return "" if position == len(source) else f"{len(source) - position} bytes are in no chunk"


def mutated(language: str, seed: int) -> tuple[str, bytes]:
    """A sample damaged at random, the same for the same seed."""
    chance = random.Random(f"{language} {seed}")
    name, source = sample(language)
    text = bytearray(source)
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((1, 2, 5, 30, 200)))
        piece = bytes(text[start:end])
        action = chance.randrange(7)
        if action == 0:
            del text[start:end]
        elif action == 1:
            text[start:start] = piece * chance.choice((2, 10, 300))
        elif action == 2:
            text[start:start] = chance.randbytes(chance.choice((1, 4, 50)))
        elif action == 3:
            text[start:start] = chance.choice(_TOKENS) * chance.choice((1, 3, 50, 2000))
        elif action == 4:
            del text[start:]
        elif action == 5:
            other = sample(chance.choice(languages()))[1]
            text[start:end] = other[: chance.randrange(len(other))]
        else:
            text[start:end] = piece[::-1]
    return name, bytes(text)


_TOKENS = [
    token.encode()
    for token in "( ) [ ] { } < > \" ' ` ; : , . # // /* */ -- \\ \n \r\n \t $ ${ @ = => -> | & *"
    " ! ? if else end do begin def class function fn let import return \0 é 漢 \ufeff".split(" ")
]


def analysed(language: str, source: bytes) -> FileAnalysis:
    """The analysis of bytes as a file of the language."""
    return analyze("sample." + extensions(language)[0], source)


def tree_lines(language: str, source: bytes) -> list[str]:
    """A line for each named node: its line, its field and type, and the text of a leaf."""
    tree = parse(source, language)
    assert tree is not None, f"no grammar for {language}"
    lines: list[str] = []
    stack = [(tree.root_node, "", 0)]
    while stack:
        node, field, depth = stack.pop()
        text = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
        leaf = "" if node.named_child_count else f" {text[:60]!r}"
        label = f"{field}: {node.type}" if field else node.type
        lines.append(f"{node.start_point[0] + 1:4} {'  ' * depth}{label}{leaf}")
        for number in reversed(range(node.child_count)):
            child = node.child(number)
            if child is not None and child.is_named:
                stack.append((child, node.field_name_for_child(number) or "", depth + 1))
    return lines


if __name__ == "__main__":
    what, named = sys.argv[1:]
    path, content = sample(named)
    if what == "tree":
        print("\n".join(tree_lines(named, content)))
    else:
        print(described(analyze(path, content)), end="")
