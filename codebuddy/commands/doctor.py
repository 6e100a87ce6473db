"""`codebuddy doctor`: what is installed, what is used, and what to do about what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from codebuddy.terminal import answer, answer_json, safe_line

if TYPE_CHECKING:
    from codebuddy.diagnosis import Fact, Section


@click.command(name="doctor", epilog="Example: codebuddy doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, as_json: bool) -> None:
    """Show what is installed and used, and what to do about it.

    Reads only: it neither updates the index nor touches the network. The exit code is 0
    also where something is wrong.
    """
    from codebuddy.diagnosis import diagnose

    report = diagnose()
    if as_json:
        answer_json(report)
        return
    problems = report["problems"]
    for section, facts in report.items():
        if facts is problems:
            continue
        answer(section)
        for name, value in cast("Section", facts).items():
            answer(f"  {name:<16} {safe_line(_shown(value))}")
    answer("problems")
    for problem in problems:
        answer(f"  {safe_line(problem['problem'])}")
        answer(f"    {safe_line(problem['remedy'])}")
    if not problems:
        answer("  none found")


def _shown(value: Fact) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)
