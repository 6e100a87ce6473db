"""`codebuddy eval --gate FILE`: limits that the measurement must keep, with an exit status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.terminal import note, safe_line

if TYPE_CHECKING:
    from codebuddy.commands.eval_asked import Asked
    from codebuddy.evaluation.gate import Limit, Verdict

# The exit status of a measurement that does not keep its limits.
EXIT_REFUSED = 1
# The first keys of what `eval` measures of a model.
COMPLETION = frozenset({"arms", "head", "oracle", "differences", "cqi", "kinds", "retrieval"})


def open_gate(file: Path | None, asked: Asked, *, retrieval_only: bool) -> list[Limit]:
    """The limits of a file, all of them of what will be measured; none without a file.

    Raises:
        ConfigError: The file is no gate, or asks for something else.
    """
    known, option = COMPLETION, "eval"
    if asked.is_of_people:
        known, option = frozenset({"sensitivity"}), "eval --sensitivity"
    elif asked.is_of_changes and retrieval_only:
        known, option = frozenset({"search"}), "eval --robustness --retrieval-only"
    elif asked.is_of_changes:
        known, option = frozenset({"robustness"}), "eval --robustness"
    elif retrieval_only:
        known, option = frozenset({"retrieval"}), "eval --retrieval-only"
    return open_limits(file, known, option)


def open_limits(file: Path | None, known: frozenset[str], option: str) -> list[Limit]:
    """The limits of a file, which begin with `known` keys; none without a file.

    Raises:
        ConfigError: The file is no gate, or has others, which `option` does not measure.
    """
    if file is None:
        return []
    from codebuddy.evaluation.gate import check_paths, read_gate

    limits = read_gate(file)
    check_paths(file, limits, known, option)
    return limits


def pass_gate(
    report: dict[str, Any], limits: list[Limit], *, is_whole: bool = True
) -> Verdict | None:
    """Judge the report, and put the verdict into it; `None` where there is no gate."""
    if not limits:
        return None
    from codebuddy.evaluation.gate import judge

    verdict = judge(report, limits, is_whole=is_whole)
    report["gate"] = verdict
    return verdict


def exit_status(verdict: Verdict | None, *, is_whole: bool = True) -> int:
    """Say the verdict on stderr; the exit status that follows from it."""
    if verdict is None:
        return 0
    from codebuddy.evaluation.gate import verdict_lines

    for line in verdict_lines(verdict, is_whole=is_whole):
        note(safe_line(line))
    return 0 if verdict["passed"] else EXIT_REFUSED
