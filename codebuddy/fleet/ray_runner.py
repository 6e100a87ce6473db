"""A fleet's tasks on a Ray cluster: this machine's own, or one that is there already.

The only module that imports Ray. Tasks run with Ray's retries off: a worker that dies is counted
here, as it is without Ray. Weights are files that each node maps, so that its workers share them;
none goes through the object store.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import codebuddy
from codebuddy import paths
from codebuddy.errors import CodebuddyError
from codebuddy.fleet.runners import died
from codebuddy.fleet.sending import head_of, outcome_of, pack_for, run_sent, run_where_it_lies
from codebuddy.fleet.tasks import Job, Outcome, place_of, run_task
from codebuddy.private_files import make_folder
from codebuddy.vcs.clones import looks_like_url

# Read as it is imported.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Results are some kilobytes; without a limit it takes a third of the machine's memory.
_OBJECT_STORE_BYTES = 200 << 20
# Tasks that a cluster of our own is given, so that no worker is idle while the driver writes;
# its processors bound how many run. One that is there has more, and would run them all.
_TASKS_PER_WORKER = 2
_CONNECT_S = 5.0


@dataclass(slots=True)
class _Try:
    """A repository that is to be done: how often it was tried, and its folder here where its code
    goes along."""

    root: str
    attempt: int = 1
    folder: str = ""


class RayRunner:
    """Workers of a Ray cluster.

    Args:
        n_workers: How many tasks at once, and how many processors a cluster of our own has.
        address: Of a cluster that is there, as Ray writes it; empty for one of our own, which
            ends with us.
        environment: Variables for the workers besides.
        sends_code: Whether each worker gets the code of its task; otherwise no code leaves this
            machine, and a cluster's worker does what lies under the same path there, or what it
            can fetch itself.

    Raises:
        CodebuddyError: Ray is not installed, or there is no such cluster.
    """

    def __init__(
        self,
        n_workers: int,
        address: str = "",
        environment: dict[str, str] | None = None,
        *,
        sends_code: bool = False,
    ) -> None:
        os.environ.update(_QUIET)
        if not address:
            os.environ.update(_for_this_user_alone())
        try:
            import ray
        except ImportError as error:
            raise CodebuddyError(
                f"Ray cannot be loaded: {error}",
                hint="pip install 'codebuddy[fleet]', or leave out --ray and --address",
            ) from error
        if address:
            _check_reachable(address)
        self._ray: Any = ray
        self._is_elsewhere = bool(address)
        self._sends_code = sends_code
        self._most = n_workers * (1 if address else _TASKS_PER_WORKER)
        variables = {**_QUIET, **(environment or {})}
        self._folder = None if address else _private_folder()
        own = {
            "num_cpus": n_workers,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_temp_dir": f"{self._folder}/ray",
        }
        try:
            with _away_from_here():
                ray.init(
                    address=address or "local",
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"env_vars": variables},
                    **({} if address else own),
                )
        except CodebuddyError:
            self._forget_folder()
            raise
        except Exception as error:
            self._forget_folder()
            where = f"the Ray cluster {address}" if address else "a Ray cluster of this machine"
            raise CodebuddyError(
                f"{where} cannot be used: {_sentence(error)}",
                hint="the same versions of Ray and Python must be on every machine",
            ) from error

    def run(self, roots: Sequence[str], job: Job, retries: int) -> Iterator[Outcome]:
        """See `runners.Runner.run`."""
        ray = self._ray
        todo: deque[_Try] = deque(_Try(root) for root in roots)
        running: dict[Any, _Try] = {}
        while todo or running:
            while todo and len(running) < self._most:
                wanted = todo.popleft()
                try:
                    running[self._started(wanted, job)] = wanted
                except (CodebuddyError, OSError) as error:
                    yield _failed(wanted, error)
            if not running:
                continue
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            done = running.pop(ready)
            try:
                found = ray.get(ready)
            except ray.exceptions.RayError as error:
                if isinstance(error, ray.exceptions.RayTaskError):
                    # Raised by the task, as by a worker without this codebuddy.
                    yield Outcome(done.root, error=_sentence(error), attempts=done.attempt)
                elif done.attempt <= retries:
                    todo.append(replace(done, attempt=done.attempt + 1))
                else:
                    yield died(done.root, done.attempt)
                continue
            try:
                yield outcome_of(found, done.root, done.attempt, job.verb, done.folder)
            except CodebuddyError as error:
                yield _failed(done, error)

    def _started(self, wanted: _Try, job: Job) -> Any:
        """The task, begun: with the code, or on what the worker has or fetches itself.

        Raises:
            CodebuddyError: The code cannot be fetched or packed.
            OSError: A file that goes along cannot be read.
        """
        call = self._ray.remote(num_cpus=1, max_retries=0)
        if self._sends_code:
            if not wanted.folder:
                # Only this machine has the user's keys.
                wanted.folder = str(place_of(wanted.root))
            parcel = pack_for(wanted.folder, job.verb)
            return call(run_sent).remote(wanted.folder, job.as_json(), parcel)
        if not self._is_elsewhere or looks_like_url(wanted.root):
            return call(run_task).remote(wanted.root, job.as_json())
        head = head_of(wanted.root)
        return call(run_where_it_lies).remote(wanted.root, job.as_json(), head)

    def close(self) -> None:
        """See `runners.Runner.close`."""
        self._ray.shutdown()
        self._forget_folder()

    def _forget_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _for_this_user_alone() -> dict[str, str]:
    """Variables for a cluster of our own: at loopback, and no other user knows its token.

    Ray would listen at the machine's address, and write its token into a file of the home folder
    that others may read. What the user set stays.
    """
    found = {}
    if not any(name.startswith("RAY_AUTH_") for name in os.environ):
        found["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    if _LOOPBACK not in os.environ:
        found[_LOOPBACK] = "0"
    return found


def _private_folder() -> Path:
    """A folder for what Ray writes (logs, sockets, objects that memory has no room for).

    Ray opens its own to everybody, so that it lies in one that is closed; paths of sockets must
    be short.

    Raises:
        CodebuddyError: It cannot be made.
    """
    short = Path("/tmp")  # noqa: S108 - the folder in it is made for its owner alone
    try:
        return Path(tempfile.mkdtemp(prefix="cb-", dir=short if short.is_dir() else None))
    except OSError as error:
        raise CodebuddyError(
            f"a Ray cluster has no folder for its files: {error.strerror}", hint="make room there"
        ) from error


@contextmanager
def _away_from_here() -> Iterator[None]:
    """Stand in a folder of ours: Ray puts the working folder on its workers' module path.

    There a repository's own `json.py` would run. Where codebuddy itself was loaded from the
    working folder its workers need that.

    Raises:
        CodebuddyError: The folder cannot be made.
    """
    try:
        here = Path.cwd()
    except OSError:
        here = None
    if here == Path(codebuddy.__file__).resolve().parents[1]:
        yield
        return
    folder = paths.fleet_runs_folder()
    try:
        os.chdir(make_folder(folder))
    except OSError as error:
        raise CodebuddyError(
            f"{folder} cannot be made: {error.strerror}", hint=paths.remedy_for(folder)
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(here or folder)


def _check_reachable(address: str) -> None:
    """Refuse an address where nobody listens, for which Ray would wait for minutes.

    Raises:
        CodebuddyError: Nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise CodebuddyError(
            f"the Ray cluster {address} cannot be used: {error}",
            hint="'ray status' on its machine says whether it runs",
        ) from error


def _failed(wanted: _Try, error: CodebuddyError | OSError) -> Outcome:
    if isinstance(error, OSError):
        error = CodebuddyError(f"its code cannot be sent: {error}")
    return Outcome(wanted.root, error=error.message, hint=error.hint, attempts=wanted.attempt)


def _sentence(error: Exception) -> str:
    """The last line that says something; Ray's messages are pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
