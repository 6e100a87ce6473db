"""`codebuddy fleet index|eval|train head`: the same work for each repository of a list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codebuddy.terminal import StatusLine, answer, answer_json, counted, note, safe_line

if TYPE_CHECKING:
    from codebuddy.fleet.drive import FleetRun
    from codebuddy.fleet.runners import Runner
    from codebuddy.fleet.tasks import Job, Outcome

F = TypeVar("F", bound=Callable[..., Any])

LIST = click.option(
    "--list",
    "list_file",
    metavar="FILE",
    help="Another list than your own: a text file with one path a line.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
# Each holds a context of the model.
_MOST_MODEL_WORKERS = 4


def list_of(list_file: str | None) -> Path:
    """The list that is meant, by its absolute path."""
    from codebuddy.fleet.listing import default_list

    return Path(list_file).expanduser().absolute() if list_file else default_list()


def how(command: F) -> F:
    """The options of all that is done for many."""
    for option in reversed(
        [
            LIST,
            click.option(
                "--workers",
                type=click.IntRange(1, 1024),
                metavar="N",
                help="Repositories at once; one a processor, of what loads a model four at most.",
            ),
            click.option("--ray", "uses_ray", is_flag=True, help="By a Ray cluster made for it."),
            click.option("--address", metavar="HOST:PORT", help="By a Ray cluster that is there."),
            click.option(
                "--retries",
                type=click.IntRange(0, 100),
                default=2,
                metavar="N",
                help="Workers more that may die on one repository (2).",
            ),
            click.option(
                "--fresh", is_flag=True, help="Do again what an interrupted run has done."
            ),
            JSON,
        ]
    ):
        command = option(command)
    return command


def do_for_all(
    job: Job,
    in_words: Callable[[dict[str, Any]], str],
    *,
    list_file: str | None,
    workers: int | None,
    uses_ray: bool,
    address: str | None,
    retries: int,
    fresh: bool,
    as_json: bool,
) -> int:
    """Run the job for the list, show outcomes as they come, and what it cost.

    Args:
        job: What is to be done.
        in_words: A result in one line.
        list_file: As given; None for the user's own.
        workers: As given.
        uses_ray: Whether a Ray cluster does it.
        address: Of one that is there.
        retries: As given.
        fresh: As given.
        as_json: Whether one JSON object is printed at the end instead of lines.

    Returns:
        The exit code: 1 if a repository failed.
    """
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.fleet.drive import run_fleet

    names = _names(list_file)
    cores = os.cpu_count() or 1
    most = cores if job.verb == "index" else min(cores, _MOST_MODEL_WORKERS)
    n_workers = min(workers or most, len(names)) if not address else workers or most
    status = StatusLine()

    def show(outcome: Outcome, done: int, of: int) -> None:
        status.clear()
        if not as_json:
            said = f"failed: {outcome.error}" if outcome.error else in_words(outcome.result or {})
            line = f"{names[outcome.root]}  {said}  ({outcome.seconds:.1f} s)"
            (note if outcome.error else answer)(safe_line(line))
        status.show(f"{done} of {of} repositories")

    runner = _runner(n_workers, address, uses_ray=uses_ray)
    try:
        status.show(f"{counted(len(names), 'repository', 'repositories')}, {n_workers} at once")
        run = run_fleet(
            list(names), job, runner, n_workers, retries=retries, is_fresh=fresh, on_outcome=show
        )
    except KeyboardInterrupt:
        status.clear()
        note("stopped; the same command goes on with the rest")
        return EXIT_INTERRUPTED
    finally:
        status.clear()
        runner.close()
    _sum_up(run, names, as_json=as_json)
    return 1 if run.failed else 0


def _names(list_file: str | None) -> dict[str, str]:
    """The roots of the list, with their names.

    Raises:
        UsageError: It names none.
    """
    from codebuddy.fleet.listing import read_members

    members = read_members(list_of(list_file), needs_some=True)
    return {str(each.root): each.name for each in members}


def _runner(n_workers: int, address: str | None, *, uses_ray: bool) -> Runner:
    """Who does it; workers share the processors between them."""
    threads = str(max(1, (os.cpu_count() or 1) // n_workers))
    environment = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "CODEBUDDY_INDEX_JOBS": os.environ.get("CODEBUDDY_INDEX_JOBS", threads),
        "CODEBUDDY_MODEL_THREADS": os.environ.get("CODEBUDDY_MODEL_THREADS", threads),
    }
    if uses_ray or address:
        from codebuddy.fleet.ray_runner import RayRunner

        return RayRunner(n_workers, address or "", {} if address else environment)
    from codebuddy.fleet.runners import ProcessRunner

    return ProcessRunner(n_workers, environment)


def _sum_up(run: FleetRun, names: dict[str, str], *, as_json: bool) -> None:
    cost = run.cost()
    if as_json:
        items = [
            {
                "name": names[each.root],
                "repository": each.root,
                "result": each.result,
                "error": each.error,
                "hint": each.hint,
                "seconds": each.seconds,
                "cpu_seconds": each.cpu_seconds,
                "attempts": each.attempts,
            }
            for each in run.outcomes
        ]
        answer_json(
            {
                "repositories": items,
                "failed": len(run.failed),
                "resumed": run.resumed,
                "seconds": run.seconds,
                "cost": cost,
            }
        )
        return
    if run.resumed:
        note(f"{run.resumed} were done by an interrupted run; --fresh does them again")
    for each in run.failed:
        remedy = f" ({each.hint})" if each.hint else ""
        note(safe_line(f"{names[each.root]}: {each.error}{remedy}"))
    done = len(run.outcomes) - len(run.failed)
    note(f"{done} of {len(run.outcomes)} repositories in {run.seconds:.1f} s")
    if cost["repositories"]:
        hours = ", ".join(f"{nodes}: {h:.2f} h" for nodes, h in cost["hours_of_1000"].items())
        on_paper = f". A thousand such on machines like this one, on paper: {hours}"
        note(
            f"a repository took {cost['seconds']:.1f} s (p95 {cost['p95_seconds']:.1f}),"
            f" {cost['cpu_seconds']:.1f} s of a processor; {cost['busy_workers']:.2f} workers were"
            f" busy{on_paper if hours else ''}"
        )
