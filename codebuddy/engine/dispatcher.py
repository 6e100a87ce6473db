"""From queue to model worker, one job at a time; what runs may be cancelled, kept or joined.

A keystroke that agrees with the running generation does not end it: the newer request waits
for its answer instead. It knows the worker's messages, not how requests arrive.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from codebuddy.completion.cache import is_still_wanted
from codebuddy.engine.job import Job
from codebuddy.engine.queue import RequestQueue
from codebuddy.engine.status import LoadedModel
from codebuddy.engine.supervisor import WorkerProcess
from codebuddy.errors import CodebuddyError, GenerationError, SupersededError, TimeLimitError
from codebuddy.service.response import checked

_MODEL_MODULE = "codebuddy.engine.worker"
# The longest completion at a tenth of a usual speed; after that a job has failed.
_JOB_LIMIT_S = 1800.0
_POLL_S = 0.5
# So long beyond its own time a request waits for its turn.
_SPARE_S = 2.0

_NEWER = "a newer request took the place of this one"

_log = logging.getLogger("codebuddy.engine")


class Dispatcher:
    """Runs jobs on the model worker.

    Args:
        queue_length: How many may wait.
        hang_s: Seconds without a sign of life, or without obeying, that cost a worker its life.
        on_result: Called with each job that succeeded, before its followers are served.
        follow_up: Serves a follower once the job it waited for has ended.
    """

    def __init__(
        self,
        queue_length: int,
        hang_s: float,
        on_result: Callable[[Job, dict[str, Any]], None],
        follow_up: Callable[[Job], None],
    ) -> None:
        self.worker = WorkerProcess(
            "model", _MODEL_MODULE, hang_s, self._on_worker_message, self._on_worker_exit
        )
        self.loaded: LoadedModel | None = None
        self.running: Job | None = None
        # By what the model was asked for last: settings' sources, and a name where one was given.
        self.last_wish: dict[str, Any] = {}
        # Why measuring was refused or failed the last time; empty if it was not.
        self.why_not_tuned = ""
        self._queue: RequestQueue[Job] = RequestQueue(queue_length)
        self._hang_s = hang_s
        # Work of the worker that no cancellation ends: when it began, and when the last one ended.
        self._loading_since: float | None = None
        self._loaded_at = float("-inf")
        self._on_result = on_result
        self._follow_up = follow_up
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def n_waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        return self.running is None and not len(self._queue)

    def submit(self, job: Job) -> None:
        """Let `job` run when its turn comes, or join what runs if that answers it too.

        Raises:
            EngineBusyError: The queue is full.
        """
        running = self.running
        if running is not None and self._is_joined(running, job):
            for old in [each for each in running.followers if each.client == job.client]:
                self._supersede(old)
            running.followers.append(job)
            return
        for old in self._queue.put(job):
            self._supersede(old)
        if job.call is not None and job.call.budget_ms is not None:
            waits_s = job.call.budget_ms / 1000 + _SPARE_S - (time.monotonic() - job.arrived)
            asyncio.get_running_loop().call_later(waits_s, self._drop_waiting, job)
        if running is not None and self._must_yield(running, job):
            self.cancel(running, SupersededError(_NEWER))
        self._wake.set()

    def cancel(self, job: Job, error: CodebuddyError | None = None) -> None:
        """End `job`, waiting or running; its client hears `error` at once."""
        has_followers = any(not each.is_finished for each in job.followers)
        job.fail(error or SupersededError("the request was cancelled"))
        if job is self.running:
            if job.cancelled is None and not has_followers:
                job.cancelled = time.monotonic()
                task = asyncio.ensure_future(self._send_cancel(job))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif not self._queue.remove(job) and self.running is not None:
            self.running.followers = [each for each in self.running.followers if each is not job]
            if self.running.is_finished and not self.running.followers:
                self.cancel(self.running)

    def cancel_client(self, client: str, request: str = "") -> int:
        """End a client's jobs, or the one that it calls `request`; how many there were."""
        jobs = self._queue.of_client(client)
        if self.running is not None:
            jobs += [each for each in self.running.followers if each.client == client]
            if self.running.client == client:
                jobs.append(self.running)
        jobs = [each for each in jobs if not request or each.request == request]
        for job in jobs:
            self.cancel(job)
        return len(jobs)

    async def run(self) -> None:
        """Serve for as long as the engine lives."""
        while True:
            job = self._queue.take()
            if job is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._serve(job)
            except Exception as error:  # noqa: BLE001
                # One request's bug must not end the service of all others.
                _log.error("request %d met a bug: %s", job.id, type(error).__name__)
                job.fail(GenerationError(f"the engine met a bug: {type(error).__name__}"))
            finally:
                self.running = None
            for follower in job.followers:
                if not follower.is_finished:
                    self._follow_up(follower)

    async def _serve(self, job: Job) -> None:
        self._over.clear()
        self.running = job
        job.started = time.monotonic()
        if job.op != "tune":
            named = job.head.get("model") if job.call is None else job.call.model
            self.last_wish = {"settings": job.head.get("settings"), "model": named}
        try:
            await self.worker.send(job.message(time.monotonic()), job.body)
        except CodebuddyError as error:
            job.fail(GenerationError(error.message, error.hint))
            return
        if job.cancelled is not None:
            # While the worker's process was started there was nobody to tell.
            await self._send_cancel(job)
        while not await self._is_over():
            now = time.monotonic()
            if self._should_have_stopped(job, now):
                self.worker.kill(f"it did not stop within {self._hang_s:.0f} s of being told to")
            elif job.cancelled is None and now - job.started > _JOB_LIMIT_S:
                self.cancel(job, GenerationError(f"it took more than {_JOB_LIMIT_S:.0f} s"))
        ended = time.monotonic()
        _log.info(
            "request %d %s for %s: waited %.0f ms, ran %.0f ms%s",
            job.id,
            job.op,
            job.priority,
            (job.started - job.arrived) * 1000,
            (ended - job.started) * 1000,
            ", cancelled" if job.cancelled is not None else "",
        )

    def _should_have_stopped(self, job: Job, now: float) -> bool:
        """Whether the worker was told to end `job` and had `hang_s` for it.

        A process that starts hears nothing yet, and loading is not interrupted: the time counts
        from the end of both. That it still lives its signs of life say, not this.
        """
        answers_since = self.worker.answers_since
        if job.cancelled is None or answers_since is None:
            return False
        if self._loading_since is not None:
            return now - self._loading_since > _JOB_LIMIT_S
        return now - max(job.cancelled, answers_since, self._loaded_at) > self._hang_s

    async def _is_over(self) -> bool:
        try:
            await asyncio.wait_for(self._over.wait(), _POLL_S)
        except TimeoutError:
            return False
        return True

    async def _send_cancel(self, job: Job) -> None:
        if job is self.running and self.worker.pid is not None:
            await self.worker.send({"op": "cancel", "id": job.id})

    def _on_worker_message(self, message: dict[str, Any]) -> None:
        """A message of the worker."""
        kind = message.get("type")
        if kind == "loaded":
            self.loaded = checked(message, LoadedModel)
            _log.info("loaded %s in %.0f ms", self.loaded["model"], self.loaded["load_ms"])
            return
        if kind == "loading":
            self._note_loading(is_over=bool(message.get("is_over")))
            return
        if kind == "log":
            _log.error("model worker: %s", message.get("text"))
            return
        job = self.running
        if job is None or message.get("id") != job.id:
            return
        if kind == "begin":
            # A second generation, with retrieval, may follow the first.
            job.raw = ""
        elif kind == "piece":
            job.raw += str(message["text"])
        elif kind == "measured":
            job.emit({**message["step"], "type": "step", "step": message["step"].get("type")})
        elif kind == "text":
            job.emit({"type": "text", "text": message["text"]})
        elif kind == "result":
            self.worker.succeeded()
            if job.op == "load" and self.loaded is not None and "runtime" in message["result"]:
                self.loaded["runtime"] = message["result"]["runtime"]
            self._on_result(job, message["result"])
            self._over.set()
        elif kind == "error":
            # A worker that can say what is wrong is well.
            self.worker.succeeded()
            job.emit({**message, "type": "error"})
            job.is_finished = True
            self._over.set()

    def _note_loading(self, *, is_over: bool) -> None:
        now = time.monotonic()
        self._loading_since = None if is_over else now
        if is_over:
            self._loaded_at = now

    def _on_worker_exit(self, reason: str) -> None:
        self.loaded = None
        self._loading_since = None
        if self.running is not None:
            self.running.fail(
                GenerationError(
                    f"the model's process ended while it worked on this: {reason}",
                    hint="it is started again; 'codebuddy engine logs' tells more",
                )
            )
            self._over.set()

    def _supersede(self, job: Job) -> None:
        job.fail(SupersededError(_NEWER))

    def _drop_waiting(self, job: Job) -> None:
        """Its time is over, and something else still runs, perhaps on a model server's silence."""
        if job.started is None and not job.is_finished:
            self.cancel(
                job,
                TimeLimitError(
                    "the engine was busy with other requests for all of the time that was given",
                    hint="give more time with --budget-ms, or see 'codebuddy engine status'",
                ),
            )

    def _is_joined(self, running: Job, job: Job) -> bool:
        """Whether what runs will answer `job` too: only agreeing text was typed since."""
        if running.cancelled is not None or running.cache_key is None or job.cache_key is None:
            return False
        if running.op != "complete" or job.op != "complete" or running.client != job.client:
            return False
        is_same = running.cache_key == job.cache_key
        return is_same or (
            bool(running.raw) and is_still_wanted(running.cache_key, running.raw, job.cache_key)
        )

    def _must_yield(self, running: Job, job: Job) -> bool:
        """Whether `running` is to end for `job`."""
        if running.op == "tune":
            # Measuring is what the engine does when nobody wants anything.
            return job.op != "tune"
        if job.priority == "background":
            return False
        if running.priority == "background":
            return True
        is_newer = running.priority == job.priority == "typing"
        return is_newer and bool(job.client) and running.client == job.client
