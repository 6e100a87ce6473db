"""What one warm model saves per keystroke, in one process, as Markdown on stdout.

    python -m tests.bench.warm                          all sections
    python -m tests.bench.warm typing drafts            some of them
    python -m tests.bench.warm typing session --llama-server PATH/llama-server

The text is this repository's own code, cut to a file of 300 lines. Times that are compared
are taken in turns, and each figure is a median of `--runs`, or a ratio of medians.
`--llama-server` starts that program beside, with the same model and threads, and asks its
`/infill` with the same keystrokes; `--server-url` asks one that runs already.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from codebuddy.cancellation import CancellationToken
from codebuddy.completion.cache import CacheKey, SuggestionCache
from codebuddy.completion.context import build_context
from codebuddy.completion.prompt import build_prompt
from codebuddy.config import load_settings
from codebuddy.datatypes import Document, GenerationSettings, GenerationStats, Position
from codebuddy.errors import ModelError, SupersededError
from codebuddy.inference.http_stream import ModelServer
from codebuddy.inference.installed import find_model
from codebuddy.inference.llama import LlamaGenerator
from codebuddy.inference.logits import choose_greedily
from codebuddy.settings import Settings
from tests.bench.movements import Session

ROOT = Path(__file__).parents[2]
SECTIONS = (
    "typing",
    "jumps",
    "session",
    "drafts",
    "cancel",
    "state",
    "statistics",
    "cache",
    "threads",
)
FILE_LINES = 300
SOURCE = "codebuddy/index/build.py"
# What a person may type that no model foresees.
TYPED = "zq_value = unlikely_name(first, 17) + other_thing[index] - 3"


def main() -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", metavar="|".join(SECTIONS))
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--server-url", default="")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    load = os.getloadavg()[0]
    print(f"commit {commit}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}")
    print(f"command: python -m tests.bench.warm {' '.join(sys.argv[1:])}\n")
    print("| what | figure | goal |\n|---|--:|--:|", flush=True)
    bench = Bench(arguments.runs, arguments.llama_server, arguments.server_url)
    for section in arguments.sections or SECTIONS:
        getattr(bench, section)()


def row(what: str, figure: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"| {what} | {figure} | {goal} |", flush=True)


class Bench:
    """One loaded model and a file of 300 lines."""

    def __init__(self, runs: int, llama_server: Path | None, server_url: str = "") -> None:
        self.runs = runs
        self.server_url = server_url
        self.llama_server = llama_server
        self.settings: Settings = load_settings().settings
        found = find_model(self.settings.model.name, self.settings)
        assert found.path is not None
        self.path = found.path
        self.model = LlamaGenerator(found.path, found.name, self.settings.model)
        text = (ROOT / SOURCE).read_text(encoding="utf-8")
        self.lines = (text * 2).splitlines(keepends=True)[:FILE_LINES]

    def tokens(self, line: int, typed: str) -> list[int]:
        """The prompt with `typed` on a new line after `line`."""
        text = "".join([*self.lines[:line], f"    {typed}\n", *self.lines[line:]])
        document = Document("module.py", text, ROOT / "module.py")
        context = build_context(document, Position(line + 1, 5 + len(typed)), "python")
        prompt = build_prompt(context, [], self.model, self.settings.completion, ROOT.name)
        return list(prompt.tokens)

    def first_token(self, tokens: list[int], *, is_typing: bool = True) -> GenerationStats:
        """Evaluate and generate one token."""
        stats = GenerationStats()
        how = GenerationSettings(1, is_typing=is_typing)
        list(self.model.generate(tokens, how, stats))
        return stats

    def typing(self) -> None:
        """Keystrokes at one place of the file: warm against cold, and against /infill."""
        line, cold, warm, shares, exact = FILE_LINES // 2, [], [], [], []
        cold_every = max(4, self.runs // 4)
        keys = [TYPED[: count + 1] for count in range(self.runs)]
        with self._server() as server:
            infill, infill_tokens = [], []
            for count, typed in enumerate(keys):
                tokens = self.tokens(line, typed)
                if count % cold_every == 0:
                    self.model.kv.clear()
                    cold.append(self.first_token(tokens).prefill_ms)
                    if server:
                        self._infill(server, *self._around(line, typed))
                    continue
                stats = self.first_token(tokens)
                warm.append(stats.prefill_ms)
                shares.append(stats.evaluated_tokens / stats.prompt_tokens)
                if server:
                    ms, evaluated = self._infill(server, *self._around(line, typed))
                    infill.append(ms)
                    infill_tokens.append(evaluated)
        for typed in keys[: max(3, self.runs // 4)]:
            exact.append(self.first_token(self.tokens(line, typed), is_typing=False).prefill_ms)
        cold_ms, warm_ms = statistics.median(cold), statistics.median(warm)
        row("prompt tokens", str(len(tokens)))
        row("keystroke: tokens evaluated", f"{statistics.median(shares):.1%}", "15%")
        row("keystroke: the most that one evaluated", f"{max(shares):.1%}")
        row("cold, ms to the first token", f"{cold_ms:.0f}")
        row("keystroke, ms to the first token", f"{warm_ms:.0f}")
        row("cold / keystroke", f"{cold_ms / warm_ms:.1f}", "6")
        row("keystroke without shifting, ms to the first token", f"{statistics.median(exact):.0f}")
        if infill:
            infill_ms = statistics.median(infill)
            row("llama-server /infill, same keystrokes, ms", f"{infill_ms:.0f}")
            row("llama-server /infill, tokens evaluated", f"{statistics.median(infill_tokens):.0f}")
            row("keystroke / llama-server /infill", f"{warm_ms / infill_ms:.2f}", "1")

    def jumps(self) -> None:
        """Going to another place of the file and back, a keystroke at each."""
        first: list[float] = []
        second: list[float] = []
        self.model.kv.clear()
        for count in range(max(4, self.runs // 3)):
            typed = TYPED[: count + 1]
            for line, shares in ((FILE_LINES // 4, first), (FILE_LINES * 3 // 4, second)):
                stats = self.first_token(self.tokens(line, typed))
                shares.append(stats.evaluated_tokens / stats.prompt_tokens)
        row("the first keystroke at each of two places", f"{(first[0] + second[0]) / 2:.1%}")
        back = statistics.median(first[1:] + second[1:])
        row("a keystroke after going to the other place and back", f"{back:.1%}", "15%")

    def session(self) -> None:
        """Typing and going around in a file (`tests.bench.movements`): all that is waited for."""
        self.model.kv.clear()
        ours: list[float] = []
        theirs: list[float] = []
        evaluated, wanted, infill_tokens = 0, 0, 0
        session = Session(ROOT / SOURCE, random.Random(7))
        with self._server() as server:
            for stop in session.stops(self.runs):
                document = Document("module.py", stop.text, ROOT / "module.py")
                context = build_context(document, Position(stop.line, stop.column), "python")
                prompt = build_prompt(context, [], self.model, self.settings.completion, ROOT.name)
                stats = self.first_token(list(prompt.tokens))
                ours.append(stats.prefill_ms)
                evaluated, wanted = evaluated + stats.evaluated_tokens, wanted + len(prompt.tokens)
                if server:
                    ms, count = self._infill(server, context.prefix, context.suffix)
                    theirs.append(ms)
                    infill_tokens += count
        row("session of typing and moving: prompts", str(len(ours)))
        row("... tokens evaluated, of all prompts", f"{evaluated / wanted:.1%}", "30%")
        row("... all first tokens waited for, s", f"{sum(ours) / 1000:.1f}")
        if theirs:
            row("... llama-server /infill, s", f"{sum(theirs) / 1000:.1f}")
            row(
                "... llama-server /infill, tokens evaluated, of ours",
                f"{infill_tokens / evaluated:.1f}",
            )
            row("... session / llama-server /infill", f"{sum(ours) / sum(theirs):.2f}", "0.5")

    def drafts(self) -> None:
        """Prompt lookup against plain decoding, in turns, on repeated and on other text."""
        chance = random.Random(3)
        for name, goal, repeats in (("repeats the file", "1.30", True), ("is new", "0.97", False)):
            ratios, held, drafted, differing = [], 0, 0, 0
            for number in range(max(4, self.runs // 2)):
                tokens = self._repeating(chance) if repeats else self._other(chance)
                self._generate(tokens, 0, has_drafts=False)
                speeds, texts = {}, {}
                for has_drafts in (True, False) if number % 2 else (False, True):
                    text, stats = self._generate(tokens, 48, has_drafts=has_drafts)
                    speeds[has_drafts] = stats.generated_tokens / max(1e-3, stats.generate_ms)
                    texts[has_drafts] = text
                    held += stats.accepted_tokens
                    drafted += stats.drafted_tokens
                ratios.append(speeds[True] / speeds[False])
                differing += texts[True] != texts[False]
            row(f"drafts: text that {name}", f"{statistics.median(ratios):.2f}", goal)
            row("... the slowest of them", f"{min(ratios):.2f}")
            row("... drafted, held, texts that differ", f"{drafted}, {held}, {differing}", ", , 0")

    def cancel(self) -> None:
        """From `cancel` to the end of the call, at random moments of prefill and generation."""
        chance = random.Random(5)
        for name, span in (("prefill", (0.05, 0.9)), ("generation", (1.3, 4.0))):
            late = []
            for _ in range(self.runs):
                self.model.kv.clear()
                tokens = self.tokens(FILE_LINES // 2, TYPED)[: 400 if name == "prefill" else 24]
                late.append(self._cancel_after(tokens, chance.uniform(*span)))
            row(f"cancel to idle in {name}, median, ms", f"{statistics.median(late):.1f}", "100")
            row(f"cancel to idle in {name}, the slowest, ms", f"{max(late):.1f}")

    def state(self) -> None:
        """Saving the cache, loading it in another instance's place, and evaluating again."""
        tokens = self.tokens(FILE_LINES // 2, TYPED)
        self.model.kv.clear()
        evaluated_ms = self.first_token(tokens).prefill_ms
        with tempfile.TemporaryDirectory() as folder:
            file, saving, loading = Path(folder) / "state", [], []
            for _ in range(5):
                saving.append(_ms(lambda: self.model.save_state(file)))
                self.model.kv.clear()
                loading.append(_ms(lambda: self.model.load_state(file)))
            size_mb = file.stat().st_size / 1e6
        stats = self.first_token(tokens)
        loaded_ms = statistics.median(loading) + stats.prefill_ms
        row("saved state, MB", f"{size_mb:.0f}")
        row("saving, ms", f"{statistics.median(saving):.0f}")
        row("loading and the first token, ms", f"{loaded_ms:.0f}")
        row("evaluating instead, ms", f"{evaluated_ms:.0f}")

    def statistics(self) -> None:
        """What log-probabilities cost beside the choice alone."""
        import numpy

        _, stats = self._generate(self.tokens(100, "x = "), 24, has_drafts=False)
        logits = self.model._logits(-1)
        plain = statistics.median(_ms(lambda: numpy.argmax(logits)) for _ in range(200))
        full = statistics.median(_ms(lambda: choose_greedily(logits)) for _ in range(200))
        share = (full - plain) / (stats.generate_ms / max(1, stats.generated_tokens))
        row("log-probabilities, share of a token's time", f"{share:.1%}", "2%")

    def cache(self) -> None:
        """The suggestion cache with a buffer of 5,000 lines, a hit and a miss."""
        half = "    value = compute(first, second)  # ünïcode\n" * 2500
        cache: SuggestionCache[None] = SuggestionCache()
        cache.put(CacheKey(half, half, "model"), "total = add(value)\n", None)
        for name, typed in (("hit", "total ="), ("miss", "other")):
            place = CacheKey(half + typed, half, "model")
            ms = statistics.median(_ms(lambda at=place: cache.get(at)) for _ in range(100))
            row(f"suggestion cache, 5,000 lines, {name}, ms", f"{ms:.2f}", "5")

    def threads(self) -> None:
        """Prefill with one thread fewer than is used."""
        tokens, low = self.tokens(FILE_LINES // 2, "")[:256], self.model._llama
        usual = self.model.options
        speeds: dict[int, list[float]] = {}
        for _ in range(3):
            for threads in {max(1, usual.threads - 1), usual.threads}:
                self.model.options = dataclasses.replace(usual, threads=threads)
                self.model.kv.clear()
                ms = self.first_token(tokens, is_typing=False).prefill_ms
                speeds.setdefault(threads, []).append(len(tokens) / ms * 1000)
        self.model.options = usual
        low.llama_set_n_threads(self.model._context, usual.threads, usual.threads)
        for threads, found in sorted(speeds.items()):
            row(f"prefill with {threads} threads, tokens/s", f"{statistics.median(found):.0f}")

    def _repeating(self, chance: random.Random) -> list[int]:
        """A prompt whose middle stands in the prefix already: a function begun a second time."""
        starts = [n for n, line in enumerate(self.lines[:250]) if line.startswith("def ")]
        start = chance.choice(starts)
        body = self.lines[start : start + 24]
        text = "".join([*self.lines[:10], *body, "\n\n", *body[:3]])
        fim = self.model.fim
        assert fim.prefix is not None
        assert fim.suffix is not None
        assert fim.middle is not None
        return [fim.prefix, *self.model.tokenize(text), fim.suffix, fim.middle]

    def _other(self, chance: random.Random) -> list[int]:
        """A hole at a random line of the file, with the line cut out."""
        line = chance.randrange(30, FILE_LINES - 10)
        text = "".join(self.lines[:line] + self.lines[line + 4 :])
        document = Document("module.py", text, ROOT / "module.py")
        context = build_context(document, Position(line + 1, 1), "python")
        prompt = build_prompt(context, [], self.model, self.settings.completion, ROOT.name)
        return list(prompt.tokens)

    def _generate(
        self, tokens: list[int], limit: int, *, has_drafts: bool
    ) -> tuple[str, GenerationStats]:
        stats = GenerationStats()
        how = GenerationSettings(limit, has_drafts=has_drafts)
        return "".join(self.model.generate(tokens, how, stats)), stats

    def _cancel_after(self, tokens: list[int], seconds: float) -> float:
        called = [0.0]
        token = CancellationToken()

        def cancel() -> None:
            called[0] = time.perf_counter()
            token.cancel()

        timer = threading.Timer(seconds, cancel)
        timer.start()
        with suppress(SupersededError):
            how = GenerationSettings(2000)
            list(self.model.generate(tokens, how, GenerationStats(), token))
        ended = time.perf_counter()
        timer.join()
        return max(0.0, ended - called[0]) * 1000

    @contextmanager
    def _server(self) -> Iterator[ModelServer | None]:
        """The llama-server that was named, with our model, threads, context and budgets.

        It reads three quarters of a batch before the cursor and a quarter behind it.
        """
        if self.server_url:
            with closing(ModelServer(self.server_url, may_be_remote=False)) as running:
                yield running
            return
        if self.llama_server is None:
            yield None
            return
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        threads = str(self.model.options.threads)
        command = [str(self.llama_server), "-m", str(self.path), "--port", str(port)]
        command += ["-t", threads, "-tb", threads, "-c", "4096", "-np", "1", "--no-repack"]
        budgets = self.settings.completion
        command += ["-b", str(budgets.prefix_tokens + budgets.suffix_tokens)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = ModelServer(f"http://127.0.0.1:{port}", may_be_remote=False)
        try:
            for _ in range(600):
                with suppress(ModelError):
                    server.ask("/props")
                    break
                time.sleep(0.2)
            yield server
        finally:
            server.close()
            process.terminate()
            process.wait()

    def _around(self, line: int, typed: str) -> tuple[str, str]:
        """What is before and behind the cursor with `typed` on a new line after `line`."""
        return "".join(self.lines[:line]) + f"    {typed}", "\n" + "".join(self.lines[line:])

    def _infill(self, server: ModelServer, prefix: str, suffix: str) -> tuple[float, int]:
        """Milliseconds to the first token of `/infill`, and the tokens that it evaluated."""
        body: dict[str, Any] = {
            "input_prefix": prefix,
            "input_suffix": suffix,
            "n_predict": 1,
            "cache_prompt": True,
            "temperature": 0.0,
            "stream": True,
        }
        started = time.perf_counter()
        first_ms, evaluated = 0.0, 0
        for event in server.stream("/infill", body):
            first_ms = first_ms or (time.perf_counter() - started) * 1000
            evaluated = int(event.get("timings", {}).get("prompt_n", 0))
        return first_ms, evaluated


def _ms(action: Any) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
