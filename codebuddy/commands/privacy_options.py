"""The options of private training, which three commands have, and what it spent, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., int | None])


def privacy_options(default_unit: str) -> Callable[[Command], Command]:
    """Give a command `--private`, `--epsilon` and `--unit`; a unit is `default_unit` by default."""
    options = (
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
            help=f"What is hidden among others ({default_unit}).",
        ),
    )

    def give(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return give


def spent_words(privacy: Mapping[str, Any]) -> str:
    """What a private training spent, after it."""
    return (
        f"private: epsilon {privacy['epsilon']:.2f} at delta {privacy['delta']:.2g} for one"
        f" {privacy['unit']} of {privacy['units']}, in {privacy['steps']} steps"
    )
