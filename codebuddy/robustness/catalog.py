"""The thirty transformations of ReCode (arXiv 2212.10264) as one table, and how one is applied.

Each is a rule of our own making for what the paper's one does, on syntax trees; every result
is checked (`checks`), and one that fails counts as nothing changed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from codebuddy.robustness import dead_code, layout, loops, names, operands, prose, statements
from codebuddy.robustness.checks import Check, check
from codebuddy.robustness.place import (
    Change,
    NothingToChangeError,
    Place,
    View,
    apply,
    open_view,
)

Family = Literal["comments", "names", "syntax", "format"]
FAMILIES: tuple[Family, ...] = get_args(Family)
# White space means something there, beyond what their trees show.
_SPACE_MEANS = frozenset({"make", "yaml", "haskell", "markdown"})
_NOT_SPLIT = _SPACE_MEANS | {"go", "bash", "css", "html", "sql"}


@dataclass(frozen=True, slots=True)
class Transformation:
    """One of the thirty.

    Attributes:
        name: The paper's name.
        family: What it changes.
        says: What it does, in a line.
        check: What is checked of each result.
        is_random: Whether a seed decides what exactly it does.
        serves: Whether it makes sense in a language.
        transform: Finds the edits.
    """

    name: str
    family: Family
    says: str
    check: Check
    is_random: bool
    serves: Callable[[str], bool]
    transform: Callable[[View, random.Random], Change]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A place after a transformation, or why it is as it was.

    `names` are the new names by the old ones, `n_edits` how many pieces of text were changed.
    Without a `place`, `reason` says in a clause why nothing was changed.
    """

    place: Place | None
    names: Mapping[str, str]
    reason: str = ""
    n_edits: int = 0


def _everywhere(_language: str) -> bool:
    return True


def _statements(language: str) -> bool:
    return language in statements.LANGUAGES


def _cased(language: str) -> bool:
    return language not in ("php", "sql")


def _conditions(language: str) -> bool:
    return language in statements.LANGUAGES - {"python", "rust"}


def _free(language: str) -> bool:
    return language not in _SPACE_MEANS


def _split(language: str) -> bool:
    return language not in _NOT_SPLIT


def _comments(name: str, says: str, rule: prose.Rule, *, is_random: bool = True) -> Transformation:
    transform = prose.change_prose(rule)
    return Transformation(name, "comments", says, "C", is_random, _everywhere, transform)


def _function(
    name: str,
    says: str,
    rename: names.Rename,
    serves: Callable[[str], bool] = _everywhere,
    *,
    is_random: bool = True,
) -> Transformation:
    transform = names.rename_function(rename)
    return Transformation(name, "names", says, "N", is_random, serves, transform)


def _syntax(
    name: str,
    says: str,
    transform: Callable[[View, random.Random], Change],
    serves: Callable[[str], bool] = _statements,
    *,
    kind: Check = "S",
    is_random: bool = True,
) -> Transformation:
    return Transformation(name, "syntax", says, kind, is_random, serves, transform)


def _variable(
    name: str, says: str, rename: names.Rename, *, is_random: bool = True
) -> Transformation:
    made = names.rename_variable(rename)
    return _syntax(name, says, made, kind="N", is_random=is_random)


def _format(
    name: str,
    says: str,
    transform: Callable[[View, random.Random], Change],
    serves: Callable[[str], bool] = _free,
    *,
    kind: Check = "T",
    is_random: bool = False,
) -> Transformation:
    return Transformation(name, "format", says, kind, is_random, serves, transform)


# In the paper's order.
TRANSFORMATIONS = (
    _comments("BackTranslation", "said in another way", prose.paraphrase, is_random=False),
    _comments("ButterFingers", "neighbouring keys, 5% of the letters", prose.butter_fingers),
    _comments("ChangeCharCase", "the other case, 35% of the letters", prose.change_case),
    _comments("EnglishInflectionalVariation", "other forms of words", prose.inflect),
    _comments("SwapCharacters", "letters swapped, 5% of the pairs", prose.swap_characters),
    _comments("SynonymInsertion", "a synonym behind half of the words", prose.insert_synonyms),
    _comments("SynonymSubstitution", "a synonym for half of the words", prose.substitute_synonyms),
    _comments("TenseTransformationPast", "verbs in the past", prose.past_tense, is_random=False),
    _comments(
        "TenseTransformationFuture", "verbs in the future", prose.future_tense, is_random=False
    ),
    _comments("Whitespace", "spaces lost and added", prose.change_spaces),
    _function("CamelCase", "camelCase and snake_case", names.camel_or_snake, is_random=False),
    _function("ButterFinger", "a neighbouring key", names.slip),
    _function("SwapChar", "two letters swapped", names.swap),
    _function("ChangeChar", "the other case, 35% of the letters", names.flip_case, _cased),
    _function("InflectionalVariation", "other forms of its words", names.inflected),
    _function("SynonymSub", "synonyms of its words", names.with_synonyms),
    _syntax("DeadCodeInserter", "what never runs, somewhere", dead_code.insert_anywhere),
    _syntax("DeadCodeInserterLast", "what never runs, before the hole", dead_code.insert_last),
    _syntax("ForToWhile", "a for loop as a while loop", loops.for_to_while, is_random=False),
    _syntax(
        "WhileToFor", "a while loop as a for loop", loops.while_to_for, _conditions, is_random=False
    ),
    _syntax("OperandSwap", "a comparison mirrored", operands.swap_operands),
    _variable("VarRenamerCB", "a variable under a usual name", names.natural),
    _variable("VarRenamerNaive", "a variable as VAR_0", names.numbered, is_random=False),
    _variable("VarRenamerRN", "a variable as random letters", names.random_letters),
    _format("tab_indent", "tabs for spaces, or back", layout.change_indentation),
    _format("split_lines", "the longest line in two", layout.split_line, _split),
    _format(
        "doc2comments",
        "the docstring as comments",
        layout.docstring_to_comments,
        _everywhere,
        kind="C",
    ),
    _format(
        "new_lines", "blank lines behind half of the lines", layout.add_blank_lines, is_random=True
    ),
    _format("new_line_aftercode", "a line break before the hole", layout.break_before_hole),
    _format("new_line_afterdoc", "a blank line behind the docstring", layout.break_after_docstring),
)
BY_NAME = {each.name: each for each in TRANSFORMATIONS}


def transformed(
    transformation: Transformation, place: Place, seed: int, *, view: View | None = None
) -> Outcome:
    """What a transformation makes of a place.

    Args:
        transformation: Which one.
        place: The file and its hole.
        seed: Of what it does by chance; the same one gives the same result.
        view: Of the place, where it is open already; otherwise near the hole only.
    """
    if not transformation.serves(place.language):
        return Outcome(None, {}, f"it makes no sense in {place.language}")
    digest = hashlib.sha256(place.source).hexdigest()
    rng = random.Random(f"{seed}:{transformation.name}:{place.start}:{digest}")
    try:
        view = view or open_view(place)
        change = transformation.transform(view, rng)
        changed = apply(place, change.edits)
        check(view, change, changed, transformation.check)
    except NothingToChangeError as error:
        return Outcome(None, {}, str(error))
    if changed.source == place.source:
        return Outcome(None, {}, "there is nothing of the kind near the hole")
    return Outcome(changed, change.names, n_edits=len(change.edits))
