"""Sums under masks: what the server gets of a change, and what comes of those who vanish."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from codebuddy.errors import TrainingError, UsageError
from codebuddy.federation.client import PROTOCOL, HeadClient
from codebuddy.federation.masking import Masking, mean_of, threshold_of, usable_keys
from codebuddy.federation.participant import Participant
from codebuddy.federation.partitions import deal
from codebuddy.federation.privacy import Privacy
from codebuddy.federation.secure import SecureHeadClient, checked_privacy, checked_rules
from codebuddy.federation.simulation import simulate
from codebuddy.federation.strategy import Rules, checked_draws
from codebuddy.federation.weights import StepConfig, norm, zeros

pytestmark = pytest.mark.filterwarnings("ignore")
RULES = checked_rules(Rules(n_rounds=2))


def shared_round(n_clients, count=42):
    """Clients that have shared, their keys, and what they sealed for each other."""
    clients = {number: Masking() for number in range(1, n_clients + 1)}
    keys = {number: each.public_keys() for number, each in clients.items()}
    sealed = {number: each.share(number, keys) for number, each in clients.items()}
    changes = {n: np.random.default_rng(n).normal(0, 0.1, count) for n in clients}
    return clients, keys, sealed, changes


def for_client(sealed, number):
    return {other: each[number] for other, each in sealed.items()}


@pytest.mark.parametrize("gone", [(), (2,), (1, 5)])
def test_the_mean_is_that_of_those_who_answer(gone):
    """To a millionth; up to two of seven vanish after they shared."""
    clients, keys, sealed, changes = shared_round(7)
    for number, each in clients.items():
        each.open(for_client(sealed, number))
    masked = {n: each.mask([changes[n]]) for n, each in clients.items() if n not in gone}
    revealed = {number: clients[number].reveal(sorted(masked)) for number in masked}
    wanted = np.mean([changes[number] for number in masked], axis=0)
    assert mean_of(masked, keys, revealed) == pytest.approx(wanted, abs=2e-6)


def test_one_who_gives_no_shares_takes_no_part():
    """The others never held any of its, and need none."""
    clients, keys, sealed, changes = shared_round(5)
    del sealed[4], clients[4]
    for number, each in clients.items():
        each.open(for_client(sealed, number))
    masked = {number: each.mask([changes[number]]) for number, each in clients.items()}
    revealed = {number: each.reveal(sorted(masked)) for number, each in clients.items()}
    wanted = np.mean([changes[number] for number in clients], axis=0)
    assert mean_of(masked, keys, revealed) == pytest.approx(wanted, abs=2e-6)


def test_with_too_few_the_sum_stays_masked():
    """Neither does a client tell its shares, nor do those of two of four suffice."""
    clients, keys, sealed, changes = shared_round(4)
    for number, each in clients.items():
        each.open(for_client(sealed, number))
    masked = {number: each.mask([changes[number]]) for number, each in clients.items()}
    with pytest.raises(TrainingError, match="the sum of 2 of 4"):
        clients[1].reveal([1, 2])
    revealed = {number: clients[number].reveal([1, 2, 3, 4]) for number in (2, 3)}
    with pytest.raises(TrainingError, match="stays masked"):
        mean_of(masked, keys, revealed)


def changed(text):
    """The same share with a bit turned: the seed is another one, and still fits its padding."""
    share = bytearray(base64.b64decode(text))
    share[4] ^= 1
    return base64.b64encode(bytes(share)).decode("ascii")


@pytest.mark.parametrize("lie", ["share", "change"])
def test_a_sum_that_no_changes_have_is_not_taken(lie):
    """A wrong share of a client's own seed, or a change beyond what may be sent, leaves chance."""
    clients, keys, sealed, changes = shared_round(4)
    for number, each in clients.items():
        each.open(for_client(sealed, number))
    masked = {number: each.mask([changes[number]]) for number, each in clients.items()}
    revealed = {number: each.reveal([1, 2, 3, 4]) for number, each in clients.items()}
    assert np.isfinite(mean_of(masked, keys, revealed)).all()
    if lie == "share":
        revealed[1][2] = changed(revealed[1][2])
    else:
        masked[1] = masked[1] + np.uint32(1 << 31)
    with pytest.raises(TrainingError, match="cannot be the sum"):
        mean_of(masked, keys, revealed)


def keys_text(*parts):
    return ".".join(base64.b64encode(each).decode("ascii") for each in parts)


# Nearly any 32 bytes are a key.
SEALING = bytes(range(32))
JUNK_KEYS = {
    "five bytes": keys_text(SEALING, b"short"),
    "zeros": keys_text(SEALING, bytes(32)),
    "of low order": keys_text(bytes([1, *[0] * 31]), SEALING),
    "one": keys_text(SEALING),
    "no keys": "x",
    "no text of keys": "\ud800.\ud800",
}


@pytest.mark.parametrize("junk", JUNK_KEYS)
def test_keys_that_nobody_can_use_are_handed_to_nobody(junk):
    """Given them all the same, a client refuses before it has sealed anything."""
    clients = {number: Masking() for number in (1, 2, 3)}
    keys = {number: each.public_keys() for number, each in clients.items()}
    assert usable_keys({**keys, 4: JUNK_KEYS[junk], 5: keys[1]}) == keys
    with pytest.raises(TrainingError, match="keys that are none"):
        clients[1].share(1, {**keys, 4: JUNK_KEYS[junk]})


def test_what_the_server_sees_of_a_change_correlates_with_nothing():
    """A long change, so that a correlation by chance is small; plainly sent it would be 1."""
    n_numbers = 40_000
    clients, _, sealed, changes = shared_round(3, n_numbers)
    clients[1].open(for_client(sealed, 1))
    seen = clients[1].mask([changes[1]]).astype(np.float64)
    for number in changes:
        assert abs(np.corrcoef(seen, changes[number])[0, 1]) < 5 / np.sqrt(n_numbers)
    # As even as chance: each of 16 equal parts of the range has its share.
    counts = np.histogram(seen, bins=16, range=(0, 2**32))[0]
    assert np.abs(counts - n_numbers / 16).max() < 6 * np.sqrt(n_numbers / 16)


def test_a_server_that_asks_twice_or_swaps_keys_gets_nothing():
    """A mask is used once; then neither change nor shares are told."""
    clients, keys, sealed, changes = shared_round(4)
    swapped = Masking()
    swapped.public_keys()
    with pytest.raises(TrainingError, match="other keys"):
        swapped.share(1, keys)
    with pytest.raises(TrainingError, match="a sum of 2"):
        Masking().share(1, {1: keys[1], 2: keys[2]})
    with pytest.raises(TrainingError, match="not sealed for"):
        clients[2].open(for_client(sealed, 1))
    clients[1].open(for_client(sealed, 1))
    clients[1].mask([changes[1]])
    with pytest.raises(TrainingError, match="out of turn"):
        clients[1].mask([changes[2]])
    with pytest.raises(TrainingError, match="out of turn"):
        clients[1].reveal([1, 2, 3, 4])


@pytest.fixture
def participants(shared):
    """Ten clients that clip, as those of secure sums do."""
    clients = deal(shared.examples, "repository", 0, 1.0, 0)
    return [Participant(each, shared.scales, Privacy(clip=0.5), seed=1) for each in clients]


def test_rounds_come_to_the_weights_of_plain_ones(participants):
    """Within what whole numbers lose; a plain client is not asked."""
    plain = simulate(participants, Rules(n_rounds=2), zeros())
    secure = simulate(participants, RULES, zeros())
    gap = norm([a - b for a, b in zip(plain.weights, secure.weights, strict=True)])
    assert gap < 1e-4 < norm(secure.weights)
    assert [(each.asked, each.answered, each.refused) for each in secure.rounds] == [
        (10, 10, 0)
    ] * 2
    sizes = [(each.bytes_sent + each.bytes_received) / each.asked for each in secure.rounds]
    assert max(sizes) < 20_000
    makers = {0: HeadClient}
    mixed = simulate(
        participants,
        RULES,
        zeros(),
        make_client=lambda n, each: makers.get(n, SecureHeadClient)(each, "simulated"),
    )
    assert mixed.left_out == {"another head": 1}


def test_a_server_that_asks_plainly_gets_nothing(participants):
    """A client of secure sums that is taken for a plain one sends no change."""

    class Downgraded(SecureHeadClient):
        def get_properties(self, ins):
            answer = super().get_properties(ins)
            answer.properties["protocol"] = PROTOCOL
            return answer

    strategy = simulate(
        participants,
        Rules(n_rounds=1),
        zeros(),
        make_client=lambda _, each: Downgraded(each, "simulated"),
    )
    assert (strategy.rounds[0].refused, norm(strategy.weights)) == (10, 0)


@pytest.mark.parametrize(("n_vanish", "answered"), [(3, 7), (4, 0)])
def test_clients_that_vanish_between_shares_and_change_cost_no_round(
    participants, n_vanish, answered
):
    """Three of ten may; with four the weights stay, and the next round is as usual."""

    class Vanishing(SecureHeadClient):
        fitted = 0

        def fit(self, ins):
            self.fitted += 1
            if self.fitted == 1:
                raise RuntimeError("gone")
            return super().fit(ins)

    seen = []
    strategy = simulate(
        participants,
        RULES,
        zeros(),
        on_round=lambda _, weights: seen.append(norm(weights)),
        make_client=lambda n, each: (Vanishing if n < n_vanish else SecureHeadClient)(
            each, "simulated"
        ),
    )
    assert threshold_of(10) == 7
    assert [each.answered for each in strategy.rounds] == [answered, 10]
    assert (seen[0] > 0) == (answered > 0)
    assert seen[1] > 0


LIES = {
    "keys": [*JUNK_KEYS.values()],
    "share": ["x", "[]", '{"1": "x"}', "{" * 9_000],
    "reveal": ["x", '{"1": "x", "99": "y"}'],
}


@pytest.mark.parametrize(
    ("step", "lie"),
    [
        pytest.param(step, lie, id=f"{step}-{number}")
        for step, lies in LIES.items()
        for number, lie in enumerate(lies)
    ],
)
def test_a_client_that_answers_junk_is_left_out_and_costs_no_other(participants, step, lie):
    """Neither the server nor another client ends; the round counts for the others."""

    class Lying(SecureHeadClient):
        def get_properties(self, ins):
            answer = super().get_properties(ins)
            if ins.config.get("step") == step:
                answer.properties["said"] = lie
            return answer

    clients = [
        (Lying if n == 2 else SecureHeadClient)(p, "simulated")
        for n, p in enumerate(participants[:5])
    ]
    strategy = simulate(
        participants[:5],
        checked_rules(Rules(n_rounds=1, step=StepConfig(n_steps=2))),
        zeros(),
        make_client=lambda number, _: clients[number],
    )
    # Who lies of its shares at the end has sent its change before.
    assert strategy.rounds[0].answered == (5 if step == "reveal" else 4)
    assert norm(strategy.weights) > 0
    assert [each.problem for n, each in enumerate(clients) if n != 2] == [""] * 4


def test_a_client_whose_own_work_fails_says_so_and_goes_on(participants, monkeypatch):
    """Whatever it was: an error that left it would end its process."""

    def broken(*_):
        raise ZeroDivisionError

    clients = [SecureHeadClient(each, "simulated") for each in participants[:4]]
    rules = checked_rules(Rules(n_rounds=1, step=StepConfig(n_steps=2)))
    for step in ("mask", "share", "open"):
        with monkeypatch.context() as patched:
            patched.setattr(Masking, step, broken)
            failed = simulate(
                participants[:4], rules, zeros(), make_client=lambda number, _: clients[number]
            )
        assert (failed.rounds[0].answered, failed.rounds[0].refused) == (0, 4)
        assert {each.problem for each in clients} == {"no update was sent: ZeroDivisionError"}
    again = simulate(
        participants[:4], rules, zeros(), make_client=lambda number, _: clients[number]
    )
    assert again.rounds[0].answered == 4
    assert {each.problem for each in clients} == {""}
    judging = [HeadClient(each, "simulated", broken) for each in participants[:2]]
    simulate(participants[:2], Rules(n_rounds=1), zeros(), make_client=lambda n, _: judging[n])
    assert {each.problem for each in judging} == {"an aggregate was not judged: ZeroDivisionError"}


@pytest.mark.parametrize(
    ("rules", "check"),
    [
        (Rules(selection="uniform", per_round=2), checked_rules),
        (Rules(selection="activity", per_round=5, min_clients=10), checked_rules),
        (Rules(selection="uniform", per_round=5, min_clients=10), checked_draws),
    ],
)
def test_draws_with_which_no_round_could_count_are_refused(rules, check):
    """A sum needs three; as many as must answer are let through."""
    with pytest.raises(UsageError, match="no round could") as raised:
        check(rules)
    enough = max(rules.min_clients, 3)
    assert f"--per-round {enough} " in raised.value.hint
    assert check(replace(rules, per_round=enough)).per_round == enough
    assert check(replace(rules, selection="all")).selection == "all"


def test_more_clients_than_a_sum_can_have_are_refused():
    """Wanted at least, or drawn."""
    for rules, hint in (
        (Rules(min_clients=201), "--clients 200"),
        (Rules(selection="uniform", per_round=201), "--per-round 200"),
    ):
        with pytest.raises(UsageError, match="200 clients at most") as raised:
            checked_rules(rules)
        assert raised.value.hint == hint


def test_what_cannot_be_had_together_is_refused():
    """Bounds, medians and the server's noise need to see each change."""
    for rules in (Rules(aggregate="median"), Rules(norm_bound=1.0)):
        with pytest.raises(UsageError, match="sees sums alone"):
            checked_rules(rules)
    with pytest.raises(UsageError, match="up to 8"):
        checked_privacy(Privacy(clip=1.0, noise=4.0))
    assert checked_privacy(None).clip == 1.0
