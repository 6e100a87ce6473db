"""What is done of a run over a fleet, on disk as it comes, so that a killed driver goes on.

A file of JSON lines in the user's state folder: what was to be done, then a line for each
repository that is. A repository whose line is there is not done again; one that failed is. The
driver alone writes, one at a time: so nothing is there twice, whatever workers do.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from codebuddy import paths, platforms
from codebuddy.errors import CodebuddyError
from codebuddy.fleet.tasks import Job, Outcome
from codebuddy.private_files import append_to, make_folder, parse_json, read_file, write_file

FORMAT = "codebuddy-fleet-run"
VERSION = 1
_MAX_BYTES = 1 << 30
# What was done longer ago is done again: repositories change.
_RECENT_S = 24 * 3600
_LARGEST = 1e12


class Journal:
    """The finished repositories of one run.

    Args:
        file: Where it is kept.
        header: What was to be done.
    """

    def __init__(self, file: Path, header: dict[str, Any]) -> None:
        self._file = file
        self._header = header
        self.done: dict[str, Outcome] = {}
        self._read()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome, on the disk before this returns.

        Raises:
            CodebuddyError: It cannot be written.
        """
        line = json.dumps(outcome.as_json(), ensure_ascii=True).encode("ascii") + b"\n"
        try:
            append_to(self._file, line)
        except OSError as error:
            raise _unwritable(self._file, error) from error
        self.done[outcome.root] = outcome

    def finish(self) -> None:
        """All was tried: the next run of the same work begins anew."""
        self._file.unlink(missing_ok=True)

    def begin_anew(self) -> None:
        """Forget what was done."""
        self.done = {}
        self._write()

    def _read(self) -> None:
        try:
            lines = read_file(self._file, _MAX_BYTES).split(b"\n")
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise CodebuddyError(
                f"the run {self._file} cannot be read: {error.strerror}", hint="delete it"
            ) from error
        if lines and self._is_recent() and _parsed(lines[0]) == self._header:
            for line in lines[1:]:
                outcome = _outcome(_parsed(line))
                if outcome is not None and not outcome.error:
                    self.done[outcome.root] = outcome
        # Written whole, so that no half line is left in the middle.
        self._write()

    def _is_recent(self) -> bool:
        age_s = time.time() - self._file.stat().st_mtime
        return abs(age_s) < _RECENT_S

    def _write(self) -> None:
        rows = [self._header, *(each.as_json() for each in self.done.values())]
        content = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
        try:
            write_file(self._file, content.encode("ascii"), is_durable=True)
        except OSError as error:
            raise _unwritable(self._file, error) from error


@contextmanager
def open_journal(job: Job, roots: Sequence[str]) -> Iterator[Journal]:
    """The journal of this very work, which no other driver writes meanwhile.

    Raises:
        CodebuddyError: Another driver is at the same work, or nothing can be written there.
    """
    header = {"format": FORMAT, "version": VERSION, "job": job.as_json(), "roots": sorted(roots)}
    # As it comes back from disk.
    header = json.loads(json.dumps(header))
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()[:20]
    folder = paths.fleet_runs_folder()
    name = job.verb.replace(" ", "-")
    with ExitStack() as stack:
        try:
            make_folder(folder)
            lock = platforms.exclusive_lock(folder / f"{name}.lock", timeout_s=0.0)
            stack.enter_context(lock)
        except TimeoutError as error:
            raise CodebuddyError(
                f"another 'codebuddy fleet {job.verb}' is running", hint="wait for it, or end it"
            ) from error
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield Journal(folder / f"{name}-{digest}.jsonl", header)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = parse_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _outcome(row: dict[str, Any] | None) -> Outcome | None:
    """The outcome of a row; None of one that a kill cut off, or that is no outcome."""
    if row is None or not isinstance(row.get("root"), str):
        return None
    try:
        found = Outcome(**row)
        is_sound = (
            isinstance(found.error, str)
            and isinstance(found.result, dict | None)
            and 0 <= float(found.seconds) < _LARGEST
            and 0 <= float(found.cpu_seconds) < _LARGEST
        )
    except (TypeError, ValueError):
        return None
    return found if is_sound else None


def _unwritable(file: Path, error: OSError) -> CodebuddyError:
    return CodebuddyError(
        f"the run cannot be kept in {file}: {error.strerror}", hint=paths.remedy_for(file)
    )
