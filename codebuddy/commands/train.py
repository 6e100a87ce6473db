"""`codebuddy train`: fit the decision whether to look up, and the model, to the repository."""

from __future__ import annotations

import click

from codebuddy.commands import train_adapter, train_all, train_head


@click.group(
    "train",
    help="Fit codebuddy to this repository.",
    epilog="Example: codebuddy train all --minutes 60",
)
def command() -> None:
    """A group, because what can be fitted may grow."""


for each in (train_head, train_adapter, train_all):
    command.add_command(each.command)
