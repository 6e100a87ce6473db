"""Feed damaged samples of every language to the analysis, each language in its own process.

Run by hand for the full figure: `.venv/bin/python -m tests.bench.fuzz_syntax --count 10000`; the
suite runs a slice. A crash of a parser kills the child alone and is reported with its seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from codebuddy.index.analysis import analyze
from codebuddy.syntax.languages import languages
from tests.support.syntax import mutated, uncovered

BUDGET_SECONDS = 2.0


def fuzz(language: str, first: int, count: int) -> int:
    """Analyse the mutations `first` to `first + count`; prints each that fails."""
    failed, slowest = 0, (0.0, first)
    for seed in range(first, first + count):
        name, source = mutated(language, seed)
        print(f"seed {seed}", flush=True)
        started = time.process_time()
        wrong = uncovered(source, analyze(name, source))
        seconds = time.process_time() - started
        slowest = max(slowest, (seconds, seed))
        if wrong or seconds > BUDGET_SECONDS:
            failed += 1
            print(f"FAILED {language} {seed}: {wrong or f'{seconds:.2f} s'}", flush=True)
    print(f"slowest {slowest[0]:.3f} s at {slowest[1]}", flush=True)
    return failed


def main() -> int:
    """Fuzz every language, or the one named; the exit code says whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mutations per language")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--language", help="this language only, in this process")
    arguments = parser.parse_args()
    if arguments.language:
        return int(fuzz(arguments.language, arguments.first, arguments.count) > 0)
    failed = 0
    for language in languages():
        command = [sys.executable, "-m", "tests.bench.fuzz_syntax", "--language", language]
        command += ["--first", str(arguments.first), "--count", str(arguments.count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        for line in lines:
            if line.startswith("FAILED"):
                print(line)
        if done.returncode:
            failed += 1
            print(
                f"FAILED {language}: exit {done.returncode}, last {lines[-1:]} {done.stderr[-300:]}"
            )
        else:
            print(f"{language}: {arguments.count} files, {lines[-1]}", flush=True)
    print(f"{len(languages()) * arguments.count} files, {failed} languages failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
