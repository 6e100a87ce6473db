"""One run over a fleet: what is left of it, done by a runner, kept as it comes, and its cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.fleet.journal import open_journal
from codebuddy.fleet.runners import Runner
from codebuddy.fleet.tasks import Job, Outcome

OnOutcome = Callable[[Outcome, int, int], None]
# Machines for which the time of a thousand repositories is reckoned.
_NODES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class FleetRun:
    """What came of a run: outcomes in the list's order, and of them how many were there already.

    `seconds` is the time of this run, with `n_workers` at once; `own_seconds` the sum of its own
    outcomes' times, without those that were there already.
    """

    outcomes: Sequence[Outcome]
    resumed: int
    seconds: float
    n_workers: int
    own_seconds: float

    @property
    def failed(self) -> list[Outcome]:
        """The repositories that could not be done."""
        return [each for each in self.outcomes if each.error]

    def cost(self) -> dict[str, Any]:
        """What it took, and what a thousand such repositories would take.

        `seconds` and `cpu_seconds` are a repository's mean, `p95_seconds` of its time;
        `busy_workers` is how many workers were busy on average in this run. `hours_of_1000` is on
        paper: by number of machines like this one, each with as many workers, which share nothing.
        The slowest repository is waited for at the end. It is empty where this run did nothing.
        """
        done = [each for each in self.outcomes if not each.error]
        times = sorted(each.seconds for each in done)
        if not times:
            return {"repositories": 0}
        busy = self.own_seconds / self.seconds if self.seconds > 0 else 0.0
        busy = min(float(self.n_workers), busy)
        mean = statistics.fmean(times)
        return {
            "repositories": len(done),
            "workers": self.n_workers,
            "seconds": round(mean, 3),
            "p95_seconds": times[min(len(times) - 1, int(0.95 * len(times)))],
            "cpu_seconds": round(statistics.fmean(each.cpu_seconds for each in done), 3),
            "busy_workers": round(busy, 2),
            "hours_of_1000": {
                str(nodes): round((1000 * mean / busy / nodes + times[-1]) / 3600, 3)
                for nodes in _NODES
                if busy
            },
        }


def run_fleet(
    roots: Sequence[str],
    job: Job,
    runner: Runner,
    n_workers: int,
    *,
    retries: int = 2,
    is_fresh: bool = False,
    on_outcome: OnOutcome | None = None,
) -> FleetRun:
    """Do the job for each repository that an interrupted run has not done.

    Args:
        roots: The repositories.
        job: What is to be done.
        runner: Who does it; the caller closes it.
        n_workers: How many it has.
        retries: How many workers more may die on one repository.
        is_fresh: Whether what an interrupted run did is done again.
        on_outcome: Called for each that is done now, with how many are done of how many.

    Raises:
        CodebuddyError: Another driver is at the same work, no worker starts, or the journal
            cannot be written.
    """
    started = time.perf_counter()
    with open_journal(job, roots) as journal:
        if is_fresh:
            journal.begin_anew()
        found = dict(journal.done)
        resumed, own_seconds = len(found), 0.0
        left = [root for root in roots if root not in found]
        for outcome in runner.run(left, job, retries):
            journal.add(outcome)
            found[outcome.root] = outcome
            own_seconds += outcome.seconds
            if on_outcome is not None:
                on_outcome(outcome, len(found), len(roots))
        journal.finish()
    seconds = time.perf_counter() - started
    outcomes = [found[root] for root in roots]
    return FleetRun(outcomes, resumed, seconds, n_workers, own_seconds)
