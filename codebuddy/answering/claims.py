"""A growing text of the model -> claims with the places that they name, checked.

A line is a claim. Labels that no source line has, and places that were not among the sources,
are taken out and counted: what is shown as a place was given to the model. It can check that a
line was there, not that it says what the claim says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from codebuddy.answering.excerpts import Excerpt

NO_SOURCE = "[no source]"
NOT_FOUND = "not found"

# Not of `names[0]`.
_BRACKETS = re.compile(
    r"(?:^|(?<!\s)\s+|(?<=[.,;:]))(?:\[([^\[\]()]{1,60})\]|\(([^\[\]()]{1,60})\))"
)
_LABELS = re.compile(
    r"\s*(?:(?:line )?[A-Z]?\d{1,7}|[A-Z])(?:\s*(?:,|;|-|and|to)\s*(?:[A-Z]?\d{1,7}|[A-Z]))*\s*"
)
_LETTERED = re.compile(r"\s*[A-Z]\d")
# At the beginning without brackets: `A12: `, `A12| `.
_BARE_LABEL = re.compile(r"^\s*([A-Z]\d{1,7})\s*(?:[|:.)-]\s*|\s)")
# A place as the answer itself would write it.
_PLACE = re.compile(r"([\w@+~-][\w./@+~-]{0,160}\.[A-Za-z]\w{0,20}):(\d{1,7})(?:-\d{1,7})?")
# A name as code: `total`, `Cart.total()`.
_CODE = re.compile(r"`(?:[\w.:]*[.:])?([A-Za-z_]\w*[?!]?)(?:\([^`]*\))?`")
# What is left of "... . The source line that shows this is [A12]."
_POINTER = re.compile(
    r"([.!])\s+Th(?:e|is)\b[^.!`]*\b(?:line|label)s?\b[^.!`]*\b(?:is|are)\s*([A-Z]\d{1,7})?\s*\.?\s*$"
)
_PERHAPS_POINTER = re.compile(r"[.!](\s+Th(?:e|is)\b[^.!]*)$")
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_LONGEST_LINE = 600


@dataclass(frozen=True, slots=True)
class Citation:
    """A line (1-based) of a source; `place` counts the excerpts from 0."""

    path: str
    line: int
    place: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, the lines that it names, and what it named that was not among the sources."""

    text: str
    citations: tuple[Citation, ...]
    removed: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(str(each) for each in self.citations)
        return f"{self.text} ({shown})" if shown else f"{self.text} {NO_SOURCE}"


class ClaimReader:
    """Reads the model's text as it grows.

    Args:
        excerpts: The source lines that the model was shown.
        max_claims: After so many the answer is complete.
    """

    def __init__(self, excerpts: Sequence[Excerpt], max_claims: int) -> None:
        self._excerpts = excerpts
        self._max_claims = max_claims
        self._rest = ""
        self.claims: list[Claim] = []
        self.is_complete = False
        self.says_not_found = False

    def feed(self, piece: str) -> None:
        """Take more text; nothing once the answer is complete."""
        self._rest += piece
        while not self.is_complete and ("\n" in self._rest or len(self._rest) > _LONGEST_LINE):
            line, _, self._rest = self._rest.partition("\n")
            self._take(line[:_LONGEST_LINE])

    def finish(self, *, is_cut: bool) -> None:
        """Take the last line; with `is_cut` it may end in the middle of a sentence."""
        if not self.is_complete and self._rest.strip():
            self._take(self._rest + (" …" if is_cut else ""))
        self._rest = ""

    def text(self) -> str:
        """The answer so far: whole claims, and of the line that grows what will stay."""
        if self.says_not_found and not self.claims:
            return NOT_FOUND
        shown = [str(each) for each in self.claims]
        growing = "" if self.is_complete else self._growing()
        return "\n".join([*shown, growing] if growing else shown)

    def _growing(self) -> str:
        line = self._rest
        if NOT_FOUND.startswith(_bare(line)[: len(NOT_FOUND)]):
            return ""
        cut = max(line.rfind(" "), 0)
        for opener in "[(`":
            opened = line.rfind(opener)
            if opened >= 0 and not re.search(r"[\])`]", line[opened + 1 :]):
                cut = min(cut, opened)
        line = line[:cut]
        if pointer := _PERHAPS_POINTER.search(line):
            line = line[: pointer.start(1)]
        return self._claim(line).text

    def _take(self, line: str) -> None:
        text = line.strip()
        if not text or text.startswith("```"):
            return
        if _bare(text).startswith(NOT_FOUND):
            self.says_not_found = self.is_complete = True
            return
        claim = self._claim(line)
        if not claim.text and not claim.citations:
            return
        if claim.text in [each.text for each in self.claims]:
            # A small model that repeats itself has no more to say.
            self.is_complete = True
            return
        self.claims.append(claim)
        self.is_complete = len(self.claims) >= self._max_claims

    def _claim(self, line: str) -> Claim:
        found: list[Citation] = []
        removed: list[str] = []

        def note(letter: str, number: str, shown: str) -> None:
            citation = self._cited(letter.upper(), int(number) if number else 0)
            if citation is None:
                removed.append(shown)
            elif citation not in found:
                found.append(citation)

        def of_brackets(match: re.Match[str]) -> str:
            inner = match[1] or match[2]
            # Round brackets hold more than labels.
            if not _LABELS.fullmatch(inner) or (match[2] and not _LETTERED.match(inner)):
                return match[0]
            for each in re.finditer(r"([A-Z]?)(\d{1,7})|([A-Z])\b", inner):
                note(each[1] or each[3] or "", each[2] or "", each[0])
            return ""

        def of_place(match: re.Match[str]) -> str:
            for place, each in enumerate(self._excerpts):
                if each.source.path == match[1] and each.start <= int(match[2]) <= each.end:
                    citation = Citation(match[1], int(match[2]), place)
                    if citation not in found:
                        found.append(citation)
                    return match[1]
            removed.append(match[0])
            return "(a place that was not among the sources)"

        text = _LIST_MARK.sub("", line)
        if bare := _BARE_LABEL.match(text):
            note(bare[1][0], bare[1][1:], bare[1])
            text = text[bare.end() :]
        text = _BRACKETS.sub(of_brackets, text)
        if pointer := _POINTER.search(text):
            if label := pointer[2]:
                note(label[0], label[1:], label)
            text = text[: pointer.end(1)]
        text = _PLACE.sub(of_place, text)
        if not found and (named := self._named(text)):
            found.append(named)
        return Claim(" ".join(text.lstrip(" |:.-").split()), tuple(found), tuple(removed))

    def _named(self, text: str) -> Citation | None:
        """The source line that defines, or else holds, a name that the text writes as code."""
        for match in _CODE.finditer(text):
            name = match[1].rpartition(".")[2].rpartition(":")[2]
            whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
            holding = [
                Citation(each.source.path, each.start + n, place)
                for place, each in enumerate(self._excerpts)
                for n, line in enumerate(each.lines)
                if whole.search(line)
            ]
            own = [
                each
                for each in holding
                if self._excerpts[each.place].source.symbol.rpartition(".")[2] == name
            ]
            if holding:
                return (own or holding)[0]
        return None

    def _cited(self, letter: str, number: int) -> Citation | None:
        """The line of that label; a letter alone is its source, a number alone must be clear."""
        fitting = [
            place
            for place, each in enumerate(self._excerpts)
            if letter in ("", each.label) and (not number or each.start <= number <= each.end)
        ]
        if len(fitting) != 1 or not (letter or number):
            return None
        excerpt = self._excerpts[fitting[0]]
        line = number or min(max(excerpt.source.line, excerpt.start), excerpt.end)
        return Citation(excerpt.source.path, line, fitting[0])


def _bare(line: str) -> str:
    """Small letters, without marks before them."""
    return line.strip("[*\"' ").lower()
