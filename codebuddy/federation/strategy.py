"""The server's side of a round: who is asked, what is believed of the answers, their mean.

Flower's server runs the rounds and calls this in place of one of its strategies, whose averaging
functions are used. Selection by activity draws clients by their number of labels instead of evenly
(arXiv 2202.03925, by new ones); what is drawn so is averaged without weights, or heavy clients
would count twice. An update that is no finite numbers of the right shape and of usual size is
refused, one that is longer than `norm_bound` scaled down to it. Weights with numbers that no
training gives are not taken: those of before stay.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from codebuddy.errors import UsageError
from codebuddy.federation import privacy as private
from codebuddy.federation.client import PROTOCOL
from codebuddy.federation.flower import flower
from codebuddy.federation.privacy import Privacy
from codebuddy.federation.weights import Array, StepConfig, norm, shapes_fit
from codebuddy.private_files import parse_json

Selection = Literal["all", "uniform", "activity"]
Aggregate = Literal["mean", "median", "trimmed"]

_TRIMMED_SHARE = 0.2
_ASK_TIMEOUT_S = 30.0
_ASKED_AT_ONCE = 32
# Beyond any weight that training gives.
_LARGEST = 1e6
_LONGEST_TRAINED_FOR = 10_000
K = TypeVar("K")


def answers_of(asked: Mapping[K, tuple[Any, Any]]) -> dict[K, Any]:
    """What clients say of themselves, all being asked at once: many may be silent.

    Args:
        asked: By any key, a client and what it is asked.

    Returns:
        The answers by key, without those that did not come within 30 seconds.
    """

    def ask(one: tuple[Any, Any]) -> Any:
        client, ins = one
        try:
            return client.get_properties(ins, timeout=_ASK_TIMEOUT_S, group_id=None)
        except Exception:  # noqa: BLE001 - it left meanwhile
            return None

    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        answers = zip(asked, pool.map(ask, asked.values()), strict=True)
        return {key: answer for key, answer in answers if answer is not None}


def is_trained_for(said: object) -> bool:
    """Whether it says what labels hold for: an object of JSON, which the head's file will keep."""
    if not isinstance(said, str) or len(said) > _LONGEST_TRAINED_FOR:
        return False
    try:
        return isinstance(parse_json(said.encode("utf-8", "surrogatepass")), dict)
    except ValueError:
        return False


def sound_sum(weights: Sequence[Array], change: Sequence[Array]) -> list[Array]:
    """The weights with their change; without it where a sum is beyond any that training gives."""
    found = [old + new for old, new in zip(weights, change, strict=True)]
    return found if _are_usual(found) else list(weights)


def _are_usual(numbers: Sequence[Array]) -> bool:
    return all(bool((np.abs(each) < _LARGEST).all()) for each in numbers)


def _properties(answer: Any) -> dict[str, Any] | None:
    """What a client says of itself; None where it says nothing, or nonsense."""
    try:
        found = dict(answer.properties)
        found["n_examples"] = int(found.get("n_examples", 0))
    except Exception:  # noqa: BLE001
        return None
    return found


@dataclass(frozen=True, slots=True)
class Rules:
    """How rounds go.

    Args:
        n_rounds: How many.
        selection: Who is asked: `all`, so many drawn evenly, or by `activity`.
        per_round: How many are drawn.
        min_clients: With fewer answers a round changes nothing.
        aggregate: `mean`; `median` or `trimmed` (a fifth cut off at each end), by coordinate.
        norm_bound: The longest update that is taken as it is; infinite for no bound.
        step: What clients do.
        privacy: The server's noise, if it adds it.
        is_weighted: Whether a client counts by its labels; False for activity and privacy.
        is_secure: Whether only the sum of changes is seen (`secure`).
        seed: Of the draws.
        noise_seed: Of the server's noise; None draws it from the system, as it must be where it
            is to protect anybody.
    """

    n_rounds: int = 20
    selection: Selection = "all"
    per_round: int = 5
    min_clients: int = 2
    aggregate: Aggregate = "mean"
    norm_bound: float = math.inf
    step: StepConfig = field(default_factory=StepConfig)
    privacy: Privacy | None = None
    is_weighted: bool = True
    is_secure: bool = False
    seed: int = 0
    noise_seed: int | None = None


def checked_draws(rules: Rules) -> Rules:
    """The rules, if a round draws as many clients as must answer.

    Raises:
        UsageError: It draws fewer, so that no round could count.
    """
    if rules.selection != "all" and rules.per_round < rules.min_clients:
        raise UsageError(
            f"{rules.per_round} clients are drawn a round and {rules.min_clients} must answer:"
            " no round could change anything",
            hint=f"give --per-round {rules.min_clients} or more, or --select all",
        )
    return rules


@dataclass(frozen=True, slots=True)
class Round:
    """What happened: bytes as Flower's messages have them, both ways, without TLS."""

    number: int
    asked: int
    answered: int
    refused: int
    clipped: int
    bytes_sent: int
    bytes_received: int

    def as_json(self) -> dict[str, int]:
        """In numbers."""
        return {
            "round": self.number,
            "asked": self.asked,
            "answered": self.answered,
            "refused": self.refused,
            "clipped": self.clipped,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
        }


class HeadStrategy:
    """Rounds by rules; `weights` are those of now, `rounds` what happened.

    `protocol` is what clients must speak; another one has other weights, which a subclass
    believes, bounds and averages. `most_examples` is what a client counts at most, in drawing and
    in the mean: how many it has is its word alone.

    Args:
        rules: How.
        start: The weights to begin with.
        trained_for: What labels must hold for; clients with others are not asked. Empty for what
            most clients of the first round have.
        on_round: Called after each round with its number and the weights.
    """

    protocol = PROTOCOL
    most_examples = 2_000

    def __init__(
        self, rules: Rules, start: Sequence[Array], trained_for: str, on_round: Any = None
    ) -> None:
        self.rules = rules
        self.weights = [each.copy() for each in start]
        self.rounds: list[Round] = []
        # By reason, how many clients were not asked in the last round.
        self.left_out: dict[str, int] = {}
        self.trained_for = trained_for
        self._on_round = on_round
        self._common = flower("flwr.common")
        self._serde = flower("flwr.common.serde")
        self._averaging = flower("flwr.server.strategy.aggregate")
        self._asked = 0
        self._bytes_sent = 0

    @property
    def has_counted(self) -> bool:
        """Whether any round had as many answers as it must have to change anything."""
        return any(each.answered >= self.rules.min_clients for each in self.rounds)

    def initialize_parameters(self, client_manager: Any) -> Any:
        """See Flower's `Strategy`."""
        return self._common.ndarrays_to_parameters(self.weights)

    def configure_fit(
        self, server_round: int, parameters: Any, client_manager: Any
    ) -> list[tuple[Any, Any]]:
        """Whom to ask, and what."""
        client_manager.wait_for(self.rules.min_clients)
        counts = self._examples_by_client(client_manager)
        chosen = self._chosen(counts, server_round)
        parameters = self._common.ndarrays_to_parameters(self.weights)
        ins = self._common.FitIns(parameters, self._config())
        size = self._serde.fit_ins_to_proto(ins).ByteSize()
        self._asked, self._bytes_sent = len(chosen), size * len(chosen)
        return [(client, ins) for client in chosen]

    def aggregate_fit(
        self, server_round: int, results: list[tuple[Any, Any]], failures: list[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The new weights from the answers that are believed."""
        taken: list[tuple[list[Array], int]] = []
        n_clipped = received = 0
        refused = len(failures)
        # In one order, whichever came first: sums of floats depend on it.
        for _, answer in sorted(results, key=lambda pair: str(pair[0].cid)):
            received += self._serde.fit_res_to_proto(answer).ByteSize()
            change = self._believed(answer)
            if change is None:
                refused += 1
                continue
            change, is_clipped = self._bounded(change)
            n_clipped += is_clipped
            counts = self.rules.is_weighted and self.rules.privacy is None
            count = min(int(answer.num_examples), self.most_examples) if counts else 1
            taken.append((change, count))
        if len(taken) >= self.rules.min_clients:
            self.weights = self._next(taken, server_round)
        self._end_round(server_round, len(taken), refused, n_clipped, (self._bytes_sent, received))
        return self._common.ndarrays_to_parameters(self.weights), {}

    def _end_round(
        self, number: int, answered: int, refused: int, clipped: int, travelled: tuple[int, int]
    ) -> None:
        self.rounds.append(Round(number, self._asked, answered, refused, clipped, *travelled))
        if self._on_round is not None:
            self._on_round(number, self.weights)

    def configure_evaluate(
        self, server_round: int, parameters: Any, client_manager: Any
    ) -> list[tuple[Any, Any]]:
        """After the last round everybody gets the aggregate, if there is one, to judge it."""
        if server_round < self.rules.n_rounds or not self.weights:
            return []
        parameters = self._common.ndarrays_to_parameters(self.weights)
        ins = self._common.EvaluateIns(parameters, {})
        clients = client_manager.all()
        return [(clients[cid], ins) for cid in sorted(clients)]

    def aggregate_evaluate(
        self, server_round: int, results: Any, failures: Any
    ) -> tuple[None, dict[str, Any]]:
        """Nothing: what clients think of the aggregate stays with them."""
        return None, {}

    def evaluate(self, server_round: int, parameters: Any) -> None:
        """Nothing: the server has no labels."""

    def _examples_by_client(self, client_manager: Any) -> dict[Any, int]:
        """The clients that can be asked, in one order, with the numbers of labels that they say."""
        self.left_out = {}
        known: dict[Any, dict[str, Any]] = {}
        clients, ins = client_manager.all(), self._common.GetPropertiesIns({})
        answers = answers_of({cid: (client, ins) for cid, client in clients.items()})
        for cid in sorted(clients):
            properties = _properties(answers.get(cid))
            if properties is None:
                self._leave_out("gone")
            elif properties.get("protocol") != self.protocol:
                self._leave_out("another head")
            else:
                known[clients[cid]] = properties
        if not self.trained_for:
            every = [each.get("trained_for") for each in known.values()]
            said = Counter(str(each) for each in every if is_trained_for(each))
            self.trained_for = max(said, key=said.__getitem__, default="")
        found: dict[Any, int] = {}
        for client, properties in known.items():
            if properties.get("trained_for") != self.trained_for:
                self._leave_out("another model")
            elif properties["n_examples"] <= 0:
                self._leave_out("nothing to send")
            else:
                found[client] = min(properties["n_examples"], self.most_examples)
        return found

    def _leave_out(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def _chosen(self, counts: dict[Any, int], server_round: int) -> list[Any]:
        clients = list(counts)
        if self.rules.selection == "all" or len(clients) <= self.rules.per_round:
            return clients
        random = np.random.default_rng((self.rules.seed, server_round))
        shares = None
        if self.rules.selection == "activity":
            numbers = np.array([counts[each] for each in clients], np.float64)
            shares = numbers / numbers.sum()
        drawn = random.choice(len(clients), self.rules.per_round, replace=False, p=shares)
        return [clients[place] for place in sorted(drawn.tolist())]

    def _believed(self, answer: Any) -> list[Array] | None:
        """The change of an answer; None where it is not what was asked for."""
        try:
            change = self._common.parameters_to_ndarrays(answer.parameters)
        except Exception:  # noqa: BLE001
            return None
        if not shapes_fit(change) or answer.num_examples < 1 or not _are_usual(change):
            return None
        return [np.asarray(each, np.float64) for each in change]

    def _config(self) -> dict[str, Any]:
        """How clients are to take their step."""
        step = self.rules.step
        return {"n_steps": step.n_steps, "penalty": step.penalty, "proximal": step.proximal}

    def _bounded(self, change: list[Array]) -> tuple[list[Array], bool]:
        """The change within the bound, and whether it was longer."""
        if norm(change) <= self.rules.norm_bound:
            return change, False
        return private.clipped(change, self.rules.norm_bound), True

    def _next(self, taken: list[tuple[list[Array], int]], _server_round: int) -> list[Array]:
        """The weights after a round that counts."""
        with np.errstate(over="ignore", invalid="ignore"):
            return sound_sum(self.weights, self._aggregated(taken))

    def _aggregated(self, taken: list[tuple[list[Array], int]]) -> list[Array]:
        rules = self.rules
        if rules.aggregate == "median":
            mean = self._averaging.aggregate_median(taken)
        elif rules.aggregate == "trimmed":
            mean = self._averaging.aggregate_trimmed_avg(taken, _TRIMMED_SHARE)
        else:
            mean = self._averaging.aggregate(taken)
        found = [np.asarray(each, np.float64) for each in mean]
        if rules.privacy is not None and rules.privacy.place == "server":
            deviation = rules.privacy.noise * rules.privacy.clip / len(taken)
            seed = rules.noise_seed
            random = np.random.default_rng(None if seed is None else (seed, len(self.rounds)))
            found = private.noised(found, deviation, random)
        return found
