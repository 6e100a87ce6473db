"""Rounds by Flower's own server in this process."""

from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest

from codebuddy import heads
from codebuddy.cli import run
from codebuddy.errors import TrainingError
from codebuddy.federation.client import HeadClient
from codebuddy.federation.flower import flower
from codebuddy.federation.local import save_aggregate, trained_for_text
from codebuddy.federation.measure import aurocs, centralised
from codebuddy.federation.participant import Participant, judge
from codebuddy.federation.partitions import deal
from codebuddy.federation.privacy import Privacy, epsilon, releases_within
from codebuddy.federation.simulation import LocalProxy, run_in_process, simulate
from codebuddy.federation.strategy import HeadStrategy, Rules, answers_of, sound_sum
from codebuddy.federation.transport import client_manager
from codebuddy.federation.trial import PoisonedClient
from codebuddy.federation.weights import StepConfig, data_of, norm, zeros
from codebuddy.training.head.adapt import gain_thresholds

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def participants(shared):
    """A client for each of the ten repositories."""
    clients = deal(shared.examples, "repository", 0, 1.0, 0)
    return [Participant(each, shared.scales, seed=n) for n, each in enumerate(clients)]


def pooled(participants, scales):
    return data_of([hole for each in participants for hole in each.learned], scales)


def test_the_rounds_come_to_what_all_labels_in_one_place_give(participants, shared):
    """Nearly: clients take several steps between rounds."""
    strategy = simulate(participants, Rules(n_rounds=15), zeros())
    central = centralised(pooled(participants, shared.scales), StepConfig())
    held_out = data_of([h for p in participants for h in p.held_out], shared.scales)
    ours, theirs = aurocs(strategy.weights, held_out), aurocs(central, held_out)
    assert ours["confidence"] == pytest.approx(theirs["confidence"], abs=0.02)
    assert [each.answered for each in strategy.rounds] == [10] * 15
    sizes = [(each.bytes_sent + each.bytes_received) / each.asked for each in strategy.rounds]
    assert max(sizes) < 10_000


def test_clients_are_asked_at_once():
    """One that is silent keeps nobody waiting, and what one raises costs its own answer alone."""
    together = threading.Barrier(3, timeout=60)

    class Client:
        def __init__(self, says):
            self._says = says

        def get_properties(self, ins, timeout, group_id):
            together.wait()
            if self._says is None:
                raise ConnectionError
            return f"{self._says} {ins}"

    clients = [Client("a"), Client(None), Client("c")]
    asked = {number: (client, number) for number, client in enumerate(clients)}
    assert answers_of(asked) == {0: "a 0", 2: "c 2"}
    assert answers_of({}) == {}


def test_the_same_seed_gives_the_same_weights(participants, shared):
    """Drawn clients too."""
    rules = Rules(n_rounds=4, selection="activity", per_round=3, is_weighted=False, seed=7)
    first = simulate(participants, rules, zeros())
    second = simulate(participants, rules, zeros())
    assert all((a == b).all() for a, b in zip(first.weights, second.weights, strict=True))
    assert [each.asked for each in first.rounds] == [3] * 4


def test_who_has_more_labels_is_drawn_more_often(participants):
    """By activity; evenly it makes no difference."""
    participants[0].learned = participants[0].learned * 20

    def times_drawn(selection):
        drawn = []

        class Counted(HeadClient):
            def fit(self, ins):
                drawn.append(self._participant)
                return super().fit(ins)

        rules = Rules(n_rounds=12, selection=selection, per_round=1, min_clients=1)
        simulate(participants, rules, zeros(), make_client=lambda _n, p: Counted(p, "simulated"))
        return sum(each is participants[0] for each in drawn)

    assert times_drawn("activity") > times_drawn("uniform")


def test_poison_is_refused_bounded_or_outvoted(participants, shared):
    """Three of ten send the opposite, one of them numbers that are none."""

    def make(number, participant):
        kind = PoisonedClient if number < 3 else None
        return kind(number, participant) if kind else HeadClient(participant, "simulated")

    central = centralised(pooled(participants, shared.scales), StepConfig())

    def away(**rules):
        made = Rules(n_rounds=8, **rules)
        strategy = simulate(participants, made, zeros(), make_client=make)
        assert all(np.isfinite(each).all() for each in strategy.weights)
        assert strategy.rounds[0].refused == 1
        return norm([a - b for a, b in zip(strategy.weights, central, strict=True)])

    plain = away()
    assert away(aggregate="median") < plain
    assert away(aggregate="trimmed") < plain
    assert away(norm_bound=0.3) < plain


def test_clients_of_another_head_or_model_and_empty_ones_are_not_asked(participants, shared):
    """The server says how many, and why."""
    participants[0].learned = []

    class Older(HeadClient):
        def get_properties(self, ins):
            answer = super().get_properties(ins)
            answer.properties["protocol"] = "codebuddy-head-0"
            return answer

    class Silent(HeadClient):
        def get_properties(self, ins):
            raise RuntimeError("gone")

    def make(number, participant):
        kinds = {1: Older(participant, "simulated"), 2: HeadClient(participant, "another model")}
        kinds[3] = Silent(participant, "simulated")
        return kinds.get(number) or HeadClient(participant, "simulated")

    strategy = simulate(participants, Rules(n_rounds=1), zeros(), make_client=make)
    assert strategy.rounds[0].asked == 6
    assert strategy.left_out == {
        "gone": 1,
        "another head": 1,
        "another model": 1,
        "nothing to send": 1,
    }


def test_a_client_that_vanishes_is_missed_and_takes_part_when_it_is_back(participants):
    """Away in the second of three rounds: once before it is asked, once while it works."""

    class Away(HeadClient):
        asked = 0

        def get_properties(self, ins):
            self.asked += 1
            if self.asked == 2:
                raise RuntimeError("gone")
            return super().get_properties(ins)

    class Lost(HeadClient):
        fitted = 0

        def fit(self, ins):
            self.fitted += 1
            if self.fitted == 2:
                raise RuntimeError("gone")
            return super().fit(ins)

    kinds = {0: Away, 1: Lost}
    strategy = simulate(
        participants[:5],
        Rules(n_rounds=3),
        zeros(),
        make_client=lambda number, each: kinds.get(number, HeadClient)(each, "simulated"),
    )
    assert [(each.asked, each.answered, each.refused) for each in strategy.rounds] == [
        (5, 5, 0),
        (4, 3, 1),
        (5, 5, 0),
    ]
    assert [participants[number].n_sent for number in (0, 1, 2)] == [2, 2, 3]


def test_a_round_with_too_few_answers_changes_nothing(participants):
    """The weights stay."""
    rules = Rules(n_rounds=2, min_clients=3)
    strategy = simulate(participants[:2], Rules(n_rounds=2, min_clients=2), zeros())
    assert norm(strategy.weights) > 0
    assert strategy.has_counted
    nobody = [Participant([], each.scales) for each in participants[:3]]
    idle = simulate(nobody, rules, zeros())
    assert norm(idle.weights) == 0
    assert not idle.has_counted


def test_noise_is_accounted_for_and_ends_what_a_client_sends(shared):
    """More noise is less epsilon, more releases are more; a budget is kept."""
    assert epsilon(((4.0, 20),), 1e-3) < epsilon(((1.0, 20),), 1e-3)
    assert epsilon(((4.0, 5),), 1e-3) < epsilon(((4.0, 20),), 1e-3)
    assert math.isinf(epsilon(((0.0, 1), (4.0, 5)), 1e-3))
    assert epsilon((), 1e-3) == 0
    assert math.isinf(epsilon(((1e-200, 1),), 1e-3))
    limits = Privacy(noise=4.0, max_epsilon=3.0)
    allowed = releases_within(limits)
    assert epsilon(((4.0, allowed),), 1e-3) <= 3.0 < epsilon(((4.0, allowed + 1),), 1e-3)
    assert releases_within(limits, earlier=((4.0, allowed),)) == 0
    client = Participant(shared.examples[:100], shared.scales, limits, n_sent=allowed)
    assert not client.may_send


def test_an_error_of_a_client_costs_the_round_that_client_alone(participants):
    """What the server asks for must make sense, too."""
    rules = Rules(n_rounds=1, step=StepConfig(n_steps=100_000))
    strategy = simulate(participants, rules, zeros())
    assert strategy.rounds[0].refused == 10
    assert norm(strategy.weights) == 0


def test_a_client_with_one_label_takes_part_and_moves_little(participants, shared):
    """It counts by its one label; what it judges by is too little to adopt anything."""
    without = simulate(participants[1:], Rules(n_rounds=1), zeros()).weights
    participants[0] = Participant(participants[0].examples[:1], shared.scales)
    strategy = simulate(participants, Rules(n_rounds=1), zeros())
    assert strategy.rounds[0].answered == 10
    gap = norm([a - b for a, b in zip(strategy.weights, without, strict=True)])
    assert 0 < gap < 0.02 * norm(without)
    with pytest.raises(TrainingError, match="0 holes are too few"):
        judge(
            participants[0],
            strategy.weights,
            shared.head,
            shared.examples,
            gain_thresholds([1.0], [1.0]),
        )


def test_no_client_is_drawn_or_counted_beyond_what_it_could_have(participants):
    """A number of labels is the client's word: beyond some thousand it counts no more."""

    def drawn(claimed):
        asked = []

        class Boasting(HeadClient):
            def get_properties(self, ins):
                answer = super().get_properties(ins)
                answer.properties["n_examples"] = claimed
                return answer

            def fit(self, ins):
                asked.append(self._participant)
                answer = super().fit(ins)
                answer.num_examples = claimed
                return answer

        rules = Rules(n_rounds=12, selection="activity", per_round=2, min_clients=1)
        strategy = simulate(
            participants,
            rules,
            zeros(),
            make_client=lambda n, p: (Boasting if n == 0 else HeadClient)(p, "simulated"),
        )
        return len(asked), strategy.weights

    (often, one), (as_often, other) = drawn(10**9), drawn(HeadStrategy.most_examples)
    assert often == as_often
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("size", [1e7, 1.7e308])
def test_numbers_that_no_training_gives_cost_their_sender_s_part_alone(participants, size):
    """Finite ones too: their sum would be none, and so would all weights after it."""

    class Huge(HeadClient):
        def fit(self, ins):
            answer = super().fit(ins)
            change = self._common.parameters_to_ndarrays(answer.parameters)
            huge = [np.full_like(each, size) for each in change]
            answer.parameters = self._common.ndarrays_to_parameters(huge)
            answer.num_examples = 10**9
            return answer

    def away(number):
        return simulate(
            participants,
            Rules(n_rounds=2),
            zeros(),
            make_client=lambda n, each: (Huge if n == number else HeadClient)(each, "simulated"),
        )

    strategy = away(0)
    assert [(each.answered, each.refused) for each in strategy.rounds] == [(9, 1)] * 2
    assert 0 < norm(strategy.weights) < 100
    kept = sound_sum(zeros(), [each + 1e7 for each in zeros()])
    assert norm(kept) == 0


@pytest.mark.parametrize("said", ["not json", "[" * 3_000, "[1]", "{" + " " * 20_000 + "}"])
def test_what_a_client_says_of_its_model_ends_no_server(participants, shared, tmp_path, said):
    """Nonsense is another model's, whoever came first, and the head is written all the same."""
    usual = trained_for_text({"model": "small"})
    strategy = HeadStrategy(Rules(n_rounds=1, min_clients=1), shared.start(), "")
    clients = [HeadClient(participants[0], said), HeadClient(participants[1], usual)]
    run_in_process(strategy, clients)
    assert strategy.trained_for == usual
    assert strategy.left_out == {"another model": 1}
    save_aggregate(tmp_path / "head.json", strategy, shared)
    assert heads.load_head_file(tmp_path / "head.json").trained_for["model"] == "small"
    alone = HeadStrategy(Rules(n_rounds=1, min_clients=1), shared.start(), "")
    run_in_process(alone, clients[:1])
    save_aggregate(tmp_path / "head.json", alone, shared)
    assert heads.load_head_file(tmp_path / "head.json").trained_for == {}


def test_junk_under_masks_is_not_simulated(capsys):
    """The clients that send it speak the plain protocol, and would be harmless for that alone."""
    assert run(["federate", "simulate", "--poison", "2", "--secure-aggregation"]) == 2
    assert "not simulated" in capsys.readouterr().err


def test_a_client_that_left_for_good_is_not_waited_for_a_day():
    """The first round waits for its clients; a later one as long as for an answer."""
    register = client_manager(flower("flwr.server"), 0.05)
    later = threading.Timer(0.3, register.register, [LocalProxy("00001", None)])
    later.start()
    assert register.wait_for(1)
    known = register.all()
    for each in known:
        register.unregister(known[each])
    assert list(known) == ["00001"]
    assert register.all() == {}
    assert not register.wait_for(1)


def test_a_simulation_in_which_nothing_can_be_held_out_says_so(tmp_path, shared, capsys):
    """A dash where there are not both kinds of holes."""
    folder = tmp_path / "labels"
    folder.mkdir()
    shipped = heads.default_labels_folder()
    for name in ("memori", "tanstack-pacer"):
        header, first, *rest = (shipped / f"{name}.jsonl").read_text().splitlines()
        path = json.loads(first)["path"]
        of_one_file = [each for each in [first, *rest] if json.loads(each)["path"] == path]
        (folder / f"{name}.jsonl").write_text("\n".join([header, *of_one_file]) + "\n")
    assert run(["federate", "simulate", "--labels", str(folder), "--rounds", "1"]) == 0
    shown = capsys.readouterr()
    assert "centralised                     -" in shown.out
    assert "a dash" in shown.err
