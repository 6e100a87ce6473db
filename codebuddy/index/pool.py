"""A pool of worker processes that survives the death of any of them.

Each worker is served by one thread, so that a dead one is known by name: the files it was
given are tried again one at a time, and the one that kills its worker is quarantined.
It knows batches and results, not what is in them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence

from codebuddy import platforms
from codebuddy.errors import IndexingError
from codebuddy.index import file_walker, worker
from codebuddy.index.batch import Batch, BatchResult, lengths_of
from codebuddy.index.file_walker import ReadFile, Skipped

# A file takes 2 s at the most by the chunker's promise; a batch that takes this long hangs.
BATCH_TIMEOUT_S = 120.0
# It imports in 0.3 s; one that waits on a dead file system would hold the index's lock for ever.
START_TIMEOUT_S = 60.0
# A worker may be shot while it starts (memory); one that never starts is a broken installation.
_START_ATTEMPTS = 3
# Results wait for the database in this number a worker; more would only take memory.
_RESULTS_PER_WORKER = 2


class WorkerPool:
    """Runs batches in worker processes; use it as a context manager.

    Args:
        n_workers: How many processes.
        command: What starts one; this package's worker by default.
    """

    def __init__(self, n_workers: int, command: Sequence[str] = ()) -> None:
        self._n_workers = n_workers
        self._command = list(command) or platforms.python_command(worker.__name__)
        self._todo: deque[Batch] = deque()
        self._results: queue.Queue[BatchResult | BaseException] = queue.Queue(
            maxsize=_RESULTS_PER_WORKER * n_workers
        )
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._processes: set[subprocess.Popen[bytes]] = set()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.kill()

    def run(self, batches: Sequence[Batch]) -> Iterator[BatchResult]:
        """The batches' results as they come, in no order.

        Raises:
            IndexingError: A worker cannot be started.
        """
        self._todo.extend(batches)
        left = len(batches)
        for _ in range(min(self._n_workers, left)):
            threading.Thread(target=self._serve, daemon=True).start()
        while left:
            result = self._results.get()
            if isinstance(result, BaseException):
                raise result
            left -= 1
            yield result

    def _serve(self) -> None:
        """One thread: keeps one worker busy until nothing is left to do."""
        process: subprocess.Popen[bytes] | None = None
        try:
            while not self._stop.is_set():
                try:
                    batch = self._todo.popleft()
                except IndexError:
                    break
                process, result = self._ask(process, batch)
                if result is None:
                    result = BatchResult()
                    for single in _singles(batch):
                        process, one = self._ask(process, single)
                        if one is None:
                            # Twice, since memory running out looks the same once.
                            process, one = self._ask(process, single)
                        _append(result, one or _quarantine(single))
                self._put(result)
        except BaseException as error:  # noqa: BLE001
            self._put(error)
        finally:
            self._end(process)

    def _put(self, result: BatchResult | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._results.put(result, timeout=0.2)
            except queue.Full:
                continue
            return

    def _ask(
        self, process: subprocess.Popen[bytes] | None, batch: Batch
    ) -> tuple[subprocess.Popen[bytes] | None, BatchResult | None]:
        """The worker, or `None` in its place if it died, and then no result."""
        if process is None:
            process = self._start()
        try:
            with _killed_after(BATCH_TIMEOUT_S, process):
                assert process.stdin is not None
                assert process.stdout is not None
                worker.send(process.stdin, batch)
                result: BatchResult = worker.receive(process.stdout)
        except (EOFError, OSError):
            self._end(process)
            return None, None
        return process, result

    def _start(self) -> subprocess.Popen[bytes]:
        for _ in range(_START_ATTEMPTS):
            process = self._started()
            if process is not None or self._stop.is_set():
                break
        if process is None:
            raise IndexingError(
                "a process that parses files cannot start",
                hint=f"see what '{' '.join(self._command)}' says, or install codebuddy again",
            )
        return process

    def _started(self) -> subprocess.Popen[bytes] | None:
        """A new worker once it is ready, or `None` if it died or hung before."""
        process = platforms.spawn_detached_from_terminal(self._command, _environment())
        with self._lock:
            self._processes.add(process)
        if self._stop.is_set():
            process.kill()
        assert process.stdout is not None
        try:
            # Without this word a broken installation would quarantine every file.
            with _killed_after(START_TIMEOUT_S, process):
                worker.receive(process.stdout)
        except (EOFError, OSError):
            self._end(process)
            return None
        return process

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        # Unsent bytes to a dead worker are no matter.
        with contextlib.suppress(OSError), process:
            process.kill()
        with self._lock:
            self._processes.discard(process)


@contextlib.contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends a worker that does not answer in time, so that waiting for it ends, too."""
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _environment() -> dict[str, str]:
    # numpy's thread pools would only fight with the other workers.
    return platforms.child_environment(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")


def _singles(batch: Batch) -> list[Batch]:
    return [dataclasses.replace(batch, files=(each,)) for each in batch.files]


def _quarantine(single: Batch) -> BatchResult:
    """The result for the one file that killed its worker: skipped, known by its content."""
    ((path, seen, _),) = single.files
    read = file_walker.read_file(single.root, path, single.max_file_bytes, 0)
    digest = read.digest if isinstance(read, ReadFile) else b""
    return BatchResult(skipped=[(path, Skipped("crash", seen), digest)])


def _append(whole: BatchResult, part: BatchResult) -> None:
    """Add `part` to `whole`, renumbering its postings' documents and terms."""
    from codebuddy.index.postings import SegmentBuilder

    builder = SegmentBuilder()
    for result in (whole, part):
        if result.columns is not None:
            builder.add(result.columns, lengths_of(result))
    whole.columns = builder.columns()
    whole.analysed += part.analysed
    whole.unchanged += part.unchanged
    whole.skipped += part.skipped
    whole.gone += part.gone
    whole.source_bytes += part.source_bytes
