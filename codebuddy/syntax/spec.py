"""The vocabulary in which a language's syntax is described: rules over node types.

A rule says what a node of one type means: it defines a name, refers to one, imports, or
binds local names. How to get from the node to the name is a *path*: steps joined by `/`,
each a field's name, `<type>` (children of that type), `^type` (the first named child, if it
is of that type), `'word'` (children that are that token), `*` (all named children) or `<-`
(the sibling before); `.` is the node itself. Alternatives stand in a tuple, the first that
leads somewhere wins. It knows neither grammars nor tree-sitter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["define", "refer", "import", "bind"]
Hazard = Literal["indentation", "signs"]

# Definitions of these kinds hold members: a function inside one is a method.
CLASS_KINDS = frozenset(
    [
        "class",
        "interface",
        "struct",
        "enum",
        "trait",
        "impl",
        "object",
        "record",
        "union",
        "protocol",
        "extension",
    ]
)
# Definitions of these kinds have local variables, which are not definitions of the file.
FUNCTION_KINDS = frozenset(["function", "method", "constructor", "test", "macro"])
# Kinds that name a value or a place in data rather than a piece of code.
VALUE_KINDS = frozenset(["variable", "field", "constant", "property", "prototype", "key"])


@dataclass(frozen=True, slots=True)
class Rule:
    """What a node of type `node` means.

    Attributes:
        role: What kind of meaning.
        node: The node's type in the grammar.
        kind: The definition's kind, or the reference's (`call`, `type`, `name`).
        name: Paths to the name or names; for imports, to the imported names.
        module: For imports, paths to the module path.
        body: For definitions, paths to the body; the header ends where it begins.
        outside_functions: Whether it counts only where no function is around.
        many: Whether every identifier under `name` is meant, not the last one alone.
        when: A path and the texts, one of which must stand there, for the rule to hold;
            with `!` among them, none may.
        kinds: A path and what the type of the node there turns `kind` into.
        is_container: Whether the name qualifies what lies inside.
        needs: A path that must lead somewhere for the rule to hold; with `!` before it, nowhere.
        qualifier: A path to a type that qualifies the name (a receiver).
        max_depth: How many definitions may be around it; -1 is any number.
        is_joined: Whether all names together, joined by dots, are the name (labels).
        continues: The type of a following sibling that belongs to the definition (a body).
    """

    role: Role
    node: str
    kind: str = ""
    name: tuple[str, ...] = ("name",)
    module: tuple[str, ...] = ()
    body: tuple[str, ...] = ("body",)
    outside_functions: bool = False
    many: bool = False
    when: tuple[str, frozenset[str]] | None = None
    kinds: tuple[str, dict[str, str]] | None = None
    is_container: bool = True
    needs: str = ""
    qualifier: str = ""
    max_depth: int = -1
    is_joined: bool = False
    continues: str = ""


@dataclass(frozen=True, slots=True)
class LanguageSpec:
    """A language's syntax as data.

    Attributes:
        rules: What its nodes mean.
        identifiers: Node types that are a name by themselves, beside all `*identifier`.
        comments: Node types of comments.
        strings: Node types of string literals.
        blocks: Node types whose named children are statements or members.
        attached: Node types that belong to the definition that follows (decorators).
        skipped_in_patterns: Node types under a binding that bind nothing (types, defaults).
        name_fields: Fields that lead from an expression to its last name, in order.
        line_comment: What begins a comment that ends with the line; empty if nothing does.
        merges_equations: Whether neighbouring definitions of one name are one (equations).
        docstring: Whether documentation is the body's first string, not a comment above.
        single_quoted_strings: Whether `'` begins a string, and never a lifetime or a character.
        string_keys: Whether a string that is a `key` is a name.
        keyword_prefix: What the node types of its reserved words begin with, where the grammar
            names them instead of spelling them.
        needs_statement_end: Whether a body with an unfinished statement may parse as something
            else, without an error.
        parse_hazards: What takes its parser too long or crashes it when it nests too deep:
            `indentation`, or `signs` in one expression.
        word_blocks: Whether blocks begin after a word or a bare header, not after a sign.
    """

    rules: tuple[Rule, ...] = ()
    identifiers: frozenset[str] = frozenset()
    comments: frozenset[str] = frozenset({"comment"})
    strings: frozenset[str] = frozenset({"string"})
    blocks: frozenset[str] = frozenset({"block"})
    attached: frozenset[str] = frozenset()
    skipped_in_patterns: frozenset[str] = frozenset()
    name_fields: tuple[str, ...] = field(
        default=("name", "property", "attribute", "field", "method", "function", "declarator")
    )
    line_comment: str = "//"
    docstring: bool = False
    merges_equations: bool = False
    single_quoted_strings: bool = False
    string_keys: bool = False
    keyword_prefix: str = ""
    needs_statement_end: bool = False
    parse_hazards: frozenset[Hazard] = frozenset()
    word_blocks: bool = False


def define(
    node: str,
    kind: str,
    name: str | tuple[str, ...] = "name",
    body: str | tuple[str, ...] = "body",
    *,
    when: tuple[str, str] | None = None,
    kinds: tuple[str, dict[str, str]] | None = None,
    is_container: bool = True,
    many: bool = False,
    needs: str = "",
    qualifier: str = "",
    max_depth: int = -1,
    is_joined: bool = False,
    continues: str = "",
) -> Rule:
    """A node that defines the name at `name`."""
    return Rule(
        "define",
        node,
        kind,
        name=_paths(name),
        body=_paths(body),
        when=_condition(when),
        kinds=kinds,
        is_container=is_container,
        many=many,
        needs=needs,
        qualifier=qualifier,
        max_depth=max_depth,
        is_joined=is_joined,
        continues=continues,
    )


def variable(
    node: str,
    name: str | tuple[str, ...],
    kind: str = "variable",
    *,
    when: tuple[str, str] | None = None,
    kinds: tuple[str, dict[str, str]] | None = None,
) -> Rule:
    """A node that, outside functions, defines all the names under `name`; inside, binds them."""
    return Rule(
        "define",
        node,
        kind,
        name=_paths(name),
        outside_functions=True,
        many=True,
        when=_condition(when),
        kinds=kinds,
        is_container=False,
    )


def refer(
    node: str,
    kind: str,
    name: str | tuple[str, ...] = ".",
    *,
    many: bool = False,
    when: tuple[str, str] | None = None,
    needs: str = "",
) -> Rule:
    """A node that uses the name at `name`."""
    return Rule(
        "refer", node, kind, name=_paths(name), many=many, when=_condition(when), needs=needs
    )


def imports(
    node: str,
    module: str | tuple[str, ...],
    names: str | tuple[str, ...] = (),
    *,
    when: tuple[str, str] | None = None,
    needs: str = "",
) -> Rule:
    """A node that imports the module at `module`, or the names at `names` from it."""
    return Rule(
        "import",
        node,
        "import",
        name=_paths(names),
        module=_paths(module),
        many=True,
        when=_condition(when),
        needs=needs,
    )


def binds(node: str, name: str | tuple[str, ...] = "name") -> Rule:
    """A node that makes all the names under `name` known to the code around it."""
    return Rule("bind", node, "", name=_paths(name), many=True)


def types(words: str) -> frozenset[str]:
    """Node types written as words."""
    return frozenset(words.split())


def _paths(paths: str | tuple[str, ...]) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else paths


def _condition(when: tuple[str, str] | None) -> tuple[str, frozenset[str]] | None:
    return None if when is None else (when[0], frozenset(when[1].split()))
