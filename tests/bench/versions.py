"""Two checkouts beside each other: what the same commands take, as Markdown on stdout.

    python -m tests.bench.versions BEFORE AFTER [--repository DIR]

BEFORE and AFTER are checkouts with a `.venv` of their own. The commands run in turns, each version
in a home and a clone of its own; figures are medians of wall time and of processor time, which
says more on a machine that has other work.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Something for the rules of the hook to say.
_STAGED = "\n\ndef added(a, b=[]):\n    try:\n        return a\n    except:\n        pass\n"


@dataclass
class Version:
    """A checkout, with a folder for its home and its clone of the repository."""

    checkout: Path
    folder: Path
    wall_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)

    @property
    def clone(self) -> Path:
        """The repository that its commands work on."""
        return self.folder / "repository"

    def prepare(self, repository: Path) -> None:
        """Clone, and make a home without models."""
        (self.folder / "home").mkdir(parents=True)
        subprocess.run(["git", "clone", "-q", repository, self.clone], check=True)

    def run(self, arguments: list[str]) -> None:
        """Run codebuddy and take its time.

        Raises:
            CalledProcessError: It failed.
        """
        binary = self.checkout / ".venv" / "bin" / "codebuddy"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home")}
        spent = _processor_s()
        began = time.perf_counter()
        subprocess.run(
            [binary, *arguments],
            cwd=self.clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        self.wall_s.append(time.perf_counter() - began)
        self.processor_s.append(_processor_s() - spent)

    def forget_index(self) -> None:
        """So that the next index is built from nothing."""
        shutil.rmtree(self.clone / ".git" / "codebuddy", ignore_errors=True)

    def stage(self) -> None:
        """Stage a change of the first Python file."""
        subprocess.run(["git", "reset", "-q", "--hard"], cwd=self.clone, check=True)
        listed = subprocess.check_output(["git", "ls-files", "*.py"], cwd=self.clone, text=True)
        with (self.clone / sorted(listed.split())[0]).open("a") as stream:
            stream.write(_STAGED)
        subprocess.run(["git", "add", "-A"], cwd=self.clone, check=True)


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


_CASES: list[tuple[str, Callable[[Version], None] | None, list[str], int]] = [
    ("`--help`", None, ["--help"], 20),
    ("`index`, from nothing", Version.forget_index, ["index"], 5),
    ("`index`, nothing changed", None, ["index"], 10),
    ("`search`", None, ["search", "open the index of a repository", "--no-engine"], 10),
    ("`hook run`, a file changed", Version.stage, ["hook", "run"], 8),
    ("`doctor`", None, ["doctor"], 5),
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--repository", type=Path, default=ROOT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        versions = [
            Version(options.before.resolve(), Path(folder) / "before"),
            Version(options.after.resolve(), Path(folder) / "after"),
        ]
        for version in versions:
            version.prepare(options.repository.resolve())
        print(
            "| command | pairs | wall, before, after (ratio) | processor, before, after (ratio) |"
        )
        print("|---|--:|--:|--:|")
        for name, prepare, arguments, pairs in _CASES:
            _measure(versions, prepare, arguments, pairs)
            cells = [_cell([each.wall_s for each in versions])]
            cells.append(_cell([each.processor_s for each in versions]))
            print(f"| {name} | {pairs} | {' | '.join(cells)} |", flush=True)


def _measure(
    versions: list[Version],
    prepare: Callable[[Version], None] | None,
    arguments: list[str],
    pairs: int,
) -> None:
    """Take the times of `pairs` runs of each, after one that warms up."""
    for number in range(pairs + 1):
        for version in versions if number % 2 else versions[::-1]:
            if prepare is not None:
                prepare(version)
            version.run(arguments)
    for version in versions:
        version.wall_s = version.wall_s[-pairs:]
        version.processor_s = version.processor_s[-pairs:]


def _cell(times: list[list[float]]) -> str:
    before, after = (statistics.median(each) for each in times)
    return f"{before:.3f} s, {after:.3f} s ({after / before:.2f})"


if __name__ == "__main__":
    main()
