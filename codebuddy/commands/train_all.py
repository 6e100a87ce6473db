"""`codebuddy train all`: the adapter, then the decision that depends on what writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from codebuddy.commands import train_adapter, train_head
from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.service.context import RepositoryContext

# Of the time; what the adapter leaves of its share is the decision's.
_ADAPTER_SHARE = 2 / 3
_TITLES = {"adapter": "the model's adapter", "head": "the decision whether to look up"}


@dataclass(frozen=True, slots=True)
class _Stage:
    """What came of a stage: facts for JSON, lines for a person, and whether it is used now."""

    name: str
    facts: dict[str, Any]
    lines: list[str]
    is_kept: bool
    seconds: float


@click.command(
    "all",
    help="Train the adapter of the model, then the decision whether to look up, which depends on"
    " what writes. Each goes on where it was stopped, and is used only if it is better on code"
    " that it did not learn from. Where one cannot be trained, that is said, and the other is.",
    epilog="Example: codebuddy train all --minutes 60",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=90.0,
    metavar="M",
    help="For all of it (90): two thirds for the adapter, what is left for the decision.",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    minutes: float,
    model: str | None,
    seed: int,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Entry point of the verb."""
    from codebuddy.paths import whole_model_name
    from codebuddy.service.context import open_repository_context

    named = None if model is None else whole_model_name(model)
    repository_context = open_repository_context({"model.name": named} if named else None)
    ends_at = time.monotonic() + 60 * minutes

    def train_the_adapter() -> tuple[dict[str, Any], list[str], bool]:
        return _adapter(repository_context, minutes * _ADAPTER_SHARE, seed)

    def train_the_head() -> tuple[dict[str, Any], list[str], bool]:
        left = (ends_at - time.monotonic()) / 60
        return _head(repository_context, max(left, minutes * (1 - _ADAPTER_SHARE) / 2), seed)

    stages = [_stage("adapter", train_the_adapter), _stage("head", train_the_head)]
    if as_json:
        seconds = {stage.name: stage.seconds for stage in stages}
        told = {stage.name: stage.facts for stage in stages}
        answer_json({"minutes": minutes, "seconds": seconds, **told})
    else:
        answer("\n".join(_report(stages, minutes)))
    if all("error" in stage.facts for stage in stages):
        return 1
    train_adapter.note_other_adapter(repository_context.settings)
    return 0


def _adapter(
    repository_context: RepositoryContext, minutes: float, seed: int
) -> tuple[dict[str, Any], list[str], bool]:
    from codebuddy.training.own.on_repository import require_packages
    from codebuddy.training.own.run import Options

    require_packages()
    outcome = train_adapter.train(repository_context, Options(minutes, seed))
    setting = repository_context.settings.model.adapter
    return outcome.as_json(), train_adapter.lines_of(outcome, setting), outcome.is_kept


def _head(
    repository_context: RepositoryContext, minutes: float, seed: int
) -> tuple[dict[str, Any], list[str], bool]:
    training = train_head.train(repository_context, minutes, train_head.PER_KIND, seed, None)
    facts = training.as_json()
    lines = train_head.lines_of(training, train_head.PER_KIND).split("\n")
    return facts, lines, bool(facts["kept"])


def _stage(name: str, work: Callable[[], tuple[dict[str, Any], list[str], bool]]) -> _Stage:
    """What a stage did, or why it could not."""
    from codebuddy.errors import CodebuddyError

    started = time.monotonic()
    note(f"training {_TITLES[name]}")
    try:
        facts, lines, is_kept = work()
    except CodebuddyError as error:
        facts = {"error": error.message, "hint": error.hint}
        lines = [f"not trained: {error.message}", *([f"hint: {error.hint}"] if error.hint else [])]
        is_kept = False
    seconds = round(time.monotonic() - started, 1)
    return _Stage(name, facts, lines, is_kept, seconds)


def _report(stages: list[_Stage], minutes: float) -> list[str]:
    """The stages in words, and what is different from now on."""
    lines = []
    for stage in stages:
        took = f"{stage.seconds / 60:.1f} of {minutes:g} min"
        lines.append(f"{_TITLES[stage.name]} ({took})")
        lines += [f"  {safe_line(line)}" for line in stage.lines]
    kept = [_TITLES[stage.name] for stage in stages if stage.is_kept]
    changed = f"new here from now on: {' and '.join(kept)}" if kept else "nothing changed here"
    return [*lines, changed]
