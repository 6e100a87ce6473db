"""Features of the decision: numbers about the cursor position, computed before retrieval.

They come from the text, its syntax and the names that the index knows; the model has not
run yet. Each is one number with a name that a receipt can show in words. A head is trained
on them and names the ones it uses, so that a feature may be added without breaking one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from codebuddy.completion.expression import Expression, expression_at
from codebuddy.datatypes import Context
from codebuddy.positions import indent_width
from codebuddy.syntax import identifiers

_NEAREST = 6
_NEAR = 24
# Earlier lines of the file in which the beginning of the cursor's line is looked for.
_LINES_LOOKED_BACK = 400
_MIN_REPEATED_CHARACTERS = 6

_IMPORT = re.compile(r"^\s*(?:import|from|use|require|#include|using|export\s+\{)\b")
_FLOW = re.compile(r"^\s*(?:if|elif|else if|while|for|match|switch|case|unless|until)\b")
_RETURN = re.compile(r"^\s*(?:return|yield|raise|throw|await)\b")

# In words, for receipts: what a large value says of the place, as a clause behind "because".
WORDS: dict[str, str] = {
    "elsewhere_nearest": "a name right before the cursor is defined elsewhere",
    "elsewhere_6": "many of the nearest names are defined elsewhere",
    "elsewhere_24": "many names nearby are defined elsewhere",
    "elsewhere_on_line": "names on this line are defined elsewhere",
    "unresolved_24": "this file does not define many of the names nearby",
    "unresolved_on_line": "this file does not define names on this line",
    "resolved_on_line": "this file defines names on this line",
    "rarity": "names that this file lacks are defined in few places",
    "callee_elsewhere": "the function being called is defined elsewhere",
    "callee_here": "the function being called is defined in this file",
    "receiver_elsewhere": "the object before the dot is defined elsewhere",
    "receiver_here": "the object before the dot is defined in this file",
    "imported": "this file imports many names",
    "imported_internal": "this file imports many names of the repository",
    "imported_internal_near": "names near the cursor are imported from the repository",
    "at_attribute": "an attribute or method follows",
    "in_arguments": "the cursor is inside an argument list",
    "at_statement_start": "a new statement begins",
    "after_assignment": "a value is being assigned",
    "after_return": "a value is being returned",
    "in_flow": "a condition or loop header is being written",
    "in_import": "an import is being written",
    "in_comment": "the cursor is in a comment",
    "in_string": "the cursor is in a string",
    "wants_block": "a whole body is wanted",
    "wants_statement": "a whole statement is wanted",
    "in_word": "a word is being typed",
    "typed": "much of the line is typed already",
    "has_line_after": "text follows on the line",
    "scope_depth": "the cursor is deep inside definitions",
    "indent": "the line is deeply indented",
    "prefix_lines": "much of the file stands above",
    "suffix_lines": "much of the file stands below",
    "repeated": "the line begins as others do",
    "repeats": "many other lines begin the same",
}
NAMES = tuple(WORDS)
# What a person would take as a reason for a lookup, or against one. Where a head weighs such a
# feature the other way round, it is not given as the reason.
SPEAK_FOR = frozenset(
    {
        "elsewhere_nearest",
        "elsewhere_6",
        "elsewhere_24",
        "elsewhere_on_line",
        "unresolved_24",
        "unresolved_on_line",
        "rarity",
        "callee_elsewhere",
        "receiver_elsewhere",
        "imported_internal",
        "imported_internal_near",
    }
)
SPEAK_AGAINST = frozenset(
    {
        "resolved_on_line",
        "callee_here",
        "receiver_here",
        "in_comment",
        "in_string",
        "repeated",
        "repeats",
    }
)


class DefinitionCounts(NamedTuple):
    """What the index says of names: in how many other files each is defined."""

    unresolved: Mapping[str, int]
    imported: Mapping[str, int]


def extract_features(context: Context, counts: DefinitionCounts) -> dict[str, float]:
    """The features of a place, by name; every name of `NAMES` has a finite number."""
    expression = expression_at(context.prefix)
    found = (
        _name_features(context, counts, expression)
        | _place_features(context, expression)
        | _file_features(context)
    )
    assert found.keys() == WORDS.keys()
    return found


def _name_features(
    context: Context, counts: DefinitionCounts, expression: Expression
) -> dict[str, float]:
    unresolved = context.unresolved[:_NEAR]
    elsewhere = {name: count for name in unresolved if (count := counts.unresolved.get(name, 0))}
    ranks = {name: rank for rank, name in enumerate(context.near)}
    on_line = set(identifiers(context.line_before)) & ranks.keys()
    open_on_line = on_line & set(context.unresolved)
    internal = {name for name, count in counts.imported.items() if count}

    def is_elsewhere(name: str) -> float:
        return float(bool(name) and bool(counts.unresolved.get(name) or name in internal))

    def is_here(name: str) -> float:
        return float(name in ranks and name not in context.unresolved)

    return {
        "elsewhere_nearest": max((1 / (1 + ranks[name]) for name in elsewhere), default=0.0),
        "elsewhere_6": float(sum(name in elsewhere for name in unresolved[:_NEAREST])),
        "elsewhere_24": float(len(elsewhere)),
        "elsewhere_on_line": float(len(open_on_line & elsewhere.keys())),
        "unresolved_24": float(len(unresolved)),
        "unresolved_on_line": float(len(open_on_line)),
        "resolved_on_line": float(len(on_line) - len(open_on_line)),
        "rarity": max((1 / count for count in elsewhere.values()), default=0.0),
        "callee_elsewhere": is_elsewhere(expression.callee),
        "callee_here": is_here(expression.callee),
        "receiver_elsewhere": is_elsewhere(expression.owner),
        "receiver_here": is_here(expression.owner),
        "imported": math.log1p(len(context.imported)),
        "imported_internal": math.log1p(len(internal)),
        "imported_internal_near": float(len(internal & ranks.keys())),
    }


def _place_features(context: Context, expression: Expression) -> dict[str, float]:
    line = context.line_before
    is_code = context.inside == "code"
    return {
        "at_attribute": float(is_code and bool(expression.owner)),
        "in_arguments": float(is_code and expression.bracket == "("),
        "at_statement_start": float(is_code and not line.strip()),
        "after_assignment": float(is_code and _is_assigned(line)),
        "after_return": float(is_code and _RETURN.match(line) is not None),
        "in_flow": float(is_code and _FLOW.match(line) is not None),
        "in_import": float(is_code and _IMPORT.match(line) is not None),
        "in_comment": float(context.inside == "comment"),
        "in_string": float(context.inside == "string"),
        "wants_block": float(context.extent == "block"),
        "wants_statement": float(context.extent == "statement"),
        "in_word": float(bool(expression.begun)),
        "typed": float(len(line.strip())),
        "has_line_after": float(bool(context.line_after.strip())),
    }


def _file_features(context: Context) -> dict[str, float]:
    begun = context.line_before.strip()
    earlier = context.prefix.split("\n")[-_LINES_LOOKED_BACK - 1 : -1]
    below = context.suffix.split("\n")[1 : _LINES_LOOKED_BACK + 1]
    repeats = 0
    if len(begun) >= _MIN_REPEATED_CHARACTERS:
        repeats = sum(line.strip().startswith(begun) for line in (*earlier, *below))
    return {
        "scope_depth": float(len(context.scope)),
        "indent": float(indent_width(context.line_before)),
        "prefix_lines": math.log1p(context.prefix.count("\n")),
        "suffix_lines": math.log1p(context.suffix.count("\n")),
        "repeated": float(repeats > 0),
        "repeats": math.log1p(repeats),
    }


def _is_assigned(line: str) -> bool:
    """Whether the last `=` of a line is no part of a comparison."""
    before, sign, _ = line.rpartition("=")
    return bool(sign) and not before.endswith(("=", "!", "<", ">"))
