"""The nine changes of names: of the function around the hole, and of its most used variable.

A name is changed wherever the file has it as a name, and where comments and docstrings mention it.
Where that could make another program (the name is a key, an import, text, or somebody else's),
nothing is changed.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from codebuddy.robustness import english
from codebuddy.robustness.checks import is_name
from codebuddy.robustness.place import Change, Edit, NothingToChangeError, View
from codebuddy.robustness.prose import neighbours
from codebuddy.robustness.statements import LANGUAGES, is_of_another
from codebuddy.syntax.grammar import keywords
from codebuddy.syntax.node_queries import holds, resolve
from codebuddy.syntax.scope import bound_names

if TYPE_CHECKING:
    from codebuddy.syntax.grammar import Node

# Named for others: a framework, a protocol, or the language itself looks for them.
_FIXED = frozenset("main init setUp tearDown new toString equals hashCode constructor self".split())
_OVERRIDES = re.compile(r"@(?:\w+\.)?(?:override|Override|overload|abstractmethod)\b|\boverride\b")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_USUAL = tuple(
    "result value item entry current found total target source record element output number"
    " selected piece part candidate other thing known".split()
)
_CASE_SHARE = 0.35
_MIN_RANDOM = 3
# Languages in which an upper-case letter at the beginning makes a name public.
_CASE_MEANS = frozenset({"go"})
# Parameters have no names for callers in most.
_PARAMETERS_ARE_FREE = LANGUAGES - {"python"}
# Parents under whose field of this name stands a member's name and no variable's.
_MEMBERS = {
    "attribute": ("attribute",),
    "keyword_argument": ("name",),
    "field_access": ("field",),
    "method_invocation": ("name",),
    "method_declaration": ("name",),
    "function_definition": ("name",),
    "class_definition": ("name",),
    "function_declaration": ("name",),
    "labeled_statement": ("label",),
}
# Where these stand for a variable, its name is a member's name as well.
_SHORTHANDS = re.compile(
    r"shorthand|keyed_element|keyed|global_statement|nonlocal_statement|enum|field_initializer"
)
_REFLECTION = re.compile(r"\b(?:locals|globals|vars|eval|exec|dir)\(")

Rename = Callable[[str, random.Random, View], str | None]


def rename_function(rename: Rename) -> Callable[[View, random.Random], Change]:
    """A transformation that gives the function around the hole the name that `rename` makes."""

    def transform(view: View, rng: random.Random) -> Change:
        node = view.near
        named = None if node is None else view.name_of(node)
        if node is None or named is None:
            raise NothingToChangeError("there is no function with a name near the hole")
        old = view.text(named)
        _check_function(view, node, old)
        spans = _occurrences(view, old)
        if any(s != named.byte_range and is_of_another(view, node, s[0]) for s in spans):
            raise NothingToChangeError(f"something else has a member {old} as well")
        return _renamed(view, old, rename(old, rng, view), spans)

    return transform


def rename_variable(rename: Rename) -> Callable[[View, random.Random], Change]:
    """A transformation that renames the variable that the function around the hole uses most."""

    def transform(view: View, rng: random.Random) -> Change:
        function = view.near
        if function is None:
            raise NothingToChangeError("there is no function near the hole")
        variables = _variables(view, function)
        if not variables:
            raise NothingToChangeError("the function has no variable of its own")
        old, nodes = variables[0]
        return _renamed(view, old, rename(old, rng, view), _spans(nodes))

    return transform


def camel_or_snake(name: str, _rng: random.Random, view: View) -> str | None:
    """camelCase for snake_case and back."""
    start = len(name) - len(name.lstrip("_"))
    head, inner = name[:start], name[start:]
    parts = [part for part in inner.split("_") if part]
    if len(parts) > 1:
        first = parts[0] if view.language not in _CASE_MEANS else parts[0].lower()
        return head + first + "".join(part[:1].upper() + part[1:] for part in parts[1:])
    words = _PART.findall(inner)
    if len(words) < 2 or "".join(words) != inner:
        return None
    first = words[0] if view.language in _CASE_MEANS else words[0].lower()
    return head + "_".join([first, *(word.lower() for word in words[1:])])


def slip(name: str, rng: random.Random, _view: View) -> str | None:
    """A neighbouring key for one letter."""
    places = _letters(name)
    if not places:
        return None
    at = rng.choice(places)
    made = english.in_case_of(rng.choice(neighbours(name[at])), name[at])
    return name[:at] + made + name[at + 1 :]


def swap(name: str, rng: random.Random, _view: View) -> str | None:
    """Two neighbouring letters in the other order."""
    places = [
        at
        for at in _letters(name)[:-1]
        if name[at + 1].isalpha() and name[at].lower() != name[at + 1].lower()
    ]
    if not places:
        return None
    at = rng.choice(places)
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def flip_case(name: str, rng: random.Random, view: View) -> str | None:
    """The other case for a third of the letters, and for one at least."""
    places = _letters(name)
    if view.language in _CASE_MEANS:
        places = [at for at in places if at]
    chosen = {at for at in places if rng.random() < _CASE_SHARE}
    chosen = chosen or ({rng.choice(places)} if places else set())
    return "".join(c.swapcase() if at in chosen else c for at, c in enumerate(name))


def inflected(name: str, rng: random.Random, _view: View) -> str | None:
    """Other forms of the words in the name."""

    def other(word: str) -> str | None:
        options = [each for known in english.known(word) for each in english.other_forms(known)]
        return rng.choice(sorted(set(options) - {word})) if set(options) - {word} else None

    return _by_word(name, other)


def with_synonyms(name: str, rng: random.Random, _view: View) -> str | None:
    """Synonyms of the words in the name."""

    def other(word: str) -> str | None:
        options = english.synonyms(word)
        return rng.choice(options) if options else None

    return _by_word(name, other)


def natural(name: str, rng: random.Random, view: View) -> str | None:
    """A name that people give to variables, and that the file does not have."""
    options = [
        each + "s" if name.endswith("s") else each
        for each in _USUAL
        if (each + "s" if name.endswith("s") else each).encode() not in view.words
    ]
    synonym = with_synonyms(name, rng, view)
    if synonym is not None and synonym.encode() not in view.words:
        return synonym
    return rng.choice(options) if options else None


def numbered(_name: str, _rng: random.Random, _view: View) -> str | None:
    """VAR_0."""
    return "VAR_0"


def random_letters(name: str, rng: random.Random, _view: View) -> str | None:
    """Letters and digits of the same length, a letter first; three at least."""
    alphabet = string.ascii_letters + string.digits
    rest = "".join(rng.choice(alphabet) for _ in range(max(len(name), _MIN_RANDOM) - 1))
    return rng.choice(string.ascii_lowercase) + rest


def rename_in(text: str, names: Iterable[tuple[str, str]]) -> str:
    """`text` with each first name of a pair replaced by the second, where it is a whole word."""
    for old, new in names:
        text = re.sub(rf"(?<![\w$]){re.escape(old)}(?![\w$])", lambda _m, n=new: n, text)  # type: ignore[misc]
    return text


def _letters(name: str) -> list[int]:
    return [at for at, character in enumerate(name) if character.isascii() and character.isalpha()]


def _by_word(name: str, other: Callable[[str], str | None]) -> str | None:
    """The name with its words replaced where `other` has something for them."""
    parts, at, is_other = [], 0, False
    for match in _PART.finditer(name):
        made = other(match[0].lower())
        is_other = is_other or made is not None
        parts += [
            name[at : match.start()],
            english.in_case_of(made, match[0]) if made else match[0],
        ]
        at = match.end()
    return "".join([*parts, name[at:]]) if is_other else None


def _check_function(view: View, function: Node, name: str) -> None:
    """Make sure that the name is the file's own to give.

    Raises:
        NothingToChangeError: It is not.
    """
    header = view.source[max(0, function.start_byte - 200) : function.start_byte].decode(
        "utf-8", "replace"
    )
    above = header.rsplit("\n\n", 1)[-1]
    own = view.source[function.start_byte : view.header_end(function)]
    is_fixed = name in _FIXED or (name.startswith("__") and name.endswith("__"))
    if is_fixed or _OVERRIDES.search(above + own.decode("utf-8", "replace")):
        raise NothingToChangeError("others than this file look for the function by its name")
    if not is_name(name):
        raise NothingToChangeError("the function's name is no plain word")
    outer = function.parent
    while outer is not None:
        if outer.type == "impl_item" and outer.child_by_field_name("trait") is not None:
            raise NothingToChangeError("the function belongs to a trait")
        outer = outer.parent


def _renamed(view: View, old: str, new: str | None, spans: list[tuple[int, int]]) -> Change:
    if new is None or new == old:
        raise NothingToChangeError(f"the name {old} has no other form of this kind")
    if not is_name(new) or new in keywords(view.language) or new.encode() in view.words:
        raise NothingToChangeError(f"the name {new} is taken, or is none")
    if not spans:
        raise NothingToChangeError(f"the name {old} is not this file's alone")
    return Change(tuple(Edit(*span, new.encode()) for span in spans), {old: new})


def _occurrences(view: View, name: str) -> list[tuple[int, int]]:
    """Where the name stands, in code, comments and docstrings.

    Nothing where it stands in another string or an import too.
    """
    found = []
    pattern = re.compile(rb"(?<![\w$])" + re.escape(name.encode()) + rb"(?![\w$])")
    root, grammar = view.tree.root_node, view.grammar
    is_plain_word = name.islower() and "_" not in name
    for match in pattern.finditer(view.source):
        node = root.descendant_for_byte_range(match.start(), match.end())
        if node is None:
            return []
        around: Node | None = node
        is_documentation = False
        while around is not None:
            is_documentation = is_documentation or view.is_docstring(around)
            if around.kind_id in grammar.pure_imports and _is_import(view, around):
                return []
            around = around.parent
        if node.kind_id in grammar.comments:
            if not is_plain_word:
                found.append(match.span())
        elif view.is_in_string(match.start()) and node.kind_id not in grammar.identifiers:
            if not is_documentation:
                return []
            if not is_plain_word:
                found.append(match.span())
        elif node.byte_range == match.span():
            found.append(match.span())
        else:
            return []
    hole = view.place
    crossing = [s for s in found if s[0] < hole.start < s[1] or s[0] < hole.end < s[1]]
    return [] if crossing else found


def _is_import(view: View, node: Node) -> bool:
    """Whether the node brings names in: `export function ...` has the type of such nodes too."""
    rules = view.grammar.actions.get(node.kind_id, ())
    return any(holds(rule, node, view.source) and resolve(node, rule.module) for rule in rules)


# Of the view at hand: three changes ask in turn.
@lru_cache(maxsize=1)
def _variables(view: View, function: Node) -> list[tuple[str, list[Node]]]:
    """The function's variables that may be renamed, the most used first, with their places."""
    if view.language not in LANGUAGES:
        raise NothingToChangeError("variables are not known in this language")
    text = view.text(function)
    if view.language == "python" and _REFLECTION.search(text):
        raise NothingToChangeError("the function looks at its names")
    if any("class" in each.type for each in view.nodes(function.start_byte + 1, function.end_byte)):
        raise NothingToChangeError("the function defines a class")
    bound = _bound_in(view, function)
    uses: dict[str, list[Node]] = {}
    refused: set[str] = set()
    for node in view.nodes(function.start_byte, function.end_byte):
        if node.named_child_count or node.start_byte < function.start_byte:
            continue
        name = view.text(node)
        if name not in bound:
            continue
        if node.type == "identifier" and not _is_member(node):
            uses.setdefault(name, []).append(node)
        if _SHORTHANDS.search(node.type) or _is_shorthand(node):
            refused.add(name)
    hole = view.place
    usable = [
        (name, nodes)
        for name, nodes in uses.items()
        if name not in refused
        and len(nodes) > 1
        and is_name(name)
        and name[0].islower()
        and not re.search(rf"\{{{re.escape(name)}[=}}:!]|[$]{re.escape(name)}\b", text)
        and not any(n.start_byte < e < n.end_byte for n in nodes for e in (hole.start, hole.end))
        and any(n.end_byte <= hole.start for n in nodes)
    ]
    return sorted(usable, key=lambda each: (-len(each[1]), each[1][0].start_byte))


def _bound_in(view: View, function: Node) -> set[str]:
    """Names that the function itself binds; parameters where callers do not say them.

    What an assignment binds is the function's own in Python alone: elsewhere it may have been
    declared outside.
    """
    body = view.header_end(function)
    bound: set[str] = set()
    parameters: set[str] = set()
    for node in view.nodes(function.start_byte, function.end_byte):
        is_inside = node.start_byte > function.start_byte
        if not is_inside or (view.language != "python" and "assignment" in node.type):
            continue
        for rule in view.grammar.binds.get(node.kind_id, ()):
            is_variable = rule.rule.role == "bind" or rule.rule.outside_functions
            if not is_variable or not holds(rule, node, view.source):
                continue
            found = [each for path in rule.name for each in path.nodes(node)]
            names = {view.text(e) for each in found for e in bound_names(each, view.grammar)}
            is_parameter = node.start_byte < body
            if is_parameter or "parameter" in node.type:
                parameters |= names
            elif _is_scope(view, node, function):
                bound |= names
    is_free = view.language in _PARAMETERS_ARE_FREE
    return {each for each in (bound | parameters if is_free else bound - parameters) if each}


def _is_scope(view: View, node: Node, function: Node) -> bool:
    """Whether the innermost function around the node is `function`."""
    outer = node.parent
    while outer is not None and outer.start_byte >= function.start_byte:
        if outer.kind_id in view.grammar.definitions or "lambda" in outer.type:
            is_function = outer.child_by_field_name("body") is not None
            if is_function and outer.byte_range != function.byte_range:
                return False
        outer = outer.parent
    return True


def _is_member(node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return False
    fields = _MEMBERS.get(parent.type, ())
    for field in fields:
        child = parent.child_by_field_name(field)
        if child is not None and child.start_byte == node.start_byte:
            return True
    return False


def _is_shorthand(node: Node) -> bool:
    """Whether a variable's name is a member's name here as well, or one of another scope."""
    parent = node.parent
    for _ in range(2):
        if parent is None:
            return False
        if _SHORTHANDS.search(parent.type):
            return True
        parent = parent.parent
    return False


def _spans(nodes: list[Node]) -> list[tuple[int, int]]:
    return [(node.start_byte, node.end_byte) for node in nodes]
