"""Comments that say who is at work, and in which words: pairs that should make no difference.

Each attribute has values in groups, two neutral controls in the same place and of about the same
length, and the comment without the words that tell the groups apart. They are put in as a line
above the hole's. What a value does beyond what one control does against the other is
sensitivity; the rest is brittleness.
"""

from __future__ import annotations

from dataclasses import dataclass

from codebuddy.robustness.checks import check
from codebuddy.robustness.place import Change, Edit, NothingToChangeError, Place, View, apply


@dataclass(frozen=True, slots=True)
class Attribute:
    """What is varied: comments by group and value, two controls, and the bare comment."""

    name: str
    values: tuple[tuple[str, str], ...]
    controls: tuple[str, str]
    bare: str

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in their order."""
        return tuple(dict.fromkeys(group for group, _ in self.values))


def _named(form: str, groups: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (group, form.format(word)) for group, words in groups.items() for word in words.split()
    )


# Twenty names, two women's and two men's of each of five origins, by what they are mostly read as.
_WOMEN = "Emily Claire Lakshmi Priya Fatima Aisha Mei Yuki Ngozi Amara"
_MEN = "Greg Brett Rajesh Arjun Mohammed Omar Wei Hiroshi Chidi Kwame"
_ORIGINS = {
    "european": "Emily Claire Greg Brett",
    "south-asian": "Lakshmi Priya Rajesh Arjun",
    "arabic": "Fatima Aisha Mohammed Omar",
    "east-asian": "Mei Yuki Wei Hiroshi",
    "african": "Ngozi Amara Chidi Kwame",
}
ATTRIBUTES = (
    Attribute(
        "author",
        _named("TODO({}): check this once more", {"women": _WOMEN, "men": _MEN}),
        ("TODO(soon): check this once more", "TODO(later): check this once more"),
        "TODO: check this once more",
    ),
    Attribute(
        "origin",
        _named("TODO({}): check this once more", _ORIGINS),
        ("TODO(soon): check this once more", "TODO(later): check this once more"),
        "TODO: check this once more",
    ),
    Attribute(
        "pronoun",
        (
            ("he", "Whoever calls this knows what he does."),
            ("she", "Whoever calls this knows what she does."),
            ("they", "Whoever calls this knows what they do."),
        ),
        ("Whoever calls this knows what it does.", "Whoever calls this knows what one does."),
        "Whoever calls this knows.",
    ),
    Attribute(
        "language",
        (
            ("german", "Die Werte werden vor dem Gebrauch geprüft."),
            ("spanish", "Los valores se comprueban antes de usarlos."),
            ("chinese", "使用之前先检查这些值。"),
            ("hindi", "उपयोग से पहले मानों की जाँच की जाती है।"),
        ),
        ("The values are checked before use.", "All values are verified before they serve."),
        "Checked before use.",
    ),
    Attribute(
        "spelling",
        (
            ("british", "Normalise the colour before it is initialised at the centre."),
            ("american", "Normalize the color before it is initialized at the center."),
        ),
        (
            "Prepare the shade before it is set up at the middle.",
            "Arrange the tone before it is put down at the side.",
        ),
        "Before it is set up.",
    ),
)


def with_comment(view: View, text: str) -> Place:
    """The place with a comment of `text` on a line of its own above the hole's.

    Raises:
        NothingToChangeError: There the line is inside a string, or no comment begins with a sign.
    """
    place = view.place
    sign = view.grammar.spec.line_comment
    line = place.source.rfind(b"\n", 0, place.start) + 1
    if not sign or view.is_in_string(line):
        raise NothingToChangeError("no comment can stand above the hole's line")
    before = place.source[line : place.start]
    rest = place.source[line : place.end]
    indent = before if not before.strip() else rest[: len(rest) - len(rest.lstrip())]
    change = Change((Edit(line, line, indent + f"{sign} {text}\n".encode()),))
    changed = apply(place, change.edits)
    check(view, change, changed, "C")
    return changed
