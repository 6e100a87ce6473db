"""What is asked of `codebuddy eval --robustness` and `--sensitivity`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_DEFAULT_TASKS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of either measurement, `None` and none where an option was not given.

    `families` are none for all. `is_of_changes` is `--robustness`, `is_of_people` is
    `--sensitivity`.
    """

    families: tuple[str, ...]
    n_seeds: int | None
    target: str | None
    plot: Path | None
    is_of_people: bool
    is_of_changes: bool


def check_shown(gate: Path | None, plot: Path | None) -> None:
    """What is given beside `--list` and `--compare`, which measure nothing.

    Raises:
        UsageError: A gate or a plot, which would be passed over.
    """
    from codebuddy.errors import UsageError

    given = "--gate" if gate is not None else "--plot" if plot is not None else ""
    if given:
        raise UsageError(
            f"{given} goes with a measurement, not with --list or --compare",
            hint=f"leave it out, or measure: codebuddy eval {given} FILE",
        )


def defaults(
    asked: Asked,
    tasks: int | None,
    kinds: tuple[str, ...],
    arms: str | None,
    added: tuple[str, ...],
    retrieval_only: bool,  # noqa: FBT001 (passed on as it came)
) -> tuple[int | None, tuple[str, ...], str]:
    """Tasks, kinds and arms that were not given, as they are for what is asked.

    Raises:
        UsageError: Both measurements are asked for, people without a model or with several
            arms, or what the measurement makes nothing of.
    """
    from codebuddy.errors import UsageError

    if asked.is_of_people and (asked.is_of_changes or retrieval_only):
        raise UsageError(
            "--sensitivity goes with neither --robustness nor --retrieval-only",
            hint="measure one after the other",
        )
    is_of_search = asked.is_of_changes and retrieval_only
    is_varied = asked.families or asked.n_seeds is not None or asked.target is not None
    if is_varied and (is_of_search or not asked.is_of_changes):
        raise UsageError(
            "--family, --seeds and --on go with --robustness alone, with a model",
            hint="codebuddy eval --robustness --family format",
        )
    if asked.plot is not None and (asked.is_of_people or retrieval_only):
        of_search = "--robustness --retrieval-only" if is_of_search else "--retrieval-only"
        option = "--sensitivity" if asked.is_of_people else of_search
        raise UsageError(f"--plot draws nothing of {option}", hint="leave it out, or take --json")
    is_usual = retrieval_only or not (asked.is_of_people or asked.is_of_changes)
    if arms is None:
        arms = "never,auto" if asked.is_of_changes else "auto"
        arms = "never,always,auto" if is_usual else arms
    arms = ",".join([arms, *added])
    if asked.is_of_people and len({each.strip() for each in arms.split(",")} - {""}) > 1:
        raise UsageError(
            f"--sensitivity measures one arm, not {arms}", hint="--sensitivity --arms never"
        )
    if is_usual:
        return tasks, kinds, arms
    return tasks or _DEFAULT_TASKS, kinds or ("line",), arms
