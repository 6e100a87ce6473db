"""Many requests of every kind to one engine: memory, orphans, wrong answers.

    python -m tests.bench.soak_engine                    10,000 requests with the echo generator
    python -m tests.bench.soak_engine --requests 500 --model smollm2-135m

Prints a Markdown table and exits with 1 if a goal is missed. Memory is compared between the
end and the state after a warm-up of a fifth as many requests, when caches have filled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from codebuddy.engine.client import EngineClient, stop_engine
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import EngineBusyError, SupersededError
from codebuddy.service.request import SearchRequest
from tests.bench.latency import own_engine, row, source

_CLIENTS = 4
_MAX_GROWTH = 0.05


def main() -> None:
    """Soak, then judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--model", default="echo")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with own_engine() as root:
        is_good = soak(root, arguments.requests, arguments.model, arguments.seed)
    sys.exit(0 if is_good else 1)


def soak(root: Path, n_requests: int, model: str, seed: int) -> bool:
    """Whether every goal was reached."""
    client = EngineClient.connect()
    client.load(model)
    outcomes: Counter[str] = Counter()
    started = time.monotonic()
    _run(root, n_requests // 5, model, seed, Counter())
    before = client.status()
    _run(root, n_requests, model, seed + 1, outcomes)
    after = client.status()
    seconds = time.monotonic() - started
    pids = [after["pid"], *after["workers"].values()]
    stop_engine()
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    orphans = [pid for pid in pids if psutil.pid_exists(pid)]
    grown = {
        role: size / before["memory_bytes"][role] - 1
        for role, size in after["memory_bytes"].items()
    }
    print("| what | figure | goal |\n|---|--:|--:|")
    row("requests", f"{outcomes.total()} in {seconds:.0f} s: {json.dumps(outcomes)}")
    for role, growth in grown.items():
        row(f"memory of the {role} process", f"{100 * growth:+.1f}%", "< +5%")
    row("worker restarts", str(after["restarts"]), "0")
    row("orphans 10 s after the stop", str(len(orphans)), "0")
    row("wrong answers", str(outcomes["wrong"]), "0")
    growth_ok = all(growth < _MAX_GROWTH for growth in grown.values())
    return growth_ok and not orphans and not after["restarts"] and not outcomes["wrong"]


def _run(root: Path, n_requests: int, model: str, seed: int, outcomes: Counter[str]) -> None:
    lock = threading.Lock()

    def work(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        client = EngineClient.connect()
        for _ in range(n_requests // _CLIENTS):
            outcome = _once(client, f"client{number}", root, model, chance)
            with lock:
                outcomes[outcome] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _once(client: EngineClient, name: str, root: Path, model: str, chance: random.Random) -> str:
    """One request, chosen at random, and what came of it."""
    file = str(root / "stock.py")
    mark = f"value_{chance.randrange(10**9)} ="
    text = source() + f"\n{mark} "
    line = text.count("\n") + 1
    common: dict[str, Any] = {"model": model, "client": name, "max_lines": 1}
    kind = chance.choices(
        ("typing", "ask", "keystroke", "search", "prewarm", "cancel"), (50, 20, 15, 5, 5, 5)
    )[0]
    try:
        if kind == "search":
            client.search(
                SearchRequest(
                    str(root), f"shelf {chance.randrange(50)}", channel="lexical", top_k=3
                )
            )
        elif kind == "prewarm":
            client.prewarm(CompletionCall(file, line, text=text, client=name, model=model))
        elif kind == "cancel":
            client.cancel(name)
        else:
            priority = "ask" if kind == "ask" else "typing"
            call = CompletionCall(file, line, text=text, priority=priority, **common)
            found = client.complete(call)
            if model == "echo" and found["text"] != mark:
                return "wrong"
            if kind == "keystroke":
                client.accepted(name, found["text"])
                typed = CompletionCall(
                    file, line, text=text + found["text"][:3], priority="typing", **common
                )
                rest = client.complete(typed)["text"]
                if model == "echo" and rest != mark[3:]:
                    return "wrong"
    except SupersededError:
        return "superseded"
    except EngineBusyError:
        return "busy"
    return kind


if __name__ == "__main__":
    os.environ.setdefault("CODEBUDDY_INDEX_EMBEDDER", "none")
    main()
