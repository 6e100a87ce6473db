"""Kills indexers at random moments and checks that the index is whole after each.

Run by hand for the full figure: `.venv/bin/python tests/bench/kill_index.py --kills 1000`. The
suite runs 20. Every round changes some files, starts an update in a child, kills the child
with SIGKILL, and reads every row of what is left through its checksum. In the end one
update must finish, and the index must equal a clean build. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from codebuddy.errors import CodebuddyError
from codebuddy.index.schema import DamagedIndexError
from tests.support.index import clean_dump, database, dump, index, make_repository, module, write

N_FILES = 90


def main() -> int:
    """Entry point; exit code 0 if no index was ever damaged."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), options.kills, options.seed)
    sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["equals_clean_build"] and not outcome["damaged"] else 1


def run(folder: Path, n_kills: int, seed: int) -> dict[str, object]:
    """Kill `n_kills` updates; returns counts."""
    rng = random.Random(seed)
    root = make_repository(folder / "r", {f"m{i}.py": module(f"name_{i}") for i in range(N_FILES)})
    killed = finished = damaged = rebuilt = 0
    duration_s = _timed_update(root)
    while killed < n_kills:
        changed = rng.sample(range(N_FILES), rng.randint(1, N_FILES))
        write(root, {f"m{i}.py": module(f"name_{rng.randrange(10**6)}") for i in changed})
        force = rng.random() < 0.2
        # Large updates use workers, which must end with their parent.
        child = _start_update(root, force=force)
        time.sleep(rng.uniform(0, 1.2 * duration_s))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        else:
            finished += 1
            rebuilt += os.WEXITSTATUS(status) == 9
        if database(root).exists():
            try:
                dump(database(root))
            except DamagedIndexError as error:
                if "is not an index" not in error.message:
                    damaged += 1
                    sys.stderr.write(f"{error.message}\n")
    report = index(root)
    return {
        "kills": killed,
        "finished": finished,
        "damaged": damaged,
        "rebuilt": rebuilt + report.is_rebuilt,
        "equals_clean_build": dump(database(root)) == clean_dump(root, folder / "clean"),
        "left_over": sorted(each.name for each in database(root).parent.iterdir()),
    }


def _timed_update(root: Path) -> float:
    started = time.monotonic()
    index(root)
    return time.monotonic() - started


def _start_update(root: Path, *, force: bool) -> int:
    child = os.fork()
    if child:
        return child
    try:
        report = index(root, force=force)
        os._exit(9 if report.is_rebuilt and not force else 0)
    except CodebuddyError as error:
        sys.stderr.write(f"{error.message}\n")
        os._exit(1)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
