"""Who does a fleet's tasks: processes of this machine; `ray_runner` has the cluster.

A runner gives outcomes as they come, in no order, and holds no more tasks than it has workers. A
worker that dies costs its own task alone, which is tried again.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from codebuddy import platforms
from codebuddy.errors import CodebuddyError
from codebuddy.fleet.tasks import Job, Outcome
from codebuddy.fleet.worker import READY

_WORKER = "codebuddy.fleet.worker"
_START_ATTEMPTS = 3


class Runner(Protocol):
    """Does tasks somewhere."""

    def run(self, roots: Sequence[str], job: Job, retries: int) -> Iterator[Outcome]:
        """The outcome of each repository as it comes, exactly one each.

        Args:
            roots: The repositories.
            job: What is to be done for each.
            retries: How many workers more may die on a repository before it counts as failed.

        Raises:
            CodebuddyError: No worker can be had.
        """

    def close(self) -> None:
        """End the workers; what they were at is lost, and nothing that they gave."""


def died(root: str, attempts: int) -> Outcome:
    """The outcome of a repository whose workers all died."""
    return Outcome(
        root,
        error=f"its worker died, {attempts} times" if attempts > 1 else "its worker died",
        hint="it may need more memory than there is; its own command says more",
        attempts=attempts,
    )


class ProcessRunner:
    """Workers that are processes of this machine.

    Args:
        n_workers: How many.
        environment: Variables for them besides.
    """

    def __init__(self, n_workers: int, environment: dict[str, str] | None = None) -> None:
        self._n_workers = n_workers
        self._environment = platforms.child_environment(**(environment or {}))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._todo: deque[tuple[str, int]] = deque()
        self._done: queue.Queue[Outcome | BaseException] = queue.Queue()
        self._processes: set[subprocess.Popen[bytes]] = set()

    def run(self, roots: Sequence[str], job: Job, retries: int) -> Iterator[Outcome]:
        """See `Runner.run`."""
        self._todo.extend((root, 1) for root in roots)
        for _ in range(min(self._n_workers, len(roots))):
            threading.Thread(target=self._serve, args=(job, retries), daemon=True).start()
        for _ in roots:
            outcome = self._done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome

    def close(self) -> None:
        """See `Runner.close`."""
        self._stop.set()
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()

    def worker_ids(self) -> list[int]:
        """The process ids of the workers that live."""
        with self._lock:
            return [each.pid for each in self._processes]

    def _serve(self, job: Job, retries: int) -> None:
        """One thread: keeps one worker busy until nothing is left to do."""
        process: subprocess.Popen[bytes] | None = None
        try:
            while not self._stop.is_set():
                try:
                    root, attempt = self._todo.popleft()
                except IndexError:
                    break
                if process is None:
                    process = self._start()
                if process is None:
                    break
                started = time.perf_counter()
                found = _ask(process, root, job)
                if found is not None:
                    self._done.put(Outcome(root, **found | {"attempts": attempt}))
                    continue
                self._end(process)
                process = None
                if self._stop.is_set():
                    break
                if attempt <= retries:
                    self._todo.append((root, attempt + 1))
                else:
                    seconds = round(time.perf_counter() - started, 3)
                    lost = died(root, attempt).as_json()
                    self._done.put(Outcome(**lost | {"seconds": seconds}))
        except BaseException as error:  # noqa: BLE001
            self._done.put(error)
        finally:
            self._end(process)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """A new worker once it is ready; None where all is to end.

        Raises:
            CodebuddyError: None starts.
        """
        command = platforms.python_command(_WORKER)
        for _ in range(_START_ATTEMPTS):
            if self._stop.is_set():
                return None
            process = platforms.spawn_detached_from_terminal(command, self._environment)
            with self._lock:
                self._processes.add(process)
            if self._stop.is_set():
                process.kill()
            assert process.stdout is not None
            if process.stdout.readline() == READY:
                return process
            self._end(process)
        raise CodebuddyError(
            "a process that works on repositories cannot start",
            hint=f"see what '{' '.join(command)}' says, or install codebuddy again",
        )

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        # Unsent bytes to a dead worker are no matter.
        with contextlib.suppress(OSError), process:
            process.kill()
        with self._lock:
            self._processes.discard(process)


def _ask(process: subprocess.Popen[bytes], root: str, job: Job) -> dict[str, Any] | None:
    """What the worker found; None where it died."""
    assert process.stdin is not None
    assert process.stdout is not None
    asked = {"root": os.fsencode(root).hex(), "job": job.as_json()}
    try:
        process.stdin.write(json.dumps(asked).encode("ascii") + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except (OSError, ValueError):
        return None
    # A line that a death cut off is no answer.
    return dict(json.loads(line)) if line.endswith(b"\n") else None
