"""Labels dealt to clients for a simulation: by nature, or as unequal as one likes.

As FedNLP deals data (Lin et al., NAACL 2022, arXiv 2104.08815): for each class a Dirichlet
distribution says how much of it each client gets, the more unequal the smaller alpha. The labels
hold no code, so that vocabulary, its third way, cannot be dealt by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from codebuddy.training.head.examples import Example

Dealing = Literal["repository", "label", "language", "quantity"]

_CLASS_OF: Mapping[str, Callable[[Example], str]] = {
    "label": lambda each: f"{each.kind} {each.helps}",
    "language": lambda each: each.language,
    "quantity": lambda _: "",
}


def deal(
    examples: Sequence[Example], dealing: Dealing, n_clients: int, alpha: float, seed: int
) -> list[list[Example]]:
    """The examples of each client; some may have none.

    Args:
        examples: All there are.
        dealing: `repository`: one a client; else by class with Dirichlet shares: `label` (kind of
            hole and whether the lookup helped), `language`, or `quantity` alone.
        n_clients: How many, unless they are the repositories.
        alpha: Of the Dirichlet distribution.
        seed: Of all choices.
    """
    if dealing == "repository":
        by_name: dict[str, list[Example]] = {}
        for each in examples:
            by_name.setdefault(each.repository, []).append(each)
        return [by_name[name] for name in sorted(by_name)]
    random = np.random.default_rng(seed)
    classes: dict[str, list[Example]] = {}
    for each in examples:
        classes.setdefault(_CLASS_OF[dealing](each), []).append(each)
    clients: list[list[Example]] = [[] for _ in range(n_clients)]
    for name in sorted(classes):
        members = classes[name]
        order = random.permutation(len(members))
        shares = random.dirichlet(np.full(n_clients, alpha))
        cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(int)
        for client, rows in zip(clients, np.split(order, cuts), strict=True):
            client += [members[row] for row in rows.tolist()]
    return clients


def divergence(clients: Sequence[Sequence[Example]], dealing: Dealing) -> float:
    """How unlike clients are: the mean Jensen-Shannon divergence of pairs, in bits.

    It is of kinds of holes and whether lookups helped, or of languages if those were dealt by.
    """
    class_of = _CLASS_OF["language" if dealing == "language" else "label"]
    names = sorted({class_of(each) for client in clients for each in client})
    counted = [
        np.array([sum(class_of(each) == name for each in client) for name in names], float)
        for client in clients
        if client
    ]
    shares = [each / each.sum() for each in counted]
    found = [
        _entropy((one + other) / 2) - (_entropy(one) + _entropy(other)) / 2
        for number, one in enumerate(shares)
        for other in shares[number + 1 :]
    ]
    return float(np.mean(found)) if found else 0.0


def _entropy(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())
