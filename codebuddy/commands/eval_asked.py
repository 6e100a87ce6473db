"""What is asked of `codebuddy eval --robustness` and `--sensitivity`."""

from __future__ import annotations

from dataclasses import dataclass

_DEFAULT_TASKS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of either measurement: families (none for all), seeds, what is changed.

    `is_of_changes` is `--robustness`, `is_of_people` is `--sensitivity`.
    """

    families: tuple[str, ...]
    n_seeds: int
    target: str
    is_of_people: bool
    is_of_changes: bool


def defaults(
    asked: Asked,
    tasks: int | None,
    kinds: tuple[str, ...],
    arms: str | None,
    retrieval_only: bool,  # noqa: FBT001 (passed on as it came)
) -> tuple[int | None, tuple[str, ...], str]:
    """Tasks, kinds and arms that were not given, as they are for what is asked.

    Raises:
        UsageError: Both measurements are asked for, or people without a model.
    """
    from codebuddy.errors import UsageError

    if asked.is_of_people and (asked.is_of_changes or retrieval_only):
        raise UsageError(
            "--sensitivity goes with neither --robustness nor --retrieval-only",
            hint="measure one after the other",
        )
    if retrieval_only or not (asked.is_of_people or asked.is_of_changes):
        return tasks, kinds, "never,always,auto" if arms is None else arms
    kinds = kinds or ("line",)
    usual = "auto" if asked.is_of_people else "never,auto"
    return tasks or _DEFAULT_TASKS, kinds, usual if arms is None else arms
