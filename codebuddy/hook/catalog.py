"""The rules by id: what each says, how much it is worth, whether it is on, and where it lives.

Data only, so that `--help`, the documents and SARIF know the rules without loading one. A rule
is on by itself only where `make bench-hook` found at least 80 % of its findings right, or
where it needs no estimate (docs/hook.md, docs/benchmarks.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class LintRule:
    """One rule. `worth` orders findings: what breaks a run before what costs time later.

    One that `needs_model` asks the engine that runs, after all the others have spoken.
    """

    id: str
    name: str
    summary: str
    level: Level
    worth: int
    is_on: bool
    module: str
    needs_model: bool = False


RULES = (
    LintRule(
        "CB101",
        "stale-caller",
        "A signature or return shape changed, and callers still use the old one.",
        "error",
        90,
        is_on=True,
        module="callers",
    ),
    LintRule(
        "CB102",
        "removed-but-used",
        "A definition or file was removed or renamed, and is still used.",
        "error",
        95,
        is_on=True,
        module="removed",
    ),
    LintRule(
        "CB103",
        "unknown-import",
        "An import names something that its module in this repository does not have.",
        "error",
        92,
        is_on=True,
        module="imports",
    ),
    LintRule(
        "CB104",
        "near-duplicate",
        "A new function does what one of the repository does already.",
        "warning",
        60,
        is_on=True,
        module="duplicate",
    ),
    LintRule(
        "CB106",
        "unfinished",
        "New code holds a stub; the model's completion of it is at hand as a patch.",
        "note",
        50,
        is_on=True,
        module="unfinished",
        needs_model=True,
    ),
    LintRule(
        "CB108",
        "debug-leftover",
        "New code stops in a debugger or runs one test alone.",
        "warning",
        80,
        is_on=True,
        module="leftovers",
    ),
    LintRule(
        "CB109",
        "conflict-marker",
        "A merge conflict was left in the file.",
        "error",
        98,
        is_on=True,
        module="leftovers",
    ),
    LintRule(
        "CB110",
        "secret",
        "New lines hold what looks like a real key or password.",
        "error",
        100,
        is_on=True,
        module="secrets",
    ),
    LintRule(
        "CB111",
        "large-binary",
        "A large binary file would stay in the history for good.",
        "warning",
        70,
        is_on=True,
        module="binaries",
    ),
    LintRule(
        "CB112",
        "deprecated",
        "New code uses what the repository has marked as deprecated.",
        "warning",
        40,
        is_on=True,
        module="deprecated",
    ),
)

BY_ID = {rule.id: rule for rule in RULES}

# Rules that no longer exist, by id: they were right too seldom (docs/hook.md). Settings that name
# one stay valid, and the id is never given to another rule.
RETIRED = {"CB105": "left-out", "CB107": "untested", "CB113": "opinion"}
