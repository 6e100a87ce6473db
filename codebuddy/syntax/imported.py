"""What a Python or JavaScript file imports: module, name, local name and place of each.

The index keeps imports as plain texts for ranking; judging whether an import still holds needs
to know which name comes from which module. It opens no file and resolves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codebuddy.syntax.traits import traits_of

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node, Tree

_STRING_QUOTES = "\"'`"
_MAX_ANCESTORS = 30
_WORDS = re.compile(rb"\b(?:import|export|require)\b")
_STATEMENTS = frozenset({"import_statement", "import_from_statement", "export_statement"})
_GUARDS = frozenset({"try_statement", "if_statement", "with_statement", "else_clause"})


@dataclass(frozen=True, slots=True)
class ImportedName:
    """One imported name.

    `module` is as written (`.a.b`, `x.y`, `./x`). `name` is empty where the module itself is
    imported and `*` for everything; `alias` is the local name, empty where there is none.
    `is_guarded` says that the import may fail by design (inside `try`, `if`, `with`).
    `line` and `column` are 1-based; the column counts code points.
    """

    module: str
    name: str
    alias: str
    line: int
    column: int
    is_guarded: bool = False


def is_same_family(one: str, other: str) -> bool:
    """Whether two languages are one, or import each other's files."""
    syntax = traits_of(one).import_syntax
    return one == other or (syntax != "" and syntax == traits_of(other).import_syntax)


def find_imported(tree: Tree, source: bytes, language: str) -> tuple[ImportedName, ...]:
    """Every imported name of the file, in source order; none for other languages."""
    syntax = traits_of(language).import_syntax
    if not syntax:
        return ()
    read = _python if syntax == "python" else _javascript
    found: list[ImportedName] = []
    seen: set[int] = set()
    for match in _WORDS.finditer(source):
        # Asking at the words costs as much as there are imports, walking as much as the file.
        word = tree.root_node.descendant_for_byte_range(match.start(), match.end())
        node = None if word is None or word.type == "comment" else word.parent
        if word is not None and word.type == "identifier" and node is not None:
            # `require` is called; the declaration is around the call.
            node = node.parent
        if node is None or node.id in seen:
            continue
        seen.add(node.id)
        if node.type in _STATEMENTS:
            found.extend(read(node, source, _is_guarded(node)))
        elif node.type == "variable_declarator" and syntax == "script":
            found.extend(_required(node, source, _is_guarded(node)))
    return tuple(found)


def _is_guarded(node: Node) -> bool:
    outer = node.parent
    for _ in range(_MAX_ANCESTORS):
        if outer is None:
            break
        if outer.type in _GUARDS:
            return True
        outer = outer.parent
    return False


def _text(node: Node | None, source: bytes) -> str:
    if node is None:
        return ""
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _place(node: Node, source: bytes) -> tuple[int, int]:
    row, byte_column = node.start_point
    start = node.start_byte - byte_column
    return row + 1, len(source[start : node.start_byte].decode("utf-8", "replace")) + 1


def _python(node: Node, source: bytes, is_guarded: bool) -> Iterator[ImportedName]:  # noqa: FBT001
    if node.type == "import_statement":
        for each in node.children_by_field_name("name"):
            module, alias = _aliased(each, source)
            # `import a.b` binds `a`, and `a.b` is how the module is then named.
            yield ImportedName(module, "", alias or module, *_place(each, source), is_guarded)
        return
    module = _text(node.child_by_field_name("module_name"), source)
    module = "".join(module.split())
    for each in node.children_by_field_name("name"):
        name, alias = _aliased(each, source)
        yield ImportedName(module, name, alias or name, *_place(each, source), is_guarded)
    if any(child.type == "wildcard_import" for child in node.named_children):
        yield ImportedName(module, "*", "", *_place(node, source), is_guarded)


def _aliased(node: Node, source: bytes) -> tuple[str, str]:
    if node.type == "aliased_import":
        name = _text(node.child_by_field_name("name"), source)
        return name, _text(node.child_by_field_name("alias"), source)
    return "".join(_text(node, source).split()), ""


def _javascript(node: Node, source: bytes, is_guarded: bool) -> Iterator[ImportedName]:  # noqa: FBT001
    origin = node.child_by_field_name("source")
    if origin is None:
        return
    module = _text(origin, source).strip(_STRING_QUOTES)
    n_found = 0
    for clause in node.named_children:
        parts = clause.named_children if clause.type == "import_clause" else [clause]
        for part in parts:
            if part.type == "identifier":
                n_found += 1
                place = _place(part, source)
                yield ImportedName(module, "default", _text(part, source), *place, is_guarded)
            elif part.type == "namespace_import":
                n_found += 1
                alias = _text(part.named_children[-1], source) if part.named_children else ""
                yield ImportedName(module, "", alias, *_place(part, source), is_guarded)
            elif part.type in ("named_imports", "export_clause"):
                for each in part.named_children:
                    name = _text(each.child_by_field_name("name"), source)
                    alias = _text(each.child_by_field_name("alias"), source) or name
                    if name:
                        n_found += 1
                        is_local = part.type == "named_imports"
                        # Not where a `type` before the name is.
                        place = _place(each.child_by_field_name("name") or each, source)
                        yield ImportedName(
                            module, name, alias if is_local else "", *place, is_guarded
                        )
    if not n_found:
        is_star = node.type == "export_statement"
        yield ImportedName(module, "*" if is_star else "", "", *_place(origin, source), is_guarded)


def _required(node: Node, source: bytes, is_guarded: bool) -> Iterator[ImportedName]:  # noqa: FBT001
    """`const {a, b: c} = require('./x')` and `const x = require('./x')`."""
    value = node.child_by_field_name("value")
    if value is None or value.type != "call_expression":
        return
    arguments = value.child_by_field_name("arguments")
    if _text(value.child_by_field_name("function"), source) != "require" or arguments is None:
        return
    if arguments.named_child_count != 1 or arguments.named_children[0].type != "string":
        return
    module = _text(arguments.named_children[0], source).strip(_STRING_QUOTES)
    target = node.child_by_field_name("name")
    if target is None:
        return
    if target.type == "identifier":
        place = _place(target, source)
        yield ImportedName(module, "", _text(target, source), *place, is_guarded)
    elif target.type == "object_pattern":
        for each in target.named_children:
            place = _place(each, source)
            if each.type == "shorthand_property_identifier_pattern":
                name = _text(each, source)
                yield ImportedName(module, name, name, *place, is_guarded)
            elif each.type == "pair_pattern":
                name = _text(each.child_by_field_name("key"), source)
                alias = _text(each.child_by_field_name("value"), source)
                yield ImportedName(module, name, alias, *place, is_guarded)
