"""Differentially private training: the goal, the plan that meets it, and what was spent.

DP-SGD (Abadi et al., arXiv 1607.00133): each step draws every unit with the same chance (Poisson),
scales each unit's gradient to a norm of at most `clip`, and adds normal noise. What that costs is
said by Opacus's PRV accountant; there is no arithmetic of ours. A unit is what one may remove
without anybody being able to tell: an example, a file, or all files of an author.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from codebuddy.errors import TrainingError, UsageError

Unit = Literal["example", "file", "author"]
DEFAULT_EPSILON = 8.0
# From some 700 on e^epsilon is no number, and the search for the noise would not end.
_MOST_EPSILON = 500.0
# Of so few units nothing can be learned that is not one unit's own.
LEAST_UNITS = 4
# How many units a step draws on average, and the share that it draws at least and at most.
_BATCH, _LEAST_RATE, _MOST_RATE = 16, 0.05, 0.5
# How exactly the accountant computes, as a share of epsilon; what it says is always the upper end.
_PRECISION = 0.02
_INSTALL = "pip install 'codebuddy[train]'"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Goal:
    """What was asked for."""

    epsilon: float
    unit: Unit = "example"


@dataclass(frozen=True, slots=True)
class Plan:
    """A training that spends at most `epsilon`, but for the chance `delta`.

    `rate` is the chance of a unit to be in a step, `noise` the standard deviation of the noise in
    units of `clip`.
    """

    unit: Unit
    units: int
    epsilon: float
    delta: float
    rate: float
    steps: int
    noise: float
    clip: float

    def as_json(self, steps: int) -> dict[str, Any]:
        """What a card or a report says, after so many steps."""
        return {
            "epsilon": round(spent(self, steps), 3),
            "planned_epsilon": round(self.epsilon, 3),
            "delta": self.delta,
            "unit": self.unit,
            "units": self.units,
            "noise": round(self.noise, 4),
            "clip": self.clip,
            "rate": round(self.rate, 6),
            "steps": steps,
            "accountant": "prv",
        }

    def words(self) -> str:
        """The plan in one sentence, before it begins."""
        return (
            f"private training: epsilon {self.epsilon:.2f} at delta {self.delta:.2g} for one"
            f" {self.unit} of {self.units}, {self.steps} steps with noise {self.noise:.2f}; what is"
            f" in k of them has k times that epsilon at k e^((k-1) epsilon) times that delta:"
            f" {self._of_two()}"
        )

    def _of_two(self) -> str:
        """What is left for that which is in two units."""
        # By logarithms: e^epsilon of a large one is beyond any number.
        exponent = self.epsilon + math.log(2 * self.delta)
        if exponent >= 0:
            return "no promise is left of what is in two"
        return f"delta {math.exp(exponent):.2g} of what is in two"


def goal_of(
    *, is_private: bool, epsilon: float | None, unit: str | None, default_unit: Unit = "example"
) -> Goal | None:
    """The goal that options ask for; None for plain training.

    Without a `unit` it is `default_unit`.

    Raises:
        UsageError: Epsilon is no positive number, or is given without `--private`.
    """
    if not is_private:
        if epsilon is not None or unit is not None:
            given = "--epsilon" if epsilon is not None else "--unit"
            raise UsageError(f"{given} needs --private", hint="add --private")
        return None
    wanted = DEFAULT_EPSILON if epsilon is None else epsilon
    if not 0 < wanted <= _MOST_EPSILON:
        raise UsageError(
            f"epsilon {wanted:g} is no goal: it must be above 0 and at most {_MOST_EPSILON:g}",
            hint="8 is loose, 3 usual, 1 strict; without --private nothing is promised",
        )
    found: Any = unit or default_unit
    return Goal(wanted, found)


def require_accountant(goal: Goal | None) -> None:
    """Say before the long work where the accountant of a private training is not installed.

    Raises:
        TrainingError: It is not.
    """
    if goal is not None and find_spec("opacus") is None:
        raise _missing("opacus is not installed")


def plan_for(
    goal: Goal,
    units: int,
    passes: float,
    clip: float,
    batch: float = _BATCH,
    least_rate: float = _LEAST_RATE,
) -> Plan:
    """The least noise with which so many passes over the units meet the goal.

    Args:
        goal: What may be spent.
        units: How many there are; counts as known to everybody.
        passes: How often each unit is drawn on average.
        clip: The largest norm of a unit's gradient.
        batch: How many of them a step draws on average, if that is at most half of them.
        least_rate: The chance that each has to be in a step at least.

    Raises:
        TrainingError: There are too few units, or the accountant is not installed.
    """
    if units < LEAST_UNITS:
        raise TrainingError(
            f"{units} {goal.unit}{'s' if units != 1 else ''} are too few to hide one among",
            hint="choose a smaller unit, or train without --private",
        )
    rate = max(least_rate, min(_MOST_RATE, batch / units))
    steps = max(1, math.ceil(passes / rate))
    delta = 1 / (10 * units)
    try:
        from opacus.accountants.utils import get_noise_multiplier
    except ImportError as error:
        raise _missing(error) from error
    try:
        with _quiet():
            noise = get_noise_multiplier(
                target_epsilon=goal.epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=steps,
                accountant="prv",
                epsilon_tolerance=_PRECISION * goal.epsilon,
                eps_error=_PRECISION * goal.epsilon,
            )
    except ValueError as error:
        raise TrainingError(
            f"no noise is enough for epsilon {goal.epsilon:g} on {units} {goal.unit}s",
            hint="allow a larger epsilon",
        ) from error
    plan = Plan(goal.unit, units, goal.epsilon, delta, rate, steps, float(noise), clip)
    return Plan(goal.unit, units, spent(plan, steps), delta, rate, steps, float(noise), clip)


def spent(plan: Plan, steps: int) -> float:
    """Epsilon after so many steps of the plan."""
    if steps <= 0:
        return 0.0
    try:
        from opacus.accountants import create_accountant
    except ImportError as error:
        raise _missing(error) from error
    accountant = create_accountant(mechanism="prv")
    accountant.history = [(plan.noise, plan.rate, steps)]
    with _quiet():
        exactly = _PRECISION * plan.epsilon
        return float(accountant.get_epsilon(delta=plan.delta, eps_error=exactly))


def units_of(
    items: Sequence[tuple[str, T]], unit: Unit, authors: Mapping[str, str]
) -> list[list[T]]:
    """Items in units.

    Args:
        items: Each with the path of its file.
        unit: By what they belong together.
        authors: Of each path, who wrote most of it; a file of nobody known is a unit of its own.
    """
    if unit == "example":
        return [[item] for _, item in items]
    found: dict[str, list[T]] = {}
    for path, item in items:
        found.setdefault(authors.get(path, path) if unit == "author" else path, []).append(item)
    return list(found.values())


def draw(units: int, rate: float) -> list[int]:
    """A Poisson draw: each unit with the chance `rate`, by the system's randomness."""
    source = secrets.SystemRandom()
    return [number for number in range(units) if source.random() < rate]


def seed() -> int:
    """A seed for noise that nobody can foretell: never the user's `--seed`.

    Of 128 bits, for numpy's generators, which take them all; torch's keeps 32 and can be tried.
    """
    return secrets.randbits(128)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # That the best Renyi order is the largest that it tries, where it looks for a first guess.
        warnings.simplefilter("ignore")
        yield


def _missing(error: ImportError | str) -> TrainingError:
    return TrainingError(f"privacy cannot be accounted for: {error}", hint=_INSTALL)
