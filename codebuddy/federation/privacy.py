"""What keeps an update from telling of the labels behind it: a bound, and noise.

A client's update (its weights less those that it was sent) is scaled to norm `clip` at most, and
normal noise of `noise * clip` is added: by each client before it sends, which holds against the
server too, or once by the server to the sum, which is less noise for a server that is trusted
(McMahan et al., ICLR 2018, arXiv 1710.06963). What is protected is a client's whole set of labels.
Epsilon is by Opacus' accountant (Renyi differential privacy), without any gain from sampling
clients, since choosing by activity has no rate that would be the same for all. Flower has one of
its own, whose library cannot be installed beside pygls.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codebuddy.errors import TrainingError
from codebuddy.federation.weights import Array, norm

Place = Literal["client", "server"]
# Noise, and how many updates had it.
Releases = tuple[tuple[float, int], ...]
_MOST = 10_000
# Less noise is none: its square is no number any more.
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Privacy:
    """Clipping and noise.

    Args:
        clip: The largest norm of an update.
        noise: Standard deviation of the noise in units of `clip`; 0 for clipping alone.
        place: Who adds the noise.
        delta: The chance with which epsilon may not hold.
        max_epsilon: What a client spends at most; infinite for no limit.
    """

    clip: float = 1.0
    noise: float = 0.0
    place: Place = "client"
    delta: float = 1e-3
    max_epsilon: float = math.inf


def clipped(update: Sequence[Array], clip: float) -> list[Array]:
    """The update, scaled down to norm `clip` if it is longer; zeros stay zeros."""
    length = norm(update)
    factor = 1.0 if length <= clip else clip / length
    return [each * factor for each in update]


def noised(update: Sequence[Array], deviation: float, random: np.random.Generator) -> list[Array]:
    """The update with normal noise of that standard deviation."""
    return [each + random.normal(0.0, deviation, each.shape) for each in update]


@functools.lru_cache(maxsize=1024)
def epsilon(releases: Releases, delta: float) -> float:
    """What releases have spent together; infinite if one of them had no noise.

    Args:
        releases: Noise, and how many releases had it.
        delta: The chance with which epsilon may not hold.

    Raises:
        TrainingError: The library that accounts is not installed.
    """
    counted = [(noise, count) for noise, count in releases if count > 0]
    if not counted:
        return 0.0
    if any(noise < _LEAST for noise, _ in counted):
        return math.inf
    try:
        from opacus.accountants import RDPAccountant
    except ImportError as error:
        raise TrainingError(
            f"privacy cannot be accounted for: {error}", hint="pip install 'codebuddy[federated]'"
        ) from error
    accountant = RDPAccountant()
    # All clients in each release: nothing is gained by drawing them.
    accountant.history = [(noise, 1.0, count) for noise, count in counted]
    with warnings.catch_warnings():
        # That the best order is the largest or smallest that it tries: the bound still holds.
        warnings.simplefilter("ignore")
        return float(accountant.get_epsilon(delta))


def releases_within(privacy: Privacy, earlier: Releases = ()) -> int:
    """How many updates more may be sent within its epsilon; 10,000 at most.

    Args:
        privacy: The limits.
        earlier: What was sent before.
    """
    if math.isinf(privacy.max_epsilon):
        return _MOST
    low, high = -1, _MOST
    while low < high:
        middle = (low + high + 1) // 2
        spent = epsilon((*earlier, (privacy.noise, middle)), privacy.delta)
        if spent <= privacy.max_epsilon:
            low = middle
        else:
            high = middle - 1
    return max(0, low)
