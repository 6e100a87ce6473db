"""A fleet's tasks on a Ray cluster: this machine's own, or one that is there already.

The only module that imports Ray. Tasks run with Ray's retries off: a worker that dies is counted
here, as it is without Ray. Weights are files that each node maps, so that its workers share them;
none goes through the object store.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from codebuddy.errors import CodebuddyError
from codebuddy.fleet.runners import died
from codebuddy.fleet.tasks import Job, Outcome, run_task

# Read as it is imported.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
# Results are some kilobytes; without a limit it takes a third of the machine's memory.
_OBJECT_STORE_BYTES = 200 << 20
# Tasks that a cluster of our own is given, so that no worker is idle while the driver writes;
# its processors bound how many run. One that is there has more, and would run them all.
_TASKS_PER_WORKER = 2
_CONNECT_S = 5.0


class RayRunner:
    """Workers of a Ray cluster.

    Args:
        n_workers: How many tasks at once, and how many processors a cluster of our own has.
        address: Of a cluster that is there, as Ray writes it; empty for one of our own, which
            ends with us.
        environment: Variables for the workers besides.

    Raises:
        CodebuddyError: Ray is not installed, or there is no such cluster.
    """

    def __init__(
        self, n_workers: int, address: str = "", environment: dict[str, str] | None = None
    ) -> None:
        os.environ.update(_QUIET)
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
        self._most = n_workers * (1 if address else _TASKS_PER_WORKER)
        variables = {**_QUIET, **(environment or {})}
        own = {"num_cpus": n_workers, "object_store_memory": _OBJECT_STORE_BYTES}
        try:
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": variables},
                **({} if address else own),
            )
        except Exception as error:
            where = f"the Ray cluster {address}" if address else "a Ray cluster of this machine"
            raise CodebuddyError(
                f"{where} cannot be used: {_sentence(error)}",
                hint="the same versions of Ray and Python must be on every machine",
            ) from error

    def run(self, roots: Sequence[str], job: Job, retries: int) -> Iterator[Outcome]:
        """See `runners.Runner.run`."""
        ray = self._ray
        task = ray.remote(num_cpus=1, max_retries=0)(run_task)
        todo = deque((root, 1) for root in roots)
        running: dict[Any, tuple[str, int]] = {}
        while todo or running:
            while todo and len(running) < self._most:
                root, attempt = todo.popleft()
                running[task.remote(root, job.as_json())] = root, attempt
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            root, attempt = running.pop(ready)
            try:
                found = ray.get(ready)
            except ray.exceptions.RayError as error:
                if isinstance(error, ray.exceptions.RayTaskError):
                    # Raised by the task, as by a worker without this codebuddy.
                    yield Outcome(root, error=_sentence(error), attempts=attempt)
                elif attempt <= retries:
                    todo.append((root, attempt + 1))
                else:
                    yield died(root, attempt)
                continue
            yield Outcome(**found | {"attempts": attempt})

    def close(self) -> None:
        """See `runners.Runner.close`."""
        self._ray.shutdown()


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


def _sentence(error: Exception) -> str:
    """The last line that says something; Ray's messages are pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
