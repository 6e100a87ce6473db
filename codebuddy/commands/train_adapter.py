"""`codebuddy train adapter`: teach the model this repository's own code, and keep what helps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codebuddy.commands.privacy_options import privacy_options, spent_words
from codebuddy.terminal import StatusLine, answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.inference.own_adapters import Base
    from codebuddy.service.context import RepositoryContext
    from codebuddy.settings import Settings
    from codebuddy.training.own.fitting import Progress
    from codebuddy.training.own.run import Options, Outcome, Surroundings

# Somebody who typed within so many seconds types on.
_TYPING_S = 30.0
# Between two looks at whether somebody types, and two lines where no terminal shows one.
_LOOK_EVERY_S, _LINE_EVERY_S = 5.0, 60.0
# What of an outcome's JSON a gate may limit.
_LIMITED = frozenset({"compared", "loss"})
_BARS = "▁▂▃▄▅▆▇█"
_BAR_COUNT = 24


@click.command(
    "adapter",
    help="Teach the model this repository's own code: names, idioms, internal calls. Trains a"
    " small file of changes to its weights on this machine, goes on where it was stopped, and"
    " uses the result only if it is better on files that it did not learn from.",
    epilog="Example: codebuddy train adapter --minutes 60",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=60.0,
    metavar="M",
    help="How long it may work (60); the next run goes on with the rest.",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@click.option("--fresh", is_flag=True, help="Forget what was learned before, and begin anew.")
@privacy_options("file")
@click.option(
    "--gate",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Limits, as TOML, without which the adapter is not used; then the exit status is 1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    minutes: float,
    model: str | None,
    seed: int,
    fresh: bool,  # noqa: FBT001
    private: bool,  # noqa: FBT001
    epsilon: float | None,
    unit: str | None,
    gate: Path | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Entry point of the verb."""
    from codebuddy.commands.eval_gate import exit_status, open_limits
    from codebuddy.paths import whole_model_name
    from codebuddy.service.context import open_repository_context
    from codebuddy.training.own.on_repository import require_packages
    from codebuddy.training.own.run import Options
    from codebuddy.training.privacy import goal_of, require_accountant

    limits = open_limits(gate, _LIMITED, "train adapter")
    goal = goal_of(is_private=private, epsilon=epsilon, unit=unit, default_unit="file")
    require_packages()
    require_accountant(goal)
    named = None if model is None else whole_model_name(model)
    repository_context = open_repository_context({"model.name": named} if named else None)
    options = Options(minutes, seed, fresh, goal, limits)
    outcome = train(repository_context, options)
    if as_json:
        answer_json(outcome.as_json())
    else:
        answer("\n".join(lines_of(outcome, repository_context.settings.model.adapter)))
    note_other_adapter(repository_context.settings)
    return exit_status(outcome.gate)


def train(repository_context: RepositoryContext, options: Options) -> Outcome:
    """Train an adapter of the repository, with progress on stderr.

    Raises:
        CodebuddyError: As `training.own.run.run`.
    """
    from codebuddy.training.own.on_repository import train_on_repository

    status = StatusLine()
    report = _Report(status)
    waiting = _Waiting(may_wait=repository_context.settings.train.give_way)
    return train_on_repository(
        repository_context, options, status, report.show, report.on_progress, waiting, note
    )


def to_audit(
    repository_context: RepositoryContext, status: StatusLine
) -> tuple[Surroundings, Base]:
    """What an audit's trainings work with, as a training shows and waits.

    Raises:
        CodebuddyError: As `training.own.on_repository.surroundings_of`.
    """
    from codebuddy.training.own.on_repository import surroundings_of

    report = _Report(status)
    waiting = _Waiting(may_wait=repository_context.settings.train.give_way)
    return surroundings_of(
        repository_context, status, report.show, report.on_progress, waiting, note
    )


class _Waiting:
    """Why this is no time to train, looked up now and then."""

    def __init__(self, *, may_wait: bool) -> None:
        self._may_wait = may_wait
        self._looked = float("-inf")
        self._reason = ""

    def __call__(self) -> str:
        now = time.monotonic()
        if self._may_wait and now - self._looked >= _LOOK_EVERY_S:
            self._reason = _why_to_wait()
            self._looked = time.monotonic()
        return self._reason


def _why_to_wait() -> str:
    """Whether the machine runs on battery, or somebody types, in words; empty if neither."""
    from codebuddy.engine.client import engine_status
    from codebuddy.errors import CodebuddyError
    from codebuddy.inference.machine import is_on_battery

    if is_on_battery():
        return "the machine runs on battery"
    try:
        engine = engine_status()
    except CodebuddyError:
        return ""
    if engine is not None and engine["idle_seconds"] < _TYPING_S:
        return "somebody types"
    return ""


class _Report:
    """Progress in one line; a line a minute where no terminal shows it."""

    def __init__(self, status: StatusLine) -> None:
        self._status = status
        self._noted = time.monotonic()
        self._last = ""

    def show(self, text: str) -> None:
        """What is being done; what is being waited for, everywhere."""
        self._status.show(text)
        if text.startswith("waiting") and text != self._last and not self._status.is_shown:
            note(text)
        self._last = text

    def on_progress(self, progress: Progress) -> None:
        """How far the training is."""
        self._last = ""
        losses = progress.losses
        text = (
            f"step {progress.step}, loss {progress.loss:.2f},"
            f"{f' held out {losses[-1]:.2f} {_curve(losses)},' if losses else ''}"
            f" {max(0.0, progress.seconds_left) / 60:.0f} min left"
        )
        self._status.show(f"{text}; Ctrl-C keeps what is done")
        if not self._status.is_shown and time.monotonic() - self._noted >= _LINE_EVERY_S:
            self._noted = time.monotonic()
            note(text)


def _curve(losses: Sequence[float]) -> str:
    """Losses as a line of bars, the highest for the largest."""
    shown = list(losses)[-_BAR_COUNT:]
    if len(shown) < 2:
        return ""
    low, high = min(shown), max(shown)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((x - low) / ((high - low) or 1) * steps)] for x in shown)


def note_other_adapter(settings: Settings) -> None:
    """Say where a setting leaves no adapter of the repository to write."""
    from codebuddy.inference.adapter_card import AUTO

    if settings.model.adapter != AUTO:
        note(f"model.adapter is {safe_line(settings.model.adapter)}, which goes before it")


def lines_of(outcome: Outcome, setting: str) -> list[str]:
    """The outcome in words; `setting` is that of `model.adapter`."""
    from codebuddy.inference.adapter_card import AUTO

    trained, verdict = outcome.trained, outcome.verdict
    if trained is None or verdict is None:
        known = f"nothing new to learn: {outcome.name} knows the code as it is committed"
        unjudged = "; the gate judged nothing (--fresh trains anew and judges)"
        return [known + (unjudged if outcome.gate is not None else "")]
    left = ", ".join(f"{reason} {count}" for reason, count in outcome.facts["left_out"].items())
    files = outcome.facts["files"]
    learned_from = outcome.facts.get("learned_from", files)
    counted = f"{files}" if learned_from == files else f"{learned_from} of {files}"
    lines = [
        f"learned from {counted} files{f' (left out: {left})' if left else ''},"
        f" {trained.steps} steps in {trained.seconds / 60:.1f} min"
        f"{', until the held-out loss fell no more' if trained.is_early else ''}",
        f"compared on {verdict.holes} holes of files that it did not learn from",
    ]
    for name, arm in verdict.arms.items():
        lines.append(f"  {name:<8} {_figures(arm)}")
    for part, loss in trained.loss.items():
        words = "held-out code" if part == "held_out" else "code from elsewhere"
        lines.append(
            f"  {words}: {loss['before']:.3f} nats a token before, {loss['after']:.3f} now"
        )
    interval = verdict.interval and f" [{verdict.interval[0]:+.1f}, {verdict.interval[1]:+.1f}]"
    lines.append(
        f"  {verdict.gain:+.1f}{interval or ''} points of edit similarity against the"
        f" {verdict.rival}; quality index {verdict.cqi:.1f} of 10"
    )
    if trained.privacy is not None:
        lines.append(f"  {spent_words(trained.privacy)}")
    if outcome.is_kept:
        when = "" if setting == AUTO else f" where model.adapter is {AUTO}"
        return [*lines, f"kept: {safe_line(outcome.name)} writes here from now on{when}"]
    return [*lines, f"not used: {verdict.reason} ('codebuddy adapters' shows and removes it)"]


def _figures(arm: Any) -> str:
    calls = arm["call_recall"]
    words = [
        f"edit similarity {arm['edit_similarity']:.1f}",
        f"exact {arm['exact_match']:.0%}",
        f"internal calls {calls:.0%}" if calls is not None else "",
        f"deprecated {arm['deprecated']}" if arm["deprecated"] else "",
    ]
    return ", ".join(word for word in words if word)
