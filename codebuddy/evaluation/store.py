"""Runs of `codebuddy eval` on disk: JSON lines beside the index, written as they come.

The first line says what was run, on what and with what; each further one is a finished
task. A line that a kill cut off, or that is damaged, is dropped when the run is read again,
and its task is done again when the run goes on. It does not know what the tasks mean.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.private_files import (
    append_to,
    make_folder,
    parse_json,
    read_file,
    whole_number,
    write_file,
)
from codebuddy.vcs.repository import Repository

T = TypeVar("T")

FORMAT = 1
_SUFFIX = ".jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
# A task takes some kilobytes, and a run some hundred tasks.
_MAX_RUN_BYTES = 256 << 20
_MAX_PLANNED = 10_000_000
# What must be the same for a run to go on where another stopped.
_MUST_AGREE = ("commit", "model", "settings", "seed", "kinds", "arms", "holes", "program", "mode")
# These as well, where its first line says them.
_MAY_BE_MISSING = ("adapter", "head", "weights")


@dataclass(slots=True)
class Run:
    """A run as read: its first line, the finished tasks by id, and damaged lines passed over."""

    name: str
    header: dict[str, Any]
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    n_damaged: int = 0

    @property
    def n_planned(self) -> int:
        """How many tasks it was to have."""
        return int(self.header.get("planned", 0))

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says of it: repository, commit, model, adapter, seed, settings."""
        header = self.header
        return {
            "repository": header.get("repository", ""),
            "commit": header.get("commit", ""),
            "model": header.get("model", ""),
            "adapter": header.get("adapter"),
            "run": self.name,
            "seed": header.get("seed", 0),
            "planned": self.n_planned,
            "damaged_lines": self.n_damaged,
            "settings": header.get("settings", {}),
        }

    def parsed(self, parse: Callable[[dict[str, Any]], T]) -> list[T]:
        """The tasks as `parse` reads them; where it raises ValueError, a task counts as damaged."""
        found = []
        for name, value in list(self.tasks.items()):
            try:
                found.append(parse(value))
            except ValueError:
                del self.tasks[name]
                self.n_damaged += 1
        return found

    @property
    def is_finished(self) -> bool:
        """Whether every task is done."""
        return len(self.tasks) >= self.n_planned


def runs_folder(repository: Repository) -> Path:
    """Where a repository's runs are kept."""
    return repository.index_folder / "eval"


def list_runs(repository: Repository) -> list[Run]:
    """Every run that can be read, the latest first."""
    folder = runs_folder(repository)
    try:
        names = sorted(each.name for each in folder.iterdir() if each.name.endswith(_SUFFIX))
    except OSError:
        return []
    found = []
    for name in names:
        try:
            found.append(_read(folder / name))
        except UsageError:
            continue
    return sorted(found, key=lambda run: (run.header.get("started", ""), run.name), reverse=True)


def load_run(repository: Repository, name: str) -> Run:
    """A run by its name, a beginning of it that no other has, or `last`.

    Raises:
        UsageError: There is none of that name, there are several, or its file is damaged.
    """
    folder = runs_folder(repository)
    if _NAME.fullmatch(name) and (folder / f"{name}{_SUFFIX}").is_file():
        return _read(folder / f"{name}{_SUFFIX}")
    runs = list_runs(repository)
    if name == "last" and runs:
        return runs[0]
    matching = [run for run in runs if run.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    hint = (
        f"the runs are: {', '.join(run.name for run in runs[:10])}"
        if runs
        else "make one with 'codebuddy eval'"
    )
    many = "several runs begin with" if matching else "there is no run"
    raise UsageError(f"{many} {name!r}", hint=hint)


class RunWriter:
    """A run that is being made; each task is on disk before the next one begins."""

    def __init__(self, file: Path, run: Run) -> None:
        self._file = file
        self.run = run

    def add(self, task: Mapping[str, Any]) -> None:
        """Keep a finished task, which has an `id`.

        Raises:
            CodebuddyError: It cannot be written.
        """
        line = json.dumps({"type": "task", **task}, ensure_ascii=True) + "\n"
        try:
            append_to(self._file, line.encode())
        except OSError as error:
            raise _unwritable(self._file, error) from error
        self.run.tasks[str(task["id"])] = dict(task)

    def read_again(self) -> Run:
        """The run as it stands on disk, after something came between writing and noting it."""
        self.run = _read(self._file)
        return self.run


def begin_run(repository: Repository, header: Mapping[str, Any]) -> RunWriter:
    """Go on with an unfinished run of the very same work, or begin one.

    Raises:
        CodebuddyError: It cannot be written.
    """
    folder = runs_folder(repository)
    try:
        make_folder(folder, levels=2)
    except OSError as error:
        raise CodebuddyError(
            f"no run can be kept in {error.filename or folder}: {error.strerror}",
            hint="delete what stands there, or make the folder around it writable",
        ) from error
    wanted = json.loads(json.dumps(header))
    for run in list_runs(repository):
        told = [*_MUST_AGREE, *(key for key in _MAY_BE_MISSING if key in run.header)]
        agrees = all(run.header.get(key) == wanted.get(key) for key in told)
        if agrees and not run.is_finished:
            # Written whole, so that no half line is left in the middle.
            _write(folder / f"{run.name}{_SUFFIX}", run)
            return RunWriter(folder / f"{run.name}{_SUFFIX}", run)
    now = datetime.now(UTC)
    model = re.sub(r"[^A-Za-z0-9.]+", "-", str(header.get("model") or "retrieval"))[:40].strip("-")
    stem = f"{now:%Y%m%d-%H%M%S}-{model}"
    name, number = stem, 1
    while (folder / f"{name}{_SUFFIX}").exists():
        number += 1
        name = f"{stem}-{number}"
    run = Run(name, {"started": now.isoformat(timespec="seconds"), **wanted})
    _write(folder / f"{name}{_SUFFIX}", run)
    return RunWriter(folder / f"{name}{_SUFFIX}", run)


def program_digest() -> str:
    """A digest of codebuddy's own source, so that a run never mixes two states of it."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _read(file: Path) -> Run:
    """A run's file.

    Raises:
        UsageError: It cannot be read, or its first line is not that of a run.
    """
    name = file.name.removesuffix(_SUFFIX)
    try:
        lines = read_file(file, _MAX_RUN_BYTES).split(b"\n")
    except OSError as error:
        raise UsageError(f"the run {file} cannot be read: {error.strerror}") from error
    header = _parse(lines[0])
    if header is None or header.get("type") != "run" or header.get("format") != FORMAT:
        raise UsageError(
            f"{file} is damaged, or no run of this codebuddy", hint="delete it, or name another"
        )
    run = Run(name, {key: value for key, value in header.items() if key not in ("type", "format")})
    try:
        whole_number(run.header.get("planned", 0), 0, _MAX_PLANNED)
        is_sound = isinstance(run.header.get("started", ""), str)
    except ValueError:
        is_sound = False
    if not is_sound:
        raise UsageError(f"{file} is damaged: its first line makes no sense", hint="delete it")
    for line in lines[1:]:
        task = _parse(line)
        if task is not None and task.get("type") == "task" and isinstance(task.get("id"), str):
            run.tasks[task["id"]] = {key: task[key] for key in task if key != "type"}
        elif line.strip():
            run.n_damaged += 1
    return run


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = parse_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _write(file: Path, run: Run) -> None:
    first = {"type": "run", "format": FORMAT, **run.header}
    lines = [first, *({"type": "task", **task} for task in run.tasks.values())]
    content = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)
    try:
        write_file(file, content.encode(), is_durable=True)
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> CodebuddyError:
    return CodebuddyError(
        f"the run {file} cannot be written: {error.strerror}",
        hint="free some space; what was written stays",
    )
