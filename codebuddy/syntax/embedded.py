"""Documents that embed code of other languages: HTML, Vue, Svelte and Astro.

Such a text is mapped to regions, each the code of one language. For a parser the other parts
are blanked out: spaces stand in their place and line breaks stay, so that every position in a
region's tree is one in the file. It knows no grammar and opens no file; everything is found
by one scan of the text, whose cost grows with its length alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codebuddy.syntax.languages import MARKUP, TAG_NAMES, UNKNOWN

# Documents that are imported as modules of a script.
COMPONENTS = frozenset({"vue", "svelte", "astro"})
# Languages whose regions are one program of a file: what one declares, the others see.
# Each can be parsed as those before it.
_SCRIPTS = ("tsx", "typescript", "javascript")
SCRIPTS = frozenset(_SCRIPTS)
MAX_REGIONS = 200

_TAG = re.compile(r"<!--|<(script|style|template)(?=[\s>/])", re.IGNORECASE)
# What a tag holds until its end; a value in quotes may hold `>`. Its parts exclude each
# other, so that nothing is tried twice.
_INSIDE_TAG = re.compile(r"""(?:[^>"']|"[^"]*"|'[^']*')*""")
_ATTRIBUTE = re.compile(r"""([^\s=>"'/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""")
_FENCE = re.compile(r"\s*---[ \t]*(?=\r?\n|\Z)")
_FENCE_END = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_LINE = re.compile(r"[^\r\n]+")
_MAX_TAG_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Region:
    """Code of one language in a text: characters `start` to `end`, without its tags.

    `outer` is the range with the tags or fences; `closing` begins what ends the region.
    """

    language: str
    start: int
    end: int
    outer: tuple[int, int]
    closing: str


@dataclass(frozen=True, slots=True)
class CodeAt:
    """The language at a place of a document, and the document with all else blanked out."""

    language: str
    text: str
    closing: str = ""


def embeds_code(language: str) -> bool:
    """Whether texts of `language` may hold regions of others."""
    return language in MARKUP


def regions(text: str, language: str) -> tuple[Region, ...]:
    """The regions of a text of `language`, in order; at most 200, what follows is markup.

    An unclosed one reaches to the text's end.
    """
    if not embeds_code(language):
        return ()
    found: list[Region] = []
    place = 0
    if language == "astro" and (fence := _FENCE.match(text)):
        closing = _FENCE_END.search(text, fence.end())
        end, place = (len(text), len(text)) if closing is None else (closing.start(), closing.end())
        found.append(Region("typescript", fence.end(), end, (0, place), "---"))
    while len(found) < MAX_REGIONS and (tag := _TAG.search(text, place)):
        name = (tag[1] or "").lower()
        if not name:
            closing_at = text.find("-->", tag.end())
            place = len(text) if closing_at < 0 else closing_at + 3
            continue
        inside = _INSIDE_TAG.match(text, tag.end(), tag.end() + _MAX_TAG_CHARACTERS)
        assert inside is not None
        start = inside.end()
        if text[start : start + 1] != ">":
            # It is no tag yet, or none at all.
            place = max(start, tag.end())
            continue
        place = start + 1
        if text[start - 1] == "/":
            continue
        inner = _language_of(name, _attributes(inside[0]), language)
        if name == "template":
            # Markup, whose own tags are looked at; one in another language is left alone.
            if inner != "html":
                place = _closing(text, place, name)[1]
            continue
        end, after = _closing(text, place, name)
        if inner != "html":
            found.append(Region(inner, place, end, (tag.start(), after), f"</{name}"))
        place = after
    return tuple(found)


def region_at(found: Sequence[Region], place: int) -> Region | None:
    """The region that the position before the character `place` lies in."""
    index = bisect_right([each.start for each in found], place) - 1
    return found[index] if index >= 0 and place <= found[index].end else None


def same_program(found: Iterable[Region], region: Region) -> list[Region]:
    """The regions that share names with `region`, itself among them."""
    if region.language not in SCRIPTS:
        return [region]
    return [each for each in found if each.language in SCRIPTS]


def script_language(found: Iterable[Region]) -> str:
    """The language that all scripts of a file can be parsed as; empty where there are none."""
    languages = {each.language for each in found} & SCRIPTS
    for language in _SCRIPTS:
        if language in languages:
            return language
    return ""


def keep_only(text: str, kept: Iterable[Region]) -> str:
    """`text` with everything outside the regions blanked; lengths and lines stay the same."""
    parts: list[str] = []
    place = 0
    for region in kept:
        parts += [_blank(text[place : region.start]), text[region.start : region.end]]
        place = region.end
    return "".join([*parts, _blank(text[place:])])


def blank_out(text: str, gone: Iterable[Region]) -> str:
    """`text` with the regions blanked; lengths and lines stay the same."""
    parts: list[str] = []
    place = 0
    for region in gone:
        parts += [text[place : region.start], _blank(text[region.start : region.end])]
        place = region.end
    return "".join([*parts, text[place:]])


def code_at(text: str, language: str, place: int) -> CodeAt:
    """The code around the character `place` of a text of `language`.

    Between regions it is markup, which reads as HTML. A language that embeds no others is
    taken as it is.
    """
    if not embeds_code(language):
        return CodeAt(language, text)
    found = regions(text, language)
    region = region_at(found, place)
    if region is None:
        return CodeAt("html", blank_out(text, found))
    kept = same_program(found, region)
    program = script_language(kept) if region.language in SCRIPTS else region.language
    return CodeAt(program, keep_only(text, kept), region.closing)


def script_of(source: bytes, language: str) -> tuple[str, bytes] | None:
    """The scripts' language and the source with all else blanked; `None` without a script.

    Bytes keep their places, so that what a tree of the result says holds for the file.
    """
    if not embeds_code(language):
        return None
    # Latin-1 has a character for every byte.
    text = source.decode("latin-1")
    kept = [each for each in regions(text, language) if each.language in SCRIPTS]
    if not kept:
        return None
    return script_language(kept), keep_only(text, kept).encode("latin-1")


def _blank(text: str) -> str:
    return _LINE.sub(lambda line: " " * len(line[0]), text)


def _closing(text: str, start: int, name: str) -> tuple[int, int]:
    """Where the element's content ends, and where its closing tag does."""
    closing = _CLOSING[name].search(text, start)
    return (len(text), len(text)) if closing is None else (closing.start(), closing.end())


_CLOSING = {
    name: re.compile(rf"</{name}\s{{0,100}}>", re.IGNORECASE)
    for name in ("script", "style", "template")
}


def _attributes(inside: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(inside):
        value = match[2] or match[3] or match[4] or ""
        found.setdefault(match[1].lower(), value.strip().lower())
    return found


def _language_of(name: str, attributes: dict[str, str], document: str) -> str:
    """What the content of an element is written in, by its attributes and its document."""
    lang = attributes.get("lang", "")
    if name == "style":
        return TAG_NAMES.get(lang or "css", UNKNOWN)
    if name == "template":
        return TAG_NAMES.get(lang or "html", UNKNOWN)
    if not lang:
        kind = attributes.get("type", "").partition(";")[0].strip()
        lang = kind.removeprefix("text/").removeprefix("application/").removeprefix("x-")
        lang = lang.replace("ecmascript", "javascript")
        if kind and lang not in TAG_NAMES:
            # A template or data, which only its own program reads.
            return "html" if lang in ("template", "handlebars-template") else UNKNOWN
    if not lang and document == "astro":
        return "typescript"
    return TAG_NAMES.get(lang, UNKNOWN)
