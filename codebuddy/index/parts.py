"""One language's code, and documents that embed code of several, cut and read for symbols.

A document's scripts are cut and read like files of their language, its markup like HTML;
places are those in the whole file. It opens no file and knows no storage.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from codebuddy.index.chunk import (
    IDEAL_BYTES,
    MAX_BYTES,
    SMALL_BYTES,
    Cut,
    cut_by_lines,
    cut_by_syntax,
    within_limit,
)
from codebuddy.index.symbols import FoundDefinition, FoundReference, find_symbols
from codebuddy.syntax.embedded import SCRIPTS, Region, regions
from codebuddy.syntax.grammar import grammar_for, parse
from codebuddy.syntax.limits import OutOfTimeError, reason_not_to_parse
from codebuddy.syntax.spec import VALUE_KINDS

# For one parse; ordinary files take milliseconds.
PARSE_BUDGET_MS = 1000
# Kinds that are no places of their own in a file: many share one line or one statement. A key is
# one still, since chunks would be named otherwise without it: that takes a new `ANALYSIS_VERSION`.
_NO_PLACES = VALUE_KINDS - {"key"}


@dataclass(frozen=True, slots=True)
class Part:
    """What is in a text; `fallback` is empty, or why its cuts are windows of lines."""

    cuts: tuple[Cut, ...]
    definitions: tuple[FoundDefinition, ...] = ()
    references: tuple[FoundReference, ...] = ()
    imports: tuple[str, ...] = ()
    fallback: str = ""

    @property
    def places(self) -> list[FoundDefinition]:
        """The definitions that chunks are named by, outer ones first."""
        found = [each for each in self.definitions if each.kind not in _NO_PLACES]
        return sorted(found, key=lambda each: (each.extent[0], -each.extent[1]))

    def moved(self, n_bytes: int, n_lines: int) -> Part:
        """The same with every place so much further down."""
        return replace(
            self,
            cuts=tuple(
                Cut(each.start_byte + n_bytes, each.end_byte + n_bytes, each.kind)
                for each in self.cuts
            ),
            definitions=tuple(
                replace(
                    each,
                    line=each.line + n_lines,
                    end_line=each.end_line + n_lines,
                    start_byte=each.start_byte + n_bytes,
                    extent=(each.extent[0] + n_bytes, each.extent[1] + n_bytes),
                )
                for each in self.definitions
            ),
            references=tuple(replace(each, line=each.line + n_lines) for each in self.references),
        )


def read_part(source: bytes, language: str, deadline: float) -> Part:
    """The code `source`, which is in one language.

    Args:
        source: Any bytes.
        language: A name of `languages()`, or another one, which has no syntax.
        deadline: When to give up, on the clock of `time.monotonic`.
    """
    grammar = grammar_for(language)
    reason = "no grammar" if grammar is None else ""
    reason = reason_not_to_parse(source, language) or reason
    if reason or grammar is None:
        return Part(tuple(cut_by_lines(source)), fallback=reason)
    left_ms = int((deadline - time.monotonic()) * 1000)
    tree = parse(source, language, min(PARSE_BUDGET_MS, left_ms)) if left_ms > 0 else None
    if tree is None:
        return Part(tuple(cut_by_lines(source)), fallback="deadline")
    try:
        symbols = find_symbols(tree, source, grammar, deadline)
        found = Part((), symbols.definitions, symbols.references, symbols.imports)
        extents = [each.extent for each in found.places]
        cuts = cut_by_syntax(tree, source, grammar, extents, deadline)
    except OutOfTimeError:
        return Part(tuple(cut_by_lines(source)), fallback="deadline")
    return replace(found, cuts=tuple(cuts))


def read_document(source: bytes, language: str, deadline: float) -> Part:
    """The text `source` of a document that may embed code; arguments as for `read_part`."""
    # Latin-1 has a character for every byte.
    found = regions(source.decode("latin-1"), language)
    if not found or reason_not_to_parse(source, language):
        return read_part(source, language, deadline)
    cuts: list[Cut] = []
    scripts: list[Part] = []
    place = line = counted = 0
    for region in found:
        line += source.count(b"\n", counted, region.start)
        counted = region.start
        part = read_part(source[region.start : region.end], region.language, deadline)
        part = part.moved(region.start, line)
        if region.language in SCRIPTS:
            scripts.append(part)
        start, end = _whole_lines(source, region)
        if place <= start < end:
            cuts += _markup(source, place, start, deadline)
            cuts += _stretched(part.cuts, start, end)
            place = end
    cuts += _markup(source, place, len(source), deadline)
    # What stands beside a script's tag, or in it, may be of any length.
    cuts = _without_small(within_limit(cuts, source))
    return Part(
        (Cut(0, len(source)),) if len(source) <= IDEAL_BYTES else tuple(cuts),
        tuple(each for part in scripts for each in part.definitions),
        tuple(each for part in scripts for each in part.references),
        tuple(dict.fromkeys(each for part in scripts for each in part.imports)),
        next((part.fallback for part in scripts if part.fallback), ""),
    )


def _whole_lines(source: bytes, region: Region) -> tuple[int, int]:
    """The lines of a region, with those of its tags where nothing else stands on them."""
    start, end = region.outer
    line_start = source.rfind(b"\n", 0, start) + 1
    if source[line_start:start].strip():
        start = source.find(b"\n", region.start, region.end) + 1 or region.end
    else:
        start = line_start
    line_end = source.find(b"\n", end) + 1 or len(source)
    if source[end:line_end].strip():
        end = source.rfind(b"\n", region.start, region.end) + 1
    else:
        end = line_end
    return start, end


def _markup(source: bytes, start: int, end: int, deadline: float) -> list[Cut]:
    if start >= end:
        return []
    part = read_part(source[start:end], "html", deadline)
    return list(part.moved(start, 0).cuts)


def _stretched(cuts: tuple[Cut, ...], start: int, end: int) -> list[Cut]:
    """The cuts of a region, made to cover the lines `start` to `end`."""
    inner = [each for each in cuts if start < each.end_byte and each.start_byte < end]
    if not inner:
        return [Cut(start, end)]
    inner[0] = replace(inner[0], start_byte=start)
    inner[-1] = replace(inner[-1], end_byte=end)
    return inner


def _without_small(cuts: list[Cut]) -> list[Cut]:
    """Join what is too small to be found by itself, a lone tag above all, to its neighbour."""
    joined: list[Cut] = []
    for cut in cuts:
        if joined:
            last = joined[-1]
            sizes = (last.end_byte - last.start_byte, cut.end_byte - cut.start_byte)
            if min(sizes) < SMALL_BYTES and sum(sizes) <= MAX_BYTES:
                kind = last.kind if sizes[0] >= sizes[1] else cut.kind
                joined[-1] = Cut(last.start_byte, cut.end_byte, kind)
                continue
        joined.append(cut)
    return joined
