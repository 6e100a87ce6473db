"""`codebuddy fleet index|eval|train`: the same work for each repository of a list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codebuddy.terminal import StatusLine, answer, answer_json, counted, note, safe_line

if TYPE_CHECKING:
    from codebuddy.fleet.drive import FleetRun
    from codebuddy.fleet.listing import Member
    from codebuddy.fleet.runners import Runner
    from codebuddy.fleet.tasks import Job, Outcome

F = TypeVar("F", bound=Callable[..., Any])

LIST = click.option(
    "--list",
    "list_file",
    metavar="FILE",
    help="Another list than your own: a text file with one path or address a line, or a manifest"
    " (.toml).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
# Each holds a context of the model, and a training the model itself, unpacked.
_MOST_WORKERS = {"eval": 4, "train head": 4, "train adapter": 1}


def list_of(list_file: str | None) -> Path:
    """The list that is meant, by its absolute path."""
    from codebuddy.fleet.listing import default_list

    return Path(list_file).expanduser().absolute() if list_file else default_list()


def url_of(member: Member) -> str | None:
    """The address that the list names it by, if it does."""
    return None if member.origin is None else member.origin.text


def how(command: F) -> F:
    """The options of all that is done for many."""
    for option in reversed(
        [
            LIST,
            click.option(
                "--workers",
                type=click.IntRange(1, 1024),
                metavar="N",
                help="Repositories at once; one a processor, of what loads a model four at most, of"
                " what trains one a single one.",
            ),
            click.option("--ray", "uses_ray", is_flag=True, help="By a Ray cluster made for it."),
            click.option("--address", metavar="HOST:PORT", help="By a Ray cluster that is there."),
            click.option(
                "--send-code",
                "sends_code",
                is_flag=True,
                help="Give each worker of Ray the committed code of its task, also where the path"
                " is there; otherwise no code is sent. It is deleted after the task.",
            ),
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
    sends_code: bool,
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
        sends_code: As given.
        retries: As given.
        fresh: As given.
        as_json: Whether one JSON object is printed at the end instead of lines.

    Returns:
        The exit code: 1 if a repository failed.
    """
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.fleet.drive import run_fleet

    members = _members(list_file)
    n_workers = _n_workers(workers, job, 1 << 20 if address else len(members))
    status = StatusLine()

    def show(outcome: Outcome, done: int, of: int) -> None:
        status.clear()
        if not as_json:
            said = f"failed: {outcome.error}" if outcome.error else _said(in_words, outcome)
            line = f"{members[outcome.root].name}  {said}  ({outcome.seconds:.1f} s)"
            (note if outcome.error else answer)(safe_line(line))
        status.show(f"{done} of {of} repositories")

    runner = _runner(n_workers, address, uses_ray=uses_ray, sends_code=sends_code)
    try:
        status.show(f"{counted(len(members), 'repository', 'repositories')}, {n_workers} at once")
        run = run_fleet(
            list(members), job, runner, n_workers, retries=retries, is_fresh=fresh, on_outcome=show
        )
    except KeyboardInterrupt:
        status.clear()
        note("stopped; the same command goes on with the rest")
        return EXIT_INTERRUPTED
    finally:
        status.clear()
        runner.close()
    _sum_up(run, members, as_json=as_json)
    return 1 if run.failed else 0


def _said(in_words: Callable[[dict[str, Any]], str], outcome: Outcome) -> str:
    """A result in words; one without the figures that they are of is done all the same."""
    try:
        return in_words(outcome.result or {})
    except (AttributeError, KeyError, TypeError, ValueError):
        # Of another machine, it may be anything.
        return "done"


def _members(list_file: str | None) -> dict[str, Member]:
    """The repositories of the list, by what stands for them in work.

    Raises:
        UsageError: It names none.
    """
    from codebuddy.fleet.listing import read_members

    return {each.task: each for each in read_members(list_of(list_file), needs_some=True)}


def _n_workers(workers: int | None, job: Job, most: int) -> int:
    """As given, or as many as the machine can bear; never more than there is to do."""
    return min(workers or min(os.cpu_count() or 1, _MOST_WORKERS.get(job.verb, 1024)), most)


def _runner(n_workers: int, address: str | None, *, uses_ray: bool, sends_code: bool) -> Runner:
    """Who does it; workers share the processors between them."""
    from codebuddy.errors import UsageError

    if sends_code and not uses_ray and not address:
        raise UsageError(
            "--send-code is for workers of Ray", hint="give --address, or leave it out"
        )
    threads = str(max(1, (os.cpu_count() or 1) // n_workers))
    environment = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "CODEBUDDY_INDEX_JOBS": os.environ.get("CODEBUDDY_INDEX_JOBS", threads),
        "CODEBUDDY_MODEL_THREADS": os.environ.get("CODEBUDDY_MODEL_THREADS", threads),
    }
    if uses_ray or address:
        from codebuddy.fleet.ray_runner import RayRunner

        variables = {} if address else environment
        return RayRunner(n_workers, address or "", variables, sends_code=sends_code)
    from codebuddy.fleet.runners import ProcessRunner

    return ProcessRunner(n_workers, environment)


def _sum_up(run: FleetRun, members: dict[str, Member], *, as_json: bool) -> None:
    cost = run.cost()
    if as_json:
        items = [
            {
                "name": members[each.root].name,
                "repository": str(members[each.root].root),
                "url": url_of(members[each.root]),
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
        note(safe_line(f"{members[each.root].name}: {each.error}{remedy}"))
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
