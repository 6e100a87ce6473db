"""`make bench-latency`: what the warm engine costs a person who waits, as Markdown on stdout.

    python -m tests.bench.latency                      all sections
    python -m tests.bench.latency keystroke cancel     some of them
    python -m tests.bench.latency --model echo         the plumbing alone
    python -m tests.bench.latency elsewhere --llama-server URL
    python -m tests.bench.latency retyped --repository DIR

Medians of at least 30 where a figure is one. The engine is one of its own, in a folder of
its own. `--llama-server` names one that runs on this machine with the same model file, for
the comparison with its `/infill`. `--repository` names one in which lines are typed again, with
lookups where the engine wants them; this one if none is named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from codebuddy import paths
from codebuddy.datatypes import RetrieveMode
from codebuddy.engine.client import EngineClient, stop_engine
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import SupersededError

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).parent / "codebuddy")
SECTIONS = ("keystroke", "elsewhere", "retyped", "command", "cancel")
RUNS = 30
FILE_LINES = 300
_TYPED_AT_A_PLACE = 6
# Of lines that are typed again: keystrokes at each, and the pause after one.
_RETYPED_AT_A_PLACE = 12
_PAUSE_S = 0.05


def main() -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", metavar="|".join(SECTIONS))
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--llama-server", metavar="URL")
    parser.add_argument("--repository", metavar="DIR", type=Path, default=ROOT)
    arguments = parser.parse_args()
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    load = os.getloadavg()[0]
    print(f"commit {commit}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}")
    print(f"command: python -m tests.bench.latency {' '.join(sys.argv[1:])}\n")
    print("| what | figure | goal |\n|---|--:|--:|")
    with own_engine() as root:
        bench = Bench(root, arguments.model, arguments.runs)
        for section in arguments.sections or SECTIONS:
            if section == "elsewhere":
                bench.elsewhere(arguments.llama_server)
            elif section == "retyped":
                bench.retyped(arguments.repository.resolve())
            else:
                {
                    "keystroke": bench.keystroke,
                    "command": bench.command,
                    "cancel": bench.cancel,
                }[section]()


@contextmanager
def own_engine() -> Iterator[Path]:
    """An engine's own home, and a repository with one file of 300 lines."""
    os.environ.setdefault("CODEBUDDY_MODEL_FOLDER", str(paths.models_folder()))
    with tempfile.TemporaryDirectory(prefix="codebuddy-bench-") as name:
        folder = Path(name)
        for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            os.environ[variable] = str(folder / "home")
        os.environ.pop("XDG_RUNTIME_DIR", None)
        os.environ["CODEBUDDY_ENGINE_ENABLED"] = "true"
        root = folder / "bench"
        root.mkdir()
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        (root / "stock.py").write_text(source())
        try:
            yield root
        finally:
            stop_engine()


def source() -> str:
    """A file of 300 lines in which every function differs."""
    parts = ["import json\nfrom pathlib import Path\n"]
    for number in range(FILE_LINES // 6):
        parts.append(
            f"\n\ndef read_shelf_{number}(folder: Path) -> list[int]:\n"
            f'    """The amounts that lie on shelf {number}."""\n'
            f"    text = (folder / 'shelf_{number}.json').read_text()\n"
            f"    return [int(each['amount_{number}']) for each in json.loads(text)]\n"
        )
    return "".join(parts)


def row(what: str, figure: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"| {what} | {figure} | {goal} |", flush=True)


class Bench:
    """The sections; each prints its rows."""

    def __init__(self, root: Path, model: str, runs: int) -> None:
        self._root = root
        self._model = model
        self._runs = runs
        self._client = EngineClient.connect()
        self._client.load(model)

    def keystroke(self) -> None:
        """Typing what is shown: no model work, a few milliseconds."""
        text = source() + "\n\ndef total(amounts):\n    result = sum(amounts)\n    return "
        shown = self._complete(text, max_lines=1)
        suggestion = shown["text"]
        if not suggestion:
            row("a keystroke that agrees", "the model suggested nothing", "<= 5 ms")
            return
        times, evaluated = [], 0
        for number in range(self._runs):
            typed = suggestion[: number % max(1, len(suggestion))]
            started = time.perf_counter()
            found = self._complete(text + typed, max_lines=1)
            times.append((time.perf_counter() - started) * 1000)
            evaluated += found["tokens"]["evaluated"]
        row("a keystroke that agrees with the suggestion", f"{_ms(times)}", "<= 5 ms")
        row("tokens evaluated for it", str(evaluated), "0")

    def elsewhere(self, llama_server: str | None) -> None:
        """Typing what was not suggested, warm against cold, and against llama-server.

        A place is gone to, which makes its prompt warm, and then typed at. What going there
        costs is shown too: only prewarming, while a person looks around, hides it.
        """
        lines = source().split("\n")
        shares, warm, theirs, cold, jumps = [], [], [], [], []
        n_places = -(-self._runs // _TYPED_AT_A_PLACE)
        for number in range(n_places):
            line = 40 + (number * 53) % (len(lines) - 80)
            text = "\n".join([*lines[:line], f"    shelf_total_{number} = ", *lines[line:]])
            cold.append(self._cold_first_token_ms(text, line + 1))
            jump = self._complete(text, line=line + 1, max_tokens=1)
            jumps.append(jump["timings_ms"]["total"])
            if llama_server:
                _infill_ms(llama_server, text, line)
            for typed in range(1, _TYPED_AT_A_PLACE + 1):
                there = f"shelf_total_{number} = "
                grown = text.replace(there, there + "zq_x9k"[:typed])
                found = self._complete(grown, line=line + 1, max_tokens=1)
                tokens = found["tokens"]
                shares.append(tokens["evaluated"] / max(1, tokens["prompt"]))
                warm.append(found["timings_ms"]["total"])
                if llama_server:
                    theirs.append(_infill_ms(llama_server, grown, line))
        share = f"{100 * statistics.median(shares):.1f}%"
        row("prompt tokens evaluated at a keystroke that was not suggested", share, "<= 15%")
        row("first token there", _ms(warm))
        row("first token, cold", _ms(cold))
        ratio = statistics.median(cold) / max(0.001, statistics.median(warm))
        row("first token, cold / warm", f"{ratio:.1f} x", ">= 6 x")
        row("first token at a place of the file never gone to before", _ms(jumps))
        if theirs:
            row("llama-server's /infill, cache_prompt", _ms(theirs))
            ratio = statistics.median(theirs) / max(0.001, statistics.median(warm))
            row("llama-server / codebuddy", f"{ratio:.2f} x", ">= 1 x")

    def retyped(self, repository: Path) -> None:
        """Lines of real files typed again key by key, with lookups as the engine decides."""
        shares, cached, times, first = [], 0, [], []
        for file, number, lines in _places(repository, -(-self._runs // _RETYPED_AT_A_PLACE) * 2):
            line = lines[number]
            indent = len(line) - len(line.lstrip())
            for typed in range(_RETYPED_AT_A_PLACE + 1):
                text = "\n".join([*lines[:number], line[: indent + typed], *lines[number + 1 :]])
                started = time.perf_counter()
                found = self._ask(file, text, number + 1, "auto", max_lines=1, max_tokens=8)
                took = (time.perf_counter() - started) * 1000
                time.sleep(_PAUSE_S)
                if not typed:
                    first.append(took)
                    continue
                times.append(took)
                cached += found["engine"]["is_cached"]
                shares.append(found["tokens"]["evaluated"] / max(1, found["tokens"]["prompt"]))
        where = f"lines of {repository.name} typed again"
        row(f"{where}: the first suggestion at a line", _ms(first))
        row("each further keystroke, 8 tokens written", _ms(times))
        row("served from the suggestion cache", f"{100 * cached / len(times):.0f}%")
        row("prompt tokens evaluated, mean", f"{100 * statistics.mean(shares):.2f}%", "<= 15%")

    def command(self) -> None:
        """The command's own time over the engine's."""
        over, whole, computed = [], [], []
        for number in range(self._runs):
            started, before = time.perf_counter(), _children_cpu_ms()
            done = subprocess.run(
                [COMMAND, "complete", f"stock.py:{20 + number}", "--model", self._model,
                 "--max-tokens", "1", "--json"],
                cwd=self._root, capture_output=True, check=True,
            )  # fmt: skip
            took = (time.perf_counter() - started) * 1000
            engine_ms = json.loads(done.stdout)["engine"]["total_ms"]
            whole.append(took)
            computed.append(_children_cpu_ms() - before)
            over.append(took - engine_ms)
        row("`codebuddy complete`, engine warm", _ms(whole))
        row("of which not the engine's", _ms(over), "<= 120 ms")
        row("processor time of the command", _ms(computed))

    def cancel(self) -> None:
        """From the word to a model that is free: the next request, which needs no model, is in."""
        for name, wait_s in (("prefill", 0.15), ("generation", 4.0)):
            times = []
            for number in range(self._runs if name == "prefill" else min(10, self._runs)):
                text = f"# {number}\n" + source() + "\n\ntable = [\n    1,\n"
                thread = threading.Thread(target=self._ask_long, args=(text,))
                thread.start()
                time.sleep(wait_s)
                started = time.perf_counter()
                self._client.cancel("bench")
                self._client.load(self._model)
                times.append((time.perf_counter() - started) * 1000)
                thread.join()
            row(f"cancel to idle, inside {name}", _ms(times), "<= 100 ms")

    def _ask_long(self, text: str) -> None:
        with suppress(SupersededError):
            self._complete(text, max_tokens=1000, max_lines=1000)

    def _cold_first_token_ms(self, text: str, line: int) -> float:
        """The first token's time where nothing of the file was read before."""
        renamed = text.replace("shelf", f"shelf{time.monotonic_ns() % 9973}")
        renamed = f"# {time.monotonic_ns()}\n" + renamed
        found = self._complete(renamed, line=line + 1, max_tokens=1)
        return float(found["timings_ms"]["total"])

    def _complete(self, text: str, line: int | None = None, **more: Any) -> dict[str, Any]:
        file = self._root / "stock.py"
        return self._ask(file, text, line or text.count("\n") + 1, "never", **more)

    def _ask(
        self, file: Path, text: str, line: int, retrieve: RetrieveMode, **more: Any
    ) -> dict[str, Any]:
        return self._client.complete(
            CompletionCall(
                str(file),
                line,
                text=text,
                retrieve=retrieve,
                model=self._model,
                client="bench",
                priority="typing",
                **more,
            )
        )


def _places(repository: Path, count: int) -> Iterator[tuple[Path, int, list[str]]]:
    """Lines with a call, one in each of `count` longer files: file, index of the line, its lines.

    Chosen by a fixed seed, so that the same commit of a repository gives the same places.
    """
    chance = random.Random(1)
    names = _output("git", "-C", str(repository), "ls-files", "*.py", "*.ts", "*.rs").split("\n")
    chance.shuffle(names)
    for name in names:
        lines = (repository / name).read_text(errors="replace").split("\n")
        fit = [n for n, line in enumerate(lines) if n > 20 and len(line.strip()) > 25]
        fit = [n for n in fit if "(" in lines[n]]
        if len(lines) < 150 or not fit or not count:
            continue
        count -= 1
        yield repository / name, chance.choice(fit), lines


def _infill_ms(url: str, text: str, line: int) -> float:
    """llama-server's time for the same place."""
    lines = text.split("\n")
    prefix = "\n".join(lines[: line + 1])
    body = {
        "input_prefix": prefix,
        "input_suffix": text[len(prefix) :],
        "n_predict": 1,
        "cache_prompt": True,
        "temperature": 0,
    }
    request = urllib.request.Request(
        url.rstrip("/") + "/infill",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=600) as answer:
        answer.read()
    return (time.perf_counter() - started) * 1000


def _children_cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def _ms(times: Sequence[float]) -> str:
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"{statistics.median(times):.1f} ms (p95 {high:.1f}, n {len(times)})"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
