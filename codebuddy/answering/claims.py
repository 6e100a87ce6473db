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
from codebuddy.syntax import language_for

NO_SOURCE = "[no source]"
NOT_FOUND = "not found"
_NO_PLACE = "a place that was not among the sources"

# Not of `names[0]`.
_BRACKETS = re.compile(
    r"(?:^|(?<!\s)\s+|(?<=[.,;:]))(?:\[([^\[\]()]{1,60})\]|\(([^\[\]()]{1,60})\))"
)
_LABELS = re.compile(
    r"\s*(?:(?:line )?[A-Z]?\d{1,7}|[A-Z])(?:\s*(?:,|;|-|and|to)\s*(?:[A-Z]?\d{1,7}|[A-Z]))*\s*"
)
_LETTERED = re.compile(r"\s*[A-Z]\d")
# At the beginning without brackets: `A12: `, `A12| `.
_BARE_LABEL = re.compile(r"^\s*([A-Z]\d{1,7})(?:([|:])\s*|\s*[|:.)-]\s*|\s)")
# `[A12] and [B3]` are one pair of brackets.
_LABEL = r"\[[A-Z]\d{1,7}(?:[,;\s-]+[A-Z]?\d{1,7}){0,9}\]"
_JOIN = r"\s{0,9}(?:,\s{0,9})?(?:(?:and|or|&)\s{0,9})?"
_LABELS_IN_A_ROW = re.compile(rf"{_LABEL}(?:{_JOIN}{_LABEL}){{1,9}}")
_BETWEEN_LABELS = re.compile(rf"\]{_JOIN}\[")
_PERHAPS_NEXT_LABEL = re.compile(rf"\]{_JOIN}$")
# A label as the end of a phrase, which lacks something without it.
_IN_A_PHRASE = re.compile(r"\b(?:in|at|on|by|from|see|with|to|of)$", re.IGNORECASE)
_OF_A_LINE = re.compile(r"\blines?$", re.IGNORECASE)
# A place as the answer itself would write it.
_PLACE = re.compile(r"([\w@+~-][\w./@+~-]{0,160}\.[A-Za-z]\w{0,20}):(\d{1,7})(?:-\d{1,7})?")
# The same in words: "`cart.py` file, line 7".
_PLACE_IN_WORDS = re.compile(
    r"(`?([\w@+~-][\w./@+~-]{0,160}\.[A-Za-z]\w{0,20})`?(?:\s+file)?,?\s+(?:(?:at|on|in)\s+)?lines?)"
    r"\s+(\d{1,7})(?:\s*(?:-|to|and)\s*(\d{1,7}))?"
)
_PERHAPS_PLACE_IN_WORDS = re.compile(r"\blines?(?:\s+\d{1,7})?(?:\s*-|\s+to|\s+and)?\s*$")
# A name as code: `total`, `Cart.total()`.
_CODE = re.compile(r"`(?:[\w.:]*[.:])?([A-Za-z_]\w*[?!]?)(?:\([^`]*\))?`")
# What is left of "... . The source line that shows this is [A12]."
_POINTS = r"\b[^.!`]*\b(?:is|are)\s*([A-Z]\d{1,7})?(?:\s|,|\band\b|\bor\b)*[.:]?\s*$"
_POINTER = re.compile(rf"([.!])\s+Th(?:e|is|ese)\b[^.!`]*\b(?:line|label)s?{_POINTS}")
# The same where nothing stands before it.
_ALL_POINTER = re.compile(
    rf"()\s*Th(?:e|is|ese)(?:\s+[^\s.!`]+){{0,2}}\s+(?:line|label)s?{_POINTS}"
)
_PERHAPS_POINTER = re.compile(r"[.!](\s+Th(?:e|is|ese)\b[^.!]*)$")
_PERHAPS_ALL_POINTER = re.compile(
    r"\s*Th(?:e|is|ese)\b(?:\s+[^\s.!`]+){0,3}\s*$"
    r"|\s*Th(?:e|is|ese)(?:\s+[^\s.!`]+){0,2}\s+(?:line|label)s?\b[^.!`]*$"
)
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
# What may stand before a claim and is none of it; `.env` and `--flag` keep what they begin with.
_BEFORE = re.compile(r"^(?:[\s|:]|[.-](?=\s|$))+")
# What "not found" must stand before to be the whole answer; else it begins a claim.
_SAYS_NOT_FOUND = re.compile(
    rf"{NOT_FOUND}(?:[^\w`]*$|[^\w\s`]|\s+(?:in|among|within|here|anywhere)\b)"
)
_PERHAPS_NOT_FOUND = re.compile(rf"{NOT_FOUND}\s*(?:\w*|\[[^\]]{{0,60}}\]?[\s.]*)$")
_LONGEST_LINE = 600
# A longer line is cut behind the last sentence, or else word, that ends behind here.
_MIN_CUT = 300
_SENTENCE_END = re.compile(r"[.!?][\])]?(?=\s)")


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
            line, mark, rest = self._rest.partition("\n")
            at = _cut(line)
            self._rest = line[at:] + mark + rest if at < len(line) else rest
            self._take(line[:at])

    def finish(self, *, is_cut: bool) -> None:
        """Take the last line; with `is_cut` it may end in the middle of a sentence."""
        if not self.is_complete and self._rest.strip():
            line = self._rest
            if is_cut and line.count("`") % 2:
                line = line[: line.rindex("`")]
            self._take(line.rstrip() + " …" if is_cut else line)
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
        bare = _bare(line)
        is_open = NOT_FOUND.startswith(bare) or _PERHAPS_NOT_FOUND.match(bare)
        if is_open or _SAYS_NOT_FOUND.match(bare):
            return ""
        if _PERHAPS_ALL_POINTER.match(line):
            return ""
        cut = max(line.rfind(" "), 0)
        if len(line) > _MIN_CUT:
            # No further than where the line may be cut.
            cut = min(cut, _last_sentence(line) or line.rfind(" ", 0, _MIN_CUT))
        line = line[:cut]
        for opener in "[(":
            opened = line.rfind(opener)
            if opened >= 0 and not re.search(r"[\])]", line[opened + 1 :]):
                line = line[:opened]
        if line.count("`") % 2:
            line = line[: line.rindex("`")]
        if pointer := _PERHAPS_POINTER.search(line):
            line = line[: pointer.start(1)]
        if place := _PERHAPS_PLACE_IN_WORDS.search(line):
            line = line[: place.start()]
        shown = self._claim(_PERHAPS_NEXT_LABEL.sub("]", line)).text
        # A sentence that is said again ends the answer and is not shown.
        return "" if any(each.text.startswith(shown) for each in self.claims) else shown

    def _take(self, line: str) -> None:
        text = line.strip()
        if not text or text.startswith("```"):
            return
        if _is_not_found(text):
            self.says_not_found = self.is_complete = True
            return
        claim = self._claim(line)
        if not claim.text:
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
            labels = list(re.finditer(r"([A-Z]?)(\d{1,7})|([A-Z])\b", inner))
            # `S3` in round brackets is a word, unless a source is called so.
            if match[2] and not any(self._is_label(each[1]) for each in labels):
                return match[0]
            n_removed = len(removed)
            for each in labels:
                note(each[1] or each[3] or "", each[2] or "", each[0])
            before = match.string[: match.start()].rstrip()
            is_in_phrase = _IN_A_PHRASE.search(before)
            if not (is_in_phrase or _OF_A_LINE.search(before)):
                return ""
            if len(removed) > n_removed:
                return " that was not among the sources" if not is_in_phrase else " " + _NO_PLACE
            numbers = ", ".join(each[2] for each in labels if each[2])
            return f" {'line ' if is_in_phrase else ''}{numbers}" if numbers else ""

        text = _LIST_MARK.sub("", line)
        bare = _BARE_LABEL.match(text)
        if bare and (bare[2] or self._is_label(bare[1][0])):
            note(bare[1][0], bare[1][1:], bare[1])
            text = text[bare.end() :]
        text = _LABELS_IN_A_ROW.sub(lambda row: _BETWEEN_LABELS.sub(", ", row[0]), text)
        text = _BRACKETS.sub(of_brackets, text)
        if pointer := _ALL_POINTER.match(text) or _POINTER.search(text):
            if label := pointer[2]:
                note(label[0], label[1:], label)
            text = text[: pointer.end(1)]
        text = self._without_unshown(text, found, removed)
        if not found and (named := self._named(text)):
            found.append(named)
        return Claim(" ".join(_BEFORE.sub("", text).split()), tuple(found), tuple(removed))

    def _without_unshown(self, text: str, found: list[Citation], removed: list[str]) -> str:
        """The text without places that were not among the sources; the others are cited."""

        def is_shown(path: str, line: int) -> bool:
            for place, each in enumerate(self._excerpts):
                own = each.source.path
                if (own == path or own.endswith("/" + path)) and each.start <= line <= each.end:
                    if (citation := Citation(own, line, place)) not in found:
                        found.append(citation)
                    return True
            return False

        def is_file(path: str) -> bool:
            """Whether it is to be a file's: `Shop.add` is none, and a host has a port, no line."""
            return "/" in path or language_for(path) != "text"

        def of_place(match: re.Match[str]) -> str:
            if is_shown(match[1], int(match[2])):
                return match[1]
            is_address = match.string[: match.start()].endswith("://")
            if is_address or not is_file(match[1]) or self._holds(match[0]):
                return match[0]
            removed.append(match[0])
            return f"({_NO_PLACE})"

        def of_place_in_words(match: re.Match[str]) -> str:
            path, lines = match[2], [int(each) for each in match.group(3, 4) if each]
            if not is_file(path):
                return match[0]
            shown = [is_shown(path, each) for each in lines]
            if all(shown):
                return match[0]
            removed.append(match[0])
            were = "were" if match[1].endswith("s") else "was"
            return f"{match[1]} that {were} not among the sources"

        return _PLACE_IN_WORDS.sub(of_place_in_words, _PLACE.sub(of_place, text))

    def _holds(self, text: str) -> bool:
        """Whether a source line holds the text word for word."""
        return any(text in line for each in self._excerpts for line in each.lines)

    def _is_label(self, letter: str) -> bool:
        return any(letter == each.label for each in self._excerpts)

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


def _cut(line: str) -> int:
    """Where a line that is too long ends: not in code, and nothing of it is lost."""
    if len(line) <= _LONGEST_LINE:
        return len(line)
    start = line[:_LONGEST_LINE]
    spaces = (each.start() for each in re.finditer(r"\s", start))
    free = [at for at in spaces if at > _MIN_CUT and start.count("`", 0, at) % 2 == 0]
    return _last_sentence(start) or max(free, default=_LONGEST_LINE)


def _last_sentence(line: str) -> int:
    """Where the last one ends that is long enough and not within code; 0 without one."""
    ends = (each.end() for each in _SENTENCE_END.finditer(line, _MIN_CUT))
    return max((at for at in ends if line.count("`", 0, at) % 2 == 0), default=0)


def _is_not_found(text: str) -> bool:
    """Whether a line says that nothing was found, and says nothing else with a source."""
    bare = _bare(text)
    rest = re.sub(_LABEL, "", bare, flags=re.IGNORECASE)
    return bool(_SAYS_NOT_FOUND.match(rest)) and (rest == bare or rest.strip(" .") == NOT_FOUND)


def _bare(line: str) -> str:
    """Small letters, without marks before them."""
    return line.strip("[*\"' ").lower()
