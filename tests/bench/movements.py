"""What going around in one file costs: tokens that are evaluated where the cursor comes to.

    python -m tests.bench.movements [FILE...]         Markdown on stdout; a minute
    options: --stops N per file (default 40), --seed N, --ahead (reads on at each stop)

A session is one file, by default eight of this package and of the standard library. From a place
in it somebody jumps to the definition of a name nearby, comes back, or goes on to the next place
that holds a word, and a suggestion is asked for at each stop; at every third one a line is typed,
which stays. Prompts, slots and plans are those of the product with the default model's vocabulary;
nothing is evaluated, since only tokens are counted, so that a busy machine changes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import itertools
import random
import re
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy.completion.ahead import VisitedPlaces, places_ahead
from codebuddy.completion.context import build_context
from codebuddy.completion.prompt import build_prompt
from codebuddy.config import load_settings
from codebuddy.datatypes import Context, Document, GenerationStats, Position
from codebuddy.index.analysis import analyze
from codebuddy.inference.installed import find_model
from codebuddy.inference.kv_cache import KvCache
from codebuddy.inference.reuse import Markers
from codebuddy.inference.vocabulary import open_vocabulary

ROOT = Path(__file__).parents[2]
FILES = [
    *(ROOT / "codebuddy" / name for name in ("index/build.py", "inference/llama.py")),
    *(ROOT / "codebuddy" / name for name in ("commands/eval.py", "vcs/repository.py")),
    *(ROOT / "codebuddy" / name for name in ("tui/app.py", "completion/pipeline.py")),
    *(Path(inspect.getfile(module)) for module in (argparse, subprocess)),
]
TYPED = "zq_value = other_thing[index]"
RESERVED = 128
_NEAR_LINES = 8
_WORD = re.compile(r"[A-Za-z_]\w{2,}")


@dataclass(frozen=True, slots=True)
class Stop:
    """A place where a suggestion is asked for, and how the cursor came there."""

    kind: str
    text: str
    line: int
    column: int


class Session:
    """Somebody who goes around in a file; lines keep their identity while others are typed."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path, self._chance = path, chance
        text = path.read_text(encoding="utf-8")
        self._lines = list(enumerate(text.split("\n")))
        self._ids = itertools.count(len(self._lines))
        found = analyze(path.name, text.encode()).definitions
        # The first line of a definition's body.
        self._bodies = {each.name: each.line for each in found if each.end_line > each.line}
        self._back: list[int] = []
        self._word = ""

    def stops(self, count: int) -> Iterator[Stop]:
        """Each stop, with what is typed at some of them as stops of their own."""
        at = self._chance.choice(list(self._bodies.values()))
        kind = "start"
        for number in range(count):
            yield self._stop(kind, at)
            if number % 3 == 2:
                at = self._insert_after(at)
                for size in range(1, len(TYPED), 7):
                    self._lines[self._index(at)] = (at, f"    {TYPED[:size]}")
                    yield self._stop("keystroke", at)
            kind, at = self._next(kind, at)

    def _next(self, kind: str, at: int) -> tuple[str, int]:
        ways = ["definition"] * 5 + ["hit"] * 4 + ["back"]
        if kind == "definition":
            ways = ["back"] * 6 + ["hit"] * 2 + ["definition"] * 2
        way = self._chance.choice(ways)
        if way == "back" and self._back:
            return way, self._back.pop()
        near = self._near_words(at)
        defined = [
            word
            for word in near
            if abs(self._index(self._bodies.get(word, at)) - self._index(at)) > 3
        ]
        if way == "definition" and defined:
            self._back.append(at)
            return way, self._bodies[self._chance.choice(defined)]
        hits = self._hits(self._word)
        if self._word not in near or len(hits) < 3:
            self._word = self._chance.choice(near or ["self"])
            hits = self._hits(self._word)
        here = self._index(at)
        ahead = [each for each in hits if self._index(each) > here] or hits
        return "hit", ahead[0] if ahead else at

    def _near_words(self, at: int) -> list[str]:
        index = self._index(at)
        lines = self._lines[max(0, index - _NEAR_LINES) : index + _NEAR_LINES]
        return sorted({word for _, line in lines for word in _WORD.findall(line)})

    def _hits(self, word: str) -> list[int]:
        pattern = re.compile(rf"\b{re.escape(word)}\b")
        return [each for each, line in self._lines if word and pattern.search(line)]

    def _insert_after(self, at: int) -> int:
        new = next(self._ids)
        self._lines.insert(self._index(at) + 1, (new, ""))
        return new

    def _index(self, at: int) -> int:
        return next(index for index, (each, _) in enumerate(self._lines) if each == at)

    def _stop(self, kind: str, at: int) -> Stop:
        index = self._index(at)
        text = "\n".join(line for _, line in self._lines)
        return Stop(kind, text, index + 1, len(self._lines[index][1]) + 1)


class _Library:
    """Stands where llama.cpp is called, and evaluates nothing: plans are all that is measured."""

    def __getattr__(self, name: str) -> Any:
        results = {"llama_decode": 0, "llama_memory_seq_rm": True}
        return lambda *_: results.get(name)

    def llama_batch_init(self, size: int, *_: int) -> Any:
        """What a batch is filled through."""
        from types import SimpleNamespace

        rows = [[0] for _ in range(size)]
        lists = {name: [0] * size for name in ("token", "pos", "n_seq_id", "logits")}
        return SimpleNamespace(n_tokens=0, seq_id=rows, **lists)


class Prompts:
    """The product's prompts of a file, with the default model's vocabulary."""

    name = "planned"

    def __init__(self) -> None:
        self.settings = load_settings().settings
        found = find_model(self.settings.model.name, self.settings)
        assert found.path is not None
        self._vocabulary = open_vocabulary(found.path)
        self.fim, self.bos = self._vocabulary.fim, self._vocabulary.bos
        self.tokenize = self._vocabulary.tokenize
        self.n_ctx = self.settings.model.n_ctx
        assert self.fim.prefix is not None
        assert self.fim.suffix is not None
        self.markers = Markers(self.fim.prefix, self.fim.suffix)

    def context(self, path: Path, stop: Stop) -> Context:
        """What is around the cursor at a stop."""
        document = Document(path.name, stop.text, path)
        return build_context(document, Position(stop.line, stop.column), "python")

    def tokens(self, context: Context) -> list[int]:
        """The prompt there, without lookups."""
        generator: Any = self
        prompt = build_prompt(context, [], generator, self.settings.completion, ROOT.name)
        return list(prompt.tokens)

    def cache(self) -> KvCache:
        """An empty one of the product's size."""
        return KvCache(
            _Library(),
            None,
            n_cells=self.n_ctx,
            batch_tokens=512,
            has_slots=True,
            on_interrupt=lambda: None,
            is_stopping=lambda: False,
        )


def main() -> None:
    """Play the sessions and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--stops", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--ahead", action="store_true")
    arguments = parser.parse_args()
    prompts = Prompts()
    shares: dict[str, list[float]] = defaultdict(list)
    ahead, wanted = 0, 0
    for path in arguments.files or FILES:
        cache = prompts.cache()
        session = Session(path, random.Random(f"{arguments.seed} {path.name}"))
        moved, visited = [], VisitedPlaces()
        for stop in session.stops(arguments.stops):
            context = prompts.context(path, stop)
            tokens, stats = prompts.tokens(context), GenerationStats()
            cache.evaluate_prompt(tokens, RESERVED, prompts.markers, stats)
            share = stats.evaluated_tokens / stats.prompt_tokens
            shares[stop.kind].append(share)
            if stop.kind not in ("start", "keystroke"):
                moved.append(share)
            visited.note(path.name, stop.line)
            if arguments.ahead:
                ahead += _read_ahead(prompts, cache, path, stop, visited)
                wanted += stats.prompt_tokens
        lines = path.read_text(encoding="utf-8").count("\n")
        print(f"{path.name}, {lines} lines: {statistics.median(moved):.0%}", flush=True)
        shares["any movement"] += moved
    if arguments.ahead:
        print(f"\nread ahead, of all prompts' tokens: {ahead / wanted:.0%}")
    print("\n| kind | count | median | mean |\n|---|--:|--:|--:|")
    for kind, each in shares.items():
        middle, mean = statistics.median(each), statistics.mean(each)
        print(f"| {kind} | {len(each)} | {middle:.1%} | {mean:.1%} |")


def _read_ahead(
    prompts: Prompts, cache: KvCache, path: Path, stop: Stop, visited: VisitedPlaces
) -> int:
    """Tokens that are evaluated while the cursor rests at a stop."""
    evaluated = 0
    for place in places_ahead(prompts.context(path, stop), [], visited.before(path.name), 3):
        there = dataclasses.replace(stop, line=place.line, column=place.column)
        stats = GenerationStats()
        cache.read_ahead(prompts.tokens(prompts.context(path, there)), stats)
        evaluated += stats.evaluated_tokens
    return evaluated


if __name__ == "__main__":
    main()
