"""What the thirty changes take and how right they are, on real repositories, without a model.

    python -m tests.bench.robustness DIR... [--holes N]

A place is one piece of text that is changed (a comment, a name where it stands, a line); an
application is one transformation of one hole. Processor time, all checks included.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

from codebuddy.evaluation.sites import find_sites
from codebuddy.robustness.catalog import FAMILIES, TRANSFORMATIONS, transformed
from codebuddy.robustness.place import NothingToChangeError, Place, open_view
from codebuddy.syntax import count_errors, language_for, traits_of

_PER_FILE = 3
_MAX_FILE_BYTES = 300_000


def main() -> None:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--holes", type=int, default=500)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        measure(folder, arguments.holes)


def measure(folder: Path, n_holes: int) -> None:
    """Apply each transformation to holes of a folder's files, and look at what came out."""
    applied: Counter[str] = Counter()
    parsed: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    n_places = 0
    spent: dict[str, float] = defaultdict(float)
    n_lines, n_done = 0, 0
    files = _files(folder)
    for file in files:
        n_lines += file.read_bytes().count(b"\n")
    for place in _places(files, n_holes):
        started = time.process_time()
        try:
            view = open_view(place)
        except NothingToChangeError:
            continue
        n_done += 1
        before = count_errors(place.source, place.language)
        spent["view"] += time.process_time() - started
        for each in TRANSFORMATIONS:
            if not each.serves(place.language):
                continue
            started = time.process_time()
            outcome = transformed(each, place, 0, view=view)
            spent[each.family] += time.process_time() - started
            asked[each.family] += 1
            if outcome.place is None:
                continue
            applied[each.family] += 1
            n_places += outcome.n_edits
            parsed[each.family] += count_errors(outcome.place.source, place.language) <= before
    total = sum(spent.values())
    print(f"{folder.name}: {len(files)} files, {n_lines} lines, {n_done} holes")
    print("| family | asked | changed | parse as before | ms each |\n|---|--:|--:|--:|--:|")
    for family in FAMILIES:
        share = parsed[family] / applied[family] if applied[family] else 0
        ms = 1000 * spent[family] / max(1, asked[family])
        print(f"| {family} | {asked[family]} | {applied[family]} | {share:.2%} | {ms:.2f} |")
    print(
        f"{sum(asked.values()) / total:.0f} applications/s, {n_places / total:.0f} places/s,"
        f" {sum(parsed.values()) / sum(applied.values()):.2%} parse as before"
    )


def _files(folder: Path) -> list[Path]:
    found = [
        each
        for each in sorted(folder.rglob("*"))
        if each.is_file()
        and not each.is_symlink()
        and not {".venv", ".git", "node_modules", "build"} & set(each.parts)
        and traits_of(language_for(each.name, b"")).category == "code"
        and each.stat().st_size <= _MAX_FILE_BYTES
    ]
    random.Random(0).shuffle(found)
    return found


def _places(files: list[Path], n_holes: int) -> list[Place]:
    places: list[Place] = []
    for file in files:
        source, language = file.read_bytes(), language_for(file.name, b"")
        sites = find_sites(source, language) if b"\r" not in source else None
        if sites is None:
            continue
        rng = random.Random(file.name)
        lines = rng.sample(sites.lines, min(_PER_FILE - 1, len(sites.lines)))
        blocks = rng.sample(sites.blocks, min(1, len(sites.blocks)))
        spans = [(rng.choice(line.token_bytes), line.end_byte) for line in lines]
        spans += [(block.start_byte, block.end_byte) for block in blocks]
        places += [Place(source, language, start, end) for start, end in spans if end - start > 2]
        if len(places) >= n_holes:
            break
    return places[:n_holes]


if __name__ == "__main__":
    main()
