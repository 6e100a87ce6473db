"""`codebuddy train head`: fit the decision whether to look up to the repository."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from codebuddy.commands.privacy_options import privacy_options, spent_words
from codebuddy.terminal import answer, answer_json, note

if TYPE_CHECKING:
    from codebuddy.service.context import RepositoryContext
    from codebuddy.training.head.labels import LabelProgress
    from codebuddy.training.head.personal import Training
    from codebuddy.training.privacy import Goal

PER_KIND = 60
_LOOKS = {"syntax": "before the model runs", "confidence": "after a text without a lookup"}


@click.command(
    "head",
    help="Learn from this repository's own code where a lookup helps. Holes are cut into it,"
    " completed without and with a lookup, and compared with what stood there. Stops and goes"
    " on at will; the result is used only if it is better on code that it did not learn from.",
    epilog="Example: codebuddy train head --minutes 30",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=30.0,
    metavar="M",
    help="Begin no hole after this long (30); the next run goes on.",
)
@click.option(
    "--per-kind",
    type=click.IntRange(1, 10_000),
    default=PER_KIND,
    metavar="N",
    help=f"Holes of each kind: lines, calls, blocks ({PER_KIND}).",
)
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@click.option("--reset", is_flag=True, help="Use the shipped head again, and forget the labels.")
@privacy_options("example")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    minutes: float,
    per_kind: int,
    model: str | None,
    seed: int,
    reset: bool,  # noqa: FBT001
    private: bool,  # noqa: FBT001
    epsilon: float | None,
    unit: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Entry point of the verb."""
    from codebuddy.service.context import open_repository_context
    from codebuddy.training.privacy import goal_of, require_accountant

    goal = goal_of(is_private=private, epsilon=epsilon, unit=unit)
    require_accountant(goal)
    repository_context = open_repository_context({"model.name": model} if model else None)
    if reset:
        _reset(repository_context, as_json=as_json)
        return
    training = train(repository_context, minutes, per_kind, seed, goal)
    if as_json:
        answer_json(training.as_json())
    else:
        answer(lines_of(training, per_kind))


def _reset(repository_context: RepositoryContext, *, as_json: bool) -> None:
    """Take this repository's head and labels away."""
    from codebuddy import heads
    from codebuddy.training.head.labels import PUT_ASIDE

    removed = []
    labels = heads.personal_labels_file(repository_context.repository)
    for file in (
        heads.personal_head_file(repository_context.repository),
        labels,
        *sorted(labels.parent.glob(f"{labels.stem}.*{PUT_ASIDE}")),
    ):
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
            removed.append(file.name)
    if as_json:
        answer_json({"reset": True, "removed": removed})
    else:
        answer(
            "the shipped head decides, and the labels are gone"
            if removed
            else "this repository had no own head"
        )


def train(
    repository_context: RepositoryContext,
    minutes: float,
    per_kind: int,
    seed: int,
    goal: Goal | None,
) -> Training:
    """Label holes and adapt the shipped head to them, with progress on stderr.

    Raises:
        CodebuddyError: As `training.head.on_repository.train_on_repository`.
    """
    from codebuddy.terminal import StatusLine
    from codebuddy.training.head.on_repository import train_on_repository

    status = StatusLine()

    def show(progress: LabelProgress) -> None:
        left_min = (progress.wanted - progress.done) * progress.seconds_per_hole / 60
        status.show(
            f"{progress.done} of {progress.wanted} holes, {progress.seconds_per_hole:.1f} s each,"
            f" all in {left_min:.0f} min; Ctrl-C keeps what is done"
        )

    with status:
        return train_on_repository(repository_context, per_kind, minutes, seed, status, show, goal)


def lines_of(training: Training, per_kind: int) -> str:
    """The outcome in words."""
    if training.adaptation is None:
        return _too_few(training, per_kind)
    found = training.as_json()
    lines = [f"learned from {training.n_holes} holes, compared on files left out"]
    for name, title in _LOOKS.items():
        if name in found:
            lines += [
                f"{title}: {'better' if found[name]['is_better'] else 'not better'}",
                f"  shipped: {_score(found[name]['default'])}",
                f"  adapted: {_score(found[name]['adapted'])}",
            ]
    if training.privacy is not None:
        lines.append(spent_words(training.privacy))
    if found["kept"]:
        return "\n".join([*lines, "kept what is better: it decides here from now on"])
    return "\n".join([*lines, "not kept: the shipped head is as good here, and decides"])


def _too_few(training: Training, per_kind: int) -> str:
    """How much is missing, and what would help."""
    from codebuddy.evaluation.holes import KINDS

    needed = training.n_holes + training.n_missing
    if not training.is_exhausted:
        note("the same command goes on where it stopped")
    elif len(KINDS) * per_kind < needed:
        note(f"more are cut with --per-kind {-(-needed // len(KINDS))} or more")
    else:
        note("no more holes can be cut into this repository's code; the shipped head decides")
    return (
        f"holes labelled: {training.n_holes}; {training.n_missing} more are needed"
        " before anything can be learned"
    )


def _score(score: dict[str, float]) -> str:
    return (
        f"gain misjudged by {score['gain_error']:.1f} points,"
        f" {score['net_gain']:+.2f} points won a hole, {score['lookup_rate']:.0%} looked up"
    )
