"""A federation in one process: Flower's server and its rounds, and clients that are called.

What differs from `transport.py` is only how a message gets to a client; bytes are counted as they
would travel. The same seed gives the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.federation.flower import flower
from codebuddy.federation.participant import Participant
from codebuddy.federation.secure import client_kind, strategy_of
from codebuddy.federation.strategy import HeadStrategy, Rules
from codebuddy.federation.weights import Array


@dataclass(slots=True)
class LocalProxy:
    """A client of this process, as Flower's server sees one."""

    cid: str
    client: Any

    def __hash__(self) -> int:
        return hash(self.cid)

    def get_properties(self, ins: Any, timeout: float | None, group_id: int | None) -> Any:
        """See Flower's `ClientProxy`."""
        return self.client.get_properties(ins)

    def fit(self, ins: Any, timeout: float | None, group_id: int | None) -> Any:
        """See Flower's `ClientProxy`."""
        return self.client.fit(ins)

    def evaluate(self, ins: Any, timeout: float | None, group_id: int | None) -> Any:
        """See Flower's `ClientProxy`."""
        return self.client.evaluate(ins)


def simulate(
    participants: Sequence[Participant],
    rules: Rules,
    start: Sequence[Array],
    *,
    on_round: Callable[[int, list[Array]], None] | None = None,
    make_client: Callable[[int, Participant], Any] | None = None,
) -> HeadStrategy:
    """Run all rounds.

    Args:
        participants: The clients.
        rules: How rounds go.
        start: The weights to begin with.
        on_round: Called after each with the weights.
        make_client: Makes the client of a participant; the usual one by default.

    Returns:
        The strategy, with the final weights and what happened in each round.
    """
    usual = client_kind(is_secure=rules.is_secure)
    clients = [
        make_client(number, each) if make_client else usual(each, "simulated")
        for number, each in enumerate(participants)
    ]
    strategy = strategy_of(rules, start, "simulated", on_round)
    run_in_process(strategy, clients)
    return strategy


def run_in_process(strategy: HeadStrategy, clients: Sequence[Any]) -> None:
    """Run all rounds of a strategy with clients of this process, one after the other."""
    server = flower("flwr.server")
    manager = server.SimpleClientManager()
    for number, client in enumerate(clients):
        manager.register(LocalProxy(f"{number:05d}", client))
    running = server.Server(client_manager=manager, strategy=strategy)
    # On one machine threads would only take turns.
    running.set_max_workers(1)
    running.fit(num_rounds=strategy.rules.n_rounds, timeout=None)
