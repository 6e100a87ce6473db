"""Makes each single write of an update fail or kill it, through strace, by hand.

`.venv/bin/python tests/bench/inject_index.py --fault kill` (or `ENOSPC`, `EIO`) counts the calls
by which an update changes files, then runs one update for each of them with the fault in
that call. After each, every row of the index must be right, and the next update must end
where a clean build ends. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from codebuddy.index.schema import DamagedIndexError
from tests.support.index import clean_dump, database, dump, index, make_repository, module, write

ROOT = Path(__file__).resolve().parents[2]
CALLS = ("pwrite64", "fdatasync", "fsync", "unlink", "rename", "ftruncate")
N_FILES = 8


def main() -> int:
    """Entry point; exit code 0 if nothing was damaged."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", choices=["kill", "ENOSPC", "EIO"], default="kill")
    options = parser.parse_args()
    injection = "signal=KILL" if options.fault == "kill" else f"error={options.fault}"
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), injection)
    sys.stdout.write(json.dumps({"fault": options.fault, **outcome}) + "\n")
    return 0 if not outcome["damaged"] and not outcome["unequal"] else 1


def run(folder: Path, injection: str) -> dict[str, object]:
    """One faulty update a call; returns counts."""
    root = make_repository(folder / "r", {f"m{i}.py": module(f"name_{i}") for i in range(N_FILES)})
    index(root)
    kept = folder / "kept"
    shutil.copytree(root, kept, symlinks=True)
    changes: dict[str, str | bytes] = {f"m{i}.py": module(f"other_{i}") for i in range(4)}
    outcome = dict.fromkeys(("runs", "hit", "bugs", "damaged", "rebuilt", "unequal"), 0)
    for call in CALLS:
        for number in range(1, _count(root, kept, changes, call) + 1):
            _reset(root, kept, changes)
            trace = folder / "trace"
            done = _update(root, trace, f"{call}:{injection}:when={number}")
            outcome["runs"] += 1
            outcome["hit"] += bool(re.search(r"INJECTED|killed by SIGKILL", trace.read_text()))
            outcome["bugs"] += done == 3
            try:
                dump(database(root))
            except DamagedIndexError as error:
                outcome["damaged"] += 1
                sys.stderr.write(f"{call} {number}: {error.message}\n")
            outcome["rebuilt"] += index(root).is_rebuilt
            shutil.rmtree(folder / "clean", ignore_errors=True)
            if dump(database(root)) != clean_dump(root, folder / "clean"):
                outcome["unequal"] += 1
    return {**outcome, "calls": ", ".join(CALLS)}


def _reset(root: Path, kept: Path, changes: dict[str, str | bytes]) -> None:
    shutil.rmtree(root)
    shutil.copytree(kept, root, symlinks=True)
    write(root, changes)


def _count(root: Path, kept: Path, changes: dict[str, str | bytes], call: str) -> int:
    _reset(root, kept, changes)
    trace = root.parent / "trace"
    _update(root, trace, None, call)
    return len(re.findall(rf"\b{call}\(", trace.read_text()))


def _update(root: Path, trace: Path, inject: str | None, call: str = "") -> int:
    traced = inject.partition(":")[0] if inject else call
    command = ["strace", "-f", "-o", str(trace), "-e", f"trace={traced}"]
    if inject:
        command += ["-e", f"inject={inject}"]
    command += [sys.executable, "-P", "-m", "codebuddy", "index", "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, capture_output=True, env=environment)
    if done.returncode == 3:
        sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
