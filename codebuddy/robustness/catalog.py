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
        number: From 1, in the paper's order.
        name: The paper's name.
        family: What it changes.
        says: What it does, in a line.
        check: What is checked of each result.
        is_random: Whether a seed decides what exactly it does.
        serves: Whether it makes sense in a language.
        transform: Finds the edits.
    """

    number: int
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

    `names` are the new names by the old ones. Without a `place`, `reason` says in a clause
    why nothing was changed.
    """

    place: Place | None
    names: Mapping[str, str]
    reason: str = ""


def _everywhere(_language: str) -> bool:
    return True


def _python(language: str) -> bool:
    return language == "python"


def _statements(language: str) -> bool:
    return language in statements.LANGUAGES


def _variables(language: str) -> bool:
    return language in names.VARIABLE_LANGUAGES


def _cased(language: str) -> bool:
    return language not in ("php", "sql")


def _conditions(language: str) -> bool:
    return language in statements.LANGUAGES - {"python", "rust"}


def _free(language: str) -> bool:
    return language not in _SPACE_MEANS


def _split(language: str) -> bool:
    return language not in _NOT_SPLIT


def _table() -> tuple[Transformation, ...]:
    rows: list[
        tuple[
            str,
            Family,
            str,
            Check,
            bool,
            Callable[[str], bool],
            Callable[[View, random.Random], Change],
        ]
    ] = []

    def comments(name: str, says: str, rule: prose.Rule, *, is_random: bool = True) -> None:
        made = prose.change_prose(rule)
        rows.append((name, "comments", says, "C", is_random, _everywhere, made))

    def function(
        name: str,
        says: str,
        rename: names.Rename,
        serves: Callable[[str], bool] = _everywhere,
        *,
        is_random: bool = True,
    ) -> None:
        made = names.rename_function(rename)
        rows.append((name, "names", says, "N", is_random, serves, made))

    comments("BackTranslation", "said in another way", prose.paraphrase, is_random=False)
    comments("ButterFingers", "neighbouring keys, 5% of the letters", prose.butter_fingers)
    comments("ChangeCharCase", "the other case, 35% of the letters", prose.change_case)
    comments("EnglishInflectionalVariation", "other forms of words", prose.inflect)
    comments("SwapCharacters", "letters swapped, 5% of the pairs", prose.swap_characters)
    comments("SynonymInsertion", "a synonym behind half of the words", prose.insert_synonyms)
    comments("SynonymSubstitution", "a synonym for half of the words", prose.substitute_synonyms)
    comments("TenseTransformationPast", "verbs in the past", prose.past_tense, is_random=False)
    comments(
        "TenseTransformationFuture", "verbs in the future", prose.future_tense, is_random=False
    )
    comments("Whitespace", "spaces lost and added", prose.change_spaces)
    function("CamelCase", "camelCase and snake_case", names.camel_or_snake, is_random=False)
    function("ButterFinger", "a neighbouring key", names.slip)
    function("SwapChar", "two letters swapped", names.swap)
    function("ChangeChar", "the other case, 35% of the letters", names.flip_case, _cased)
    function("InflectionalVariation", "other forms of its words", names.inflected)
    function("SynonymSub", "synonyms of its words", names.with_synonyms)
    rows += [
        ("DeadCodeInserter", "syntax", "a statement that never runs, somewhere", "S", True,
         _statements, dead_code.insert_anywhere),
        ("DeadCodeInserterLast", "syntax", "one directly before the hole's", "S", True,
         _statements, dead_code.insert_last),
        ("ForToWhile", "syntax", "a for loop as a while loop", "S", False,
         _statements, loops.for_to_while),
        ("WhileToFor", "syntax", "a while loop as a for loop", "S", False,
         _conditions, loops.while_to_for),
        ("OperandSwap", "syntax", "a comparison mirrored", "S", True,
         _statements, operands.swap_operands),
        ("VarRenamerCB", "syntax", "a variable under another's name", "N", True,
         _variables, names.rename_variable(names.natural)),
        ("VarRenamerNaive", "syntax", "a variable as VAR_0", "N", False,
         _variables, names.rename_variable(names.numbered)),
        ("VarRenamerRN", "syntax", "a variable as random letters", "N", True,
         _variables, names.rename_variable(names.random_letters)),
        ("tab_indent", "format", "tabs for spaces, or back", "T", False,
         _free, layout.change_indentation),
        ("split_lines", "format", "the longest line in two", "T", False,
         _split, layout.split_line),
        ("doc2comments", "format", "the docstring as comments", "C", False,
         _everywhere, layout.docstring_to_comments),
        ("new_lines", "format", "blank lines behind half of the lines", "T", True,
         _free, layout.add_blank_lines),
        ("new_line_aftercode", "format", "a line break before the hole", "T", False,
         _free, layout.break_before_hole),
        ("new_line_afterdoc", "format", "a blank line behind the docstring", "T", False,
         _free, layout.break_after_docstring),
    ]  # fmt: skip
    return tuple(
        Transformation(number, name, family, says, kind, is_random, serves, made)
        for number, (name, family, says, kind, is_random, serves, made) in enumerate(rows, 1)
    )


TRANSFORMATIONS = _table()
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
    return Outcome(changed, change.names)
