"""`codebuddy engine`: the warm process started, ended, asked how it is, and its log read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from codebuddy.commands.tuning import tune
from codebuddy.terminal import StatusLine, answer, answer_json, note

if TYPE_CHECKING:
    from codebuddy.engine.status import EngineStatus

_MAX_LOG_LINES = 100_000


@click.group(
    name="engine",
    help="The warm process that holds model and indexes; it starts by itself.",
    epilog="Example: codebuddy engine status",
)
def command() -> None:
    """Entry point of the verb."""


_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@command.command("start", epilog="Example: codebuddy engine start")
@click.option("--model", metavar="NAME|PATH", help="Load this model, not the settings' one.")
@_JSON
def start(*, model: str | None, as_json: bool) -> None:
    """Start the engine if none runs, and load the model."""
    from codebuddy.engine.client import EngineClient

    started = time.perf_counter()
    with StatusLine() as status:
        status.show("the engine starts and loads the model")
        client = EngineClient.connect()
        loaded = client.load(model)
        report = client.status()
    seconds = time.perf_counter() - started
    if as_json:
        shown = {"model": loaded["model"], "runtime": loaded["runtime"], "seconds": seconds}
        answer_json({**report, **shown})
        return
    answer(
        f"the engine runs as process {report['pid']} with {loaded['model']}, "
        f"ready after {seconds:.1f} s"
    )


command.add_command(tune)


@command.command("stop", epilog="Example: codebuddy engine stop")
@_JSON
def stop(*, as_json: bool) -> None:
    """End the engine once what it works on is done; kill it if it does not answer."""
    from codebuddy.engine.client import stop_engine

    was_running = stop_engine()
    if as_json:
        answer_json({"stopped": was_running})
    else:
        answer("the engine has ended" if was_running else "no engine runs")


@command.command("status", epilog="Example: codebuddy engine status --json")
@_JSON
def status(*, as_json: bool) -> None:
    """Say what the engine holds and did. Starts nothing."""
    from codebuddy.engine.client import engine_status

    report = engine_status()
    if as_json:
        answer_json({"running": False} if report is None else report)
        return
    if report is None:
        answer("no engine runs; it starts when it is needed, or with 'codebuddy engine start'")
        return
    for label, text in _shown(report):
        answer(f"{label:>9} {text}")


@command.command("logs", epilog="Example: codebuddy engine logs -n 50")
@click.option(
    "-n", "count", type=click.IntRange(1, _MAX_LOG_LINES), default=30, help="Lines at most (30)."
)
@_JSON
def logs(*, count: int, as_json: bool) -> None:
    """Show the end of the engine's log: ids and counts, never code."""
    from collections import deque

    from codebuddy import paths
    from codebuddy.errors import EngineError

    file = paths.engine_log_file()
    lines: deque[str] = deque(maxlen=count)
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            lines.extend(line.rstrip("\n") for line in stream)
    except FileNotFoundError:
        note(f"there is no log yet: {file}")
    except OSError as error:
        raise EngineError(f"the log {file} cannot be read: {error.strerror}") from error
    if as_json:
        answer_json({"log": str(file), "lines": list(lines)})
        return
    answer("\n".join(lines), newline=bool(lines))


def _shown(report: EngineStatus) -> list[tuple[str, str]]:
    """The status as (label, text)."""
    requests, tokens, queue = report["requests"], report["tokens"], report["queue"]
    memory = ", ".join(
        f"{role} {size / 1e6:.0f} MB" for role, size in report["memory_bytes"].items()
    )
    model = report["model"] or "none loaded yet"
    if adapter := report.get("adapter"):
        model += f" with {adapter}"
    lines = [
        ("engine", f"process {report['pid']}, version {report['version']}"),
        ("uptime", f"{report['uptime_seconds']:.0f} s, idle {report['idle_seconds']:.0f} s"),
        ("model", model),
        ("memory", memory),
        ("threads", _threads_of(report)),
        *_tuning_of(report),
        (
            "requests",
            f"{requests['requests']} completions ({requests['cache_hits']} from the cache, "
            f"{requests['cancelled']} cancelled, {requests['busy']} refused as busy), "
            f"{requests['searches']} searches, {requests['questions']} questions",
        ),
        (
            "tokens",
            f"{tokens['evaluated']} evaluated, {tokens['reused']} reused, "
            f"{tokens['generated']} generated",
        ),
        ("queue", f"{queue['waiting']} wait, {queue['running'] or 'nothing'} runs"),
        ("restarts", str(report["restarts"])),
    ]
    lines += [
        ("restart", f"{each['worker']} worker: {each['reason']}")
        for each in report["last_restarts"]
    ]
    lines += [("socket", report["socket"]), ("log", report["log"])]
    return lines


def _tuning_of(report: EngineStatus) -> list[tuple[str, str]]:
    """What measuring found, where a model runs that can be measured."""
    from codebuddy.inference.tuning import in_words

    told = report.get("tuning")
    return [("tuning", in_words(told))] if told else []


def _threads_of(report: EngineStatus) -> str:
    """Known once a model is loaded in the engine itself."""
    if report["threads"] is None:
        return "no model is loaded"
    return f"{report['threads']}, {report['gpu_layers'] or 0} layers on the GPU"
