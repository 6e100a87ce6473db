"""How often the model's opinion of a hunk (CB113) is worth hearing, by how sure it says it is.

    python -m tests.bench.hook opinions --repository DIR [--hunks N] [--minutes M]

Hunks of a repository's last commits are shown to the model twice, by way of the engine that
runs: as they were committed, where a remark is a false alarm, and with one operator of a new
line turned round, where any remark counts as right. That is an upper bound: whether it speaks
of that operator is not asked.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from codebuddy.hook.model import Model
from codebuddy.hook.rules.opinion import Hunk, hunks_of, prompt_for, remark_of
from codebuddy.hook.state import SourceFile
from tests.bench.hook_replay import git

_TURNED = (
    (" == ", " != "), (" != ", " == "), (" < ", " >= "), (" > ", " <= "), (" <= ", " > "),
    (" >= ", " < "), (" + 1", " - 1"), (" - 1", " + 1"), ("if not ", "if "), (" and ", " or "),
    (" or ", " and "), (" is not None", " is None"), (" is None", " is not None"),
    ("True", "False"), ("False", "True"), (" not in ", " in "),
)  # fmt: skip
_SECONDS_A_HUNK = 60
_LEVELS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)


def opinions(source: Path, n_hunks: int, ends: float) -> None:
    """Print the share of remarks that were right, by the confidence they were given with."""
    said: list[tuple[bool, float, str]] = []
    n_asked = 0
    for hunk in _hunks(source):
        broken = turned(hunk)
        if broken is None:
            continue
        for is_broken, each in ((False, hunk), (True, broken)):
            remark, confidence = _opinion(source, each)
            if remark:
                said.append((is_broken, confidence, remark))
                print(f"{'broken' if is_broken else 'intact'} {confidence:.2f} {remark}")
        n_asked += 1
        if n_asked >= n_hunks or time.monotonic() > ends:
            break
    print(f"{n_asked} hunks, each intact and broken")
    print("| confidence at least | on broken hunks | on intact ones | precision at best |")
    print("|--:|--:|--:|--:|")
    for level in _LEVELS:
        chosen = [is_broken for is_broken, confidence, _ in said if confidence >= level]
        share = f"{sum(chosen) / len(chosen):.2f}" if chosen else "-"
        print(f"| {level} | {sum(chosen)} | {len(chosen) - sum(chosen)} | {share} |")


def _hunks(source: Path) -> Iterator[Hunk]:
    """The largest hunk of each Python file that the last commits changed."""
    log = git(source, "log", "--no-merges", "-400", "--format=%H")
    for commit in log.split():
        names = git(source, "diff-tree", "--no-commit-id", "--name-only", "-r", commit)
        for path in names.split("\n"):
            if not path.endswith(".py") or "test" in path or "docs/" in path:
                continue
            try:
                old = git(source, "show", f"{commit}^:{path}").encode()
                new = git(source, "show", f"{commit}:{path}").encode()
            except subprocess.CalledProcessError:
                # A new file, or one that is gone.
                continue
            found = hunks_of(SourceFile(path, old), SourceFile(path, new))
            largest = max(found, key=lambda each: each.n_changed, default=None)
            if largest is not None:
                yield largest


def turned(hunk: Hunk) -> Hunk | None:
    """The hunk with one operator of a new line turned round; `None` where there is none."""
    lines = hunk.text.split("\n")
    for number, line in enumerate(lines):
        if not re.match(r"\+\s*(?![#'\"])\S", line):
            continue
        for one, other in _TURNED:
            if one in line:
                lines[number] = line.replace(one, other, 1)
                return replace(hunk, text="\n".join(lines))
    return None


def _opinion(source: Path, hunk: Hunk) -> tuple[str, float]:
    model = Model(source, time.monotonic() + _SECONDS_A_HUNK)
    prompt = prompt_for(hunk)
    lines = prompt.split("\n")
    place = (len(lines), len(lines[-1]) + 1)
    answer = model.complete("REVIEW.txt", prompt, *place, 1, retrieve="never")
    return remark_of(answer.text), answer.confidence
