"""What `codebuddy engine status --json` says of a running engine. Standard library only.

The client checks it once, where the engine's bytes become values. An engine of another version
answers, too: a key that a later version adds is `NotRequired`.
"""

from typing import NotRequired, TypedDict

from codebuddy.service.response import ModelDescription


class Restart(TypedDict):
    """A worker that ended and is started again; `at` is in seconds since 1970."""

    worker: str
    reason: str
    at: int


class RequestCounts(TypedDict):
    """Requests since the engine started; `busy` were refused as the queue was full."""

    requests: int
    cache_hits: int
    joined: int
    cancelled: int
    busy: int
    prewarmed: int
    ahead: int
    read_ahead: NotRequired[int]
    searches: int
    questions: int
    accepted: int
    accepted_characters: int


class WorkTokens(TypedDict):
    """Tokens of all answers since the engine started."""

    evaluated: int
    reused: int
    generated: int


class QueueStatus(TypedDict):
    """Requests that wait, the kind of the one that runs, and how many may wait."""

    waiting: int
    running: str | None
    length: int


class EngineStatus(TypedDict):
    """A running engine.

    `workers` holds process ids and `memory_bytes` resident sizes, both by role. `model`,
    `load_ms` (milliseconds), `threads` and `gpu_layers` are `None` until a model is loaded;
    the last two also where a model server runs it. `adapter` names the one that wrote the last
    answer. `tuning` has a `state`, and what measuring won (`inference/tuning.py`);
    `put_off` says why it was refused or failed the last time.
    """

    running: bool
    version: str
    identity: str
    pid: int
    workers: dict[str, int]
    socket: str
    log: str
    uptime_seconds: float
    idle_seconds: float
    model: str | None
    load_ms: float | None
    threads: int | None
    gpu_layers: int | None
    runtime: dict[str, object]
    adapter: NotRequired[str | None]
    tuning: NotRequired[dict[str, object]]
    memory_bytes: dict[str, int]
    requests: RequestCounts
    tokens: WorkTokens
    queue: QueueStatus
    restarts: int
    last_restarts: list[Restart]


class LoadedModel(ModelDescription):
    """What the model worker says once a model is loaded; `load_ms` is milliseconds."""

    load_ms: float
