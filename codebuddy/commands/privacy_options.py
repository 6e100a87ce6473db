"""The options of private training, which two commands have, and what it spent, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., int | None])

_OPTIONS = (
    click.option(
        "--private",
        is_flag=True,
        help="Train so that no unit can be told from the result (differential privacy).",
    ),
    click.option(
        "--epsilon",
        type=float,
        metavar="E",
        help="What may be told of a unit at most (8); less is stricter.",
    ),
    click.option(
        "--unit",
        type=click.Choice(["example", "file", "author"]),
        help="What is hidden among others (example).",
    ),
)


def privacy_options(command: Command) -> Command:
    """Give a command `--private`, `--epsilon` and `--unit`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def spent_words(privacy: Mapping[str, Any]) -> str:
    """What a private training spent, after it."""
    return (
        f"private: epsilon {privacy['epsilon']:.2f} at delta {privacy['delta']:.2g} for one"
        f" {privacy['unit']} of {privacy['units']}, in {privacy['steps']} steps"
    )
