"""Limits that a measurement must keep, from a TOML file, so that a team can refuse a change.

    [minimum]
    "arms.auto.edit_similarity" = 55.0

    [maximum]
    "robustness.families.format.auto.flips" = 0.05

A limit is named by its path in the JSON of the measurement. It knows nothing else of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from codebuddy import bounded_toml
from codebuddy.errors import ConfigError

Kind = Literal["minimum", "maximum"]
_MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure, by its path of keys joined by dots, and the least or most it may be."""

    path: str
    kind: Kind
    bound: float


class Judgement(TypedDict):
    """A limit and what was measured; `value` is `None` where nothing was."""

    path: str
    kind: Kind
    limit: float
    value: float | None
    passed: bool


class Verdict(TypedDict):
    """The key `gate` of `eval --json`."""

    passed: bool
    limits: list[Judgement]


def read_gate(file: Path) -> list[Limit]:
    """The limits of a file.

    Raises:
        ConfigError: It cannot be read, is no TOML, or has something else than limits.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the gate {file} cannot be read: {error.strerror}", hint="name a TOML file"
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"the gate {file} is larger than any gate", hint="name a TOML file")
    try:
        content = bounded_toml.parse(raw.decode("utf-8-sig"))
    except (UnicodeDecodeError, bounded_toml.TomlError) as error:
        raise ConfigError(f"the gate {file} is no TOML: {error}", hint="correct it") from error
    limits: list[Limit] = []
    for kind, table in content.items():
        if kind not in get_args(Kind) or not isinstance(table, dict):
            raise ConfigError(
                f"the gate {file} has {kind!r}, which is none of its tables",
                hint="limits stand below [minimum] and [maximum]",
            )
        limits += _limits(file, kind, table, "")
    if not limits:
        raise ConfigError(
            f"the gate {file} has no limit",
            hint='below [minimum]: "arms.auto.edit_similarity" = 50',
        )
    return limits


def judge(report: Mapping[str, Any], limits: list[Limit], *, is_whole: bool) -> Verdict:
    """Each limit against the report.

    Args:
        report: The JSON of the measurement.
        limits: As read.
        is_whole: Whether everything was measured that was to be; otherwise the gate is closed.
    """
    judged = [_judge(report, limit) for limit in limits]
    return {"passed": is_whole and all(each["passed"] for each in judged), "limits": judged}


def check_paths(file: Path, limits: list[Limit], known: frozenset[str], option: str) -> None:
    """Make sure before the work that each limit is of something that will be measured.

    Args:
        file: The gate, for the message.
        limits: As read.
        known: First keys of the report.
        option: What was asked for, for the message.

    Raises:
        ConfigError: One is not.
    """
    for limit in limits:
        if limit.path.partition(".")[0] not in known:
            raise ConfigError(
                f"the gate {file} limits {limit.path!r}, which {option} does not measure",
                hint=f"its limits begin with: {', '.join(sorted(known))}",
            )


def verdict_lines(verdict: Verdict, *, is_whole: bool) -> list[str]:
    """The verdict for a person, a line for each limit that is not kept, and one for all."""
    lines = []
    for each in verdict["limits"]:
        if each["passed"]:
            continue
        sign = "less" if each["kind"] == "minimum" else "more"
        if each["value"] is None:
            lines.append(f"gate: {each['path']} was not measured")
        else:
            lines.append(
                f"gate: {each['path']} is {each['value']:g}, {sign} than {each['limit']:g}"
            )
    if verdict["passed"]:
        n_limits = len(verdict["limits"])
        lines.append(f"gate: passed, {n_limits} limit{'' if n_limits == 1 else 's'} kept")
    elif not lines:
        lines.append("gate: not passed, since the measurement is not finished")
    else:
        lines.append("gate: not passed" + ("" if is_whole else "; the measurement is not finished"))
    return lines


def _limits(file: Path, kind: str, table: Mapping[str, Any], before: str) -> list[Limit]:
    found = []
    for key, value in table.items():
        path = f"{before}.{key}" if before else key
        if isinstance(value, dict):
            found += _limits(file, kind, value, path)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not _is_sane(value):
            raise ConfigError(
                f"the gate {file} gives {path!r} the value {value!r}, which is no number",
                hint="a limit is a number",
            )
        else:
            found.append(Limit(path, "minimum" if kind == "minimum" else "maximum", float(value)))
    return found


def _is_sane(value: float) -> bool:
    return abs(value) < 1e300 and math.isfinite(value)


def _judge(report: Mapping[str, Any], limit: Limit) -> Judgement:
    value: Any = report
    for key in limit.path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    measured = float(value) if is_number else None
    passed = measured is not None and (
        measured >= limit.bound if limit.kind == "minimum" else measured <= limit.bound
    )
    return {
        "path": limit.path,
        "kind": limit.kind,
        "limit": limit.bound,
        "value": measured,
        "passed": passed,
    }
