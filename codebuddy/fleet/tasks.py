"""What is done for one repository of a fleet: the same functions that its own commands call.

A task is data, so that it can travel to a worker process or to another machine, and so is what
comes of it. It knows nothing of the other repositories.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codebuddy import __version__, paths
from codebuddy.errors import CodebuddyError, UsageError

Verb = Literal["index", "eval", "train head", "train adapter"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done for each repository; the same for all of them.

    `options` are the verb's own, `flags` settings by dotted name.
    """

    verb: Verb
    options: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    def as_json(self) -> dict[str, Any]:
        """As it travels."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Job:
        """The job of `as_json`."""
        return cls(content["verb"], content["options"], content["flags"], content["version"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one repository: `result`, or `error` with its remedy in `hint`.

    `seconds` of time and `cpu_seconds` of processor time were spent on it by its worker and the
    programs that this started; `attempts` counts workers that died on it.
    """

    root: str
    result: dict[str, Any] | None = None
    error: str = ""
    hint: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    attempts: int = 1

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return dataclasses.asdict(self)


def run_task(root: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Do the job for one repository; an `Outcome` as JSON, which holds known errors too.

    A plain function of data, so that any runner can call it.
    """
    started, cpu = time.perf_counter(), _cpu_seconds()
    outcome = Outcome(root)
    try:
        wanted = Job.of(job)
        _check_version(wanted)
        outcome = Outcome(root, result=_WORK[wanted.verb](place_of(root), wanted))
    except CodebuddyError as error:
        outcome = Outcome(root, error=error.message, hint=error.hint)
    except MemoryError:
        outcome = Outcome(root, error="its worker ran out of memory", hint="give it fewer workers")
    except Exception as error:  # noqa: BLE001
        # One repository's trouble, whatever it is, must not become everybody's.
        outcome = Outcome(root, error=f"a bug in codebuddy: {type(error).__name__}: {error}")
    spent = {
        "seconds": round(time.perf_counter() - started, 3),
        "cpu_seconds": round(_cpu_seconds() - cpu, 3),
    }
    return outcome.as_json() | spent


def place_of(root: str) -> Path:
    """The folder of a repository that is named by its path, or by its address.

    What an address names is fetched first, into a clone of this machine's.

    Raises:
        CodebuddyError: It cannot be fetched.
    """
    from codebuddy.vcs.clones import bring, looks_like_url, origin_of

    if not looks_like_url(root):
        return Path(root)
    origin = origin_of(root)
    folder = origin.folder_in(paths.fleet_clones_folder())
    bring(origin, folder)
    return folder


def _check_version(job: Job) -> None:
    if job.version != __version__:
        raise UsageError(
            f"the worker has codebuddy {__version__}, the driver {job.version}",
            hint="install the same version on every machine",
        )


def _index(root: Path, job: Job) -> dict[str, Any]:
    from codebuddy.index.build import update_index

    context = _context(root, job)
    report = update_index(
        context.repository, context.settings, force=bool(job.options.get("force"))
    ).as_json()
    # Of a large repository thousands of names.
    report.pop("skipped_files", None)
    return dict(report)


def _eval(root: Path, job: Job) -> dict[str, Any]:
    from codebuddy.evaluation.on_repository import evaluate_repository, measure_search
    from codebuddy.evaluation.session import EvaluationOptions

    options = EvaluationOptions(**job.options["evaluation"])
    context = _context(root, job)
    if job.options.get("retrieval_only"):
        return measure_search(context, options)
    report, _ = evaluate_repository(context, options)
    return dict(report)


def _train_head(root: Path, job: Job) -> dict[str, Any]:
    from codebuddy.terminal import StatusLine
    from codebuddy.training.head.on_repository import train_on_repository

    options = job.options
    training = train_on_repository(
        _context(root, job), options["per_kind"], options["minutes"], options["seed"], StatusLine()
    )
    return training.as_json()


def _train_adapter(root: Path, job: Job) -> dict[str, Any]:
    from codebuddy.terminal import StatusLine
    from codebuddy.training.own.on_repository import require_packages, train_on_repository
    from codebuddy.training.own.run import Options

    require_packages()
    options = Options(job.options["minutes"], job.options["seed"], bool(job.options["is_fresh"]))
    return train_on_repository(_context(root, job), options, StatusLine()).as_json()


_WORK: dict[str, Callable[[Path, Job], dict[str, Any]]] = {
    "index": _index,
    "eval": _eval,
    "train head": _train_head,
    "train adapter": _train_adapter,
}


def _context(root: Path, job: Job) -> Any:
    from codebuddy.service.context import repository_context_of_folder

    if not root.is_dir():
        raise UsageError(
            f"{root} is gone, or not there for this worker", hint="'codebuddy fleet remove' it"
        )
    return repository_context_of_folder(root, job.flags)


def _cpu_seconds() -> float:
    """Processor time of this process and of the children that it waited for."""
    import os

    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
