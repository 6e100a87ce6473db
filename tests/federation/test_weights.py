"""What one client does, without Flower: steps, splits, limits, and whether an aggregate is used."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from codebuddy import heads
from codebuddy.commands.federate_options import privacy_of
from codebuddy.errors import TrainingError, UsageError
from codebuddy.federation.local import LocalPart
from codebuddy.federation.participant import (
    Participant,
    judge,
    preview,
    split_by_file,
    verdict_as_json,
)
from codebuddy.federation.partitions import deal, divergence
from codebuddy.federation.privacy import Privacy, clipped, noised
from codebuddy.federation.transport import Keys, checked_address
from codebuddy.federation.trial import Dealt, participants_of
from codebuddy.federation.weights import (
    STAGES,
    StepConfig,
    classifiers,
    data_of,
    norm,
    shapes_fit,
    step,
    zeros,
)
from codebuddy.training.head.adapt import GainThresholds
from codebuddy.training.head.fit import values_of
from codebuddy.vcs.repository import open_repository
from tests.bench.federated import windows
from tests.support.index import make_repository


def loss(weights, data, penalty):
    """The centralised objective of the syntax stage, written down a second time."""
    scores = data.inputs[0] @ weights[0]
    signs = 2 * data.helped[0] - 1
    return float(
        np.log1p(np.exp(-signs * scores)).mean() + penalty / 2 * (weights[0][1:] ** 2).sum()
    )


def test_steps_lower_the_loss_and_end_at_scikit_learn_s_optimum(shared):
    """The same regression as the shipped head's, by another way."""
    from sklearn.linear_model import LogisticRegression

    data = data_of(shared.examples, shared.scales)
    config = StepConfig(n_steps=50)
    losses = [loss(zeros(), data, config.penalty)]
    weights = zeros()
    for _ in range(3):
        weights = step(weights, data, config)
        losses.append(loss(weights, data, config.penalty))
    assert losses == sorted(losses, reverse=True)
    ended = step(zeros(), data, StepConfig(n_steps=3_000))
    n = data.n_examples
    model = LogisticRegression(C=1 / (config.penalty * n), max_iter=2_000, tol=1e-8)
    model.fit(data.inputs[0][:, 1:], data.helped[0])
    assert ended[0][1:] == pytest.approx(model.coef_[0], abs=2e-3)


def test_a_proximal_step_stays_nearer(shared):
    """FedProx's term does what it is for."""
    data = data_of(shared.examples[:100], shared.scales)
    free = step(zeros(), data, StepConfig())
    held = step(zeros(), data, StepConfig(proximal=5.0))
    assert norm(held) < norm(free)


def test_a_head_becomes_weights_and_back(shared):
    """The scores of a place are the same."""
    weights = shared.start()
    assert shapes_fit(weights)
    stages = classifiers(weights, shared.scales, shared.examples)
    for known, made in zip((shared.head.syntax, shared.head.confidence), stages, strict=True):
        assert known is not None
        for example in shared.examples[::200]:
            values = values_of(example)
            assert made.predict(values).score == pytest.approx(known.predict(values).score)


@pytest.mark.parametrize(
    "broken",
    [
        [],
        [np.zeros(3), np.zeros(6)],
        [np.full(36, np.nan), np.zeros(6)],
        [np.zeros(36), np.full(6, np.inf)],
        [np.zeros(36, int), np.zeros(6)],
        [np.zeros((36, 1)), np.zeros(6)],
        ["a", "b"],
    ],
)
def test_weights_that_are_none_are_refused(shared, broken):
    """By the server of a client, and by a client of the server."""
    assert not shapes_fit(broken)
    with pytest.raises(TrainingError, match="none of this codebuddy"):
        Participant(shared.examples[:100], shared.scales).update(broken, StepConfig())


def test_what_is_shown_is_what_would_be_sent_and_holds_no_text(shared):
    """Nothing is counted as sent."""
    participant = Participant(shared.examples[:150], shared.scales)
    shown = preview(participant, shared.start(), StepConfig())
    assert participant.n_sent == 0
    update = participant.update(shared.start(), StepConfig())
    assert shown["sent"] == update.as_json()
    text = json.dumps(shown)
    assert not [each.path for each in shared.examples[:150] if each.path in text]
    assert shown["sent"]["numbers"] == sum(1 + len(stage.features) for stage in STAGES)


def test_files_are_on_one_side_only(shared):
    """And the split is the same each time."""
    learned, held_out = split_by_file(shared.examples[:300], 3)
    assert {each.path for each in learned}.isdisjoint(each.path for each in held_out)
    assert len(learned) + len(held_out) == 300
    assert split_by_file(shared.examples[:300], 3) == (learned, held_out)


def test_private_updates_are_short_and_say_no_number_of_labels(shared):
    """Clipping alone, then noise of the right size."""
    examples = shared.examples[:150]
    bare = Participant(examples, shared.scales, Privacy(clip=0.01))
    update = bare.update(zeros(), StepConfig())
    assert norm(update.change) == pytest.approx(0.01)
    assert update.n_examples == 1
    assert clipped([np.zeros(3)], 1.0)[0].tolist() == [0, 0, 0]
    noise = np.concatenate(noised([np.zeros(20_000)], 0.5, np.random.default_rng(1)))
    assert noise.std() == pytest.approx(0.5, rel=0.05)


def test_an_aggregate_is_used_only_if_held_out_holes_say_so(shared):
    """One that has learned is taken over one that knows nothing; nonsense is not."""
    participant = Participant(shared.examples[:400], shared.scales)
    thresholds = GainThresholds(1.0, 1.0)
    data = data_of(shared.examples, shared.scales)
    good = step(zeros(), data, StepConfig(n_steps=500))
    same = judge(participant, shared.start(), shared.head, shared.examples, thresholds)
    assert not same.is_better
    bad = judge(
        participant, [-20 * each for each in good], shared.head, shared.examples, thresholds
    )
    assert not bad.is_better
    assert len(bad.stages) == 2
    assert all(each.kept is each.default_stage for each in bad.stages.values())
    few = Participant(shared.examples[:20], shared.scales)
    with pytest.raises(TrainingError, match="too few"):
        judge(few, good, shared.head, shared.examples, thresholds)


def test_what_is_adopted_says_how_often_it_will_ask_again(shared):
    """By the client's own holes, as for a head that the repository adapted itself."""
    data = data_of(shared.examples, shared.scales)
    good = step(zeros(), data, StepConfig(n_steps=500))
    bad = classifiers([-20 * each for each in good], shared.scales, shared.examples)
    present = replace(shared.head, syntax=bad[0], confidence=bad[1], asked_again=0.987)
    participant = Participant(shared.examples[:400], shared.scales)
    verdict = judge(participant, good, present, shared.examples, GainThresholds(1.0, 1.0))
    assert verdict.confidence is not None
    assert verdict.confidence.is_better
    content = verdict.head_content("r", {}, present)
    assert content["asked_again"] == pytest.approx(verdict.confidence.adapted.lookup_rate, abs=1e-3)
    assert content["asked_again"] != 0.987
    shown = verdict_as_json(verdict)
    assert set(shown) == {"holes", "adopted", "syntax", "confidence"}


def test_epsilon_is_infinite_once_something_was_sent_without_noise(shared):
    """Clipped or not; nothing is spent before."""
    for privacy in (None, Privacy(clip=0.1)):
        participant = Participant(shared.examples[:150], shared.scales, privacy)
        assert participant.epsilon() == 0
        participant.update(zeros(), StepConfig())
        assert math.isinf(participant.epsilon())


def test_a_limit_of_epsilon_that_nothing_would_keep_is_refused():
    """Without noise nothing could be counted, and the server's is not the client's."""
    for clip in (None, 1.0):
        with pytest.raises(UsageError, match="needs noise"):
            privacy_of(0.0, clip, 1e-3, 3.0, "client")
    with pytest.raises(UsageError, match="client"):
        privacy_of(1.0, None, 1e-3, 3.0, "server")
    assert privacy_of(1.0, None, 1e-3, 3.0, "client") == Privacy(noise=1.0, max_epsilon=3.0)


def test_labels_are_dealt_whole_and_the_more_unequal_the_smaller_alpha(shared):
    """Nobody's are lost or doubled."""
    for dealing in ("label", "language", "quantity"):
        clients = deal(shared.examples, dealing, 20, 1.0, 0)
        assert sum(map(len, clients)) == len(shared.examples)
    natural = deal(shared.examples, "repository", 0, 1.0, 0)
    assert [len({e.repository for e in c}) for c in natural] == [1] * 10
    unlike = [divergence(deal(shared.examples, "label", 20, a, 0), "label") for a in (0.1, 1, 100)]
    assert unlike == sorted(unlike, reverse=True)
    parts = windows(natural[0], 5, 1)
    assert sum(map(len, parts)) == len(natural[0])


@pytest.mark.parametrize("dealing", ["label", "language", "quantity", "repository"])
def test_what_a_simulation_judges_by_no_client_learned_from(shared, dealing):
    """Files whose labels were dealt to several clients, too."""
    dealt = Dealt(dealing, n_clients=8, alpha=0.5, seed=3)
    clients = deal(shared.examples, dealing, 8, 0.5, 3)
    participants = participants_of(clients, dealt, shared.scales, None)
    learned = {(hole.repository, hole.path) for each in participants for hole in each.learned}
    held_out = {(hole.repository, hole.path) for each in participants for hole in each.held_out}
    assert learned
    assert held_out
    assert learned.isdisjoint(held_out)
    n_labels = sum(len(each.learned) + len(each.held_out) for each in participants)
    assert n_labels == len(shared.examples)


@pytest.mark.parametrize("address", ["10.0.0.1:9440", "example.org:1", "0.0.0.0:9440", "[::]:9440"])
def test_without_keys_only_this_machine_is_spoken_to(address):
    """With them, anybody of the authority."""
    with pytest.raises(UsageError, match="not this machine"):
        checked_address(address, None)
    assert checked_address(address, Keys(b"", b"", b"")) == address
    for own in ("127.0.0.1:9440", "localhost:9440", "[::1]:9440"):
        assert checked_address(own, None) == own
    for none in ("9440", "host:", ":9440", "host:99999", "host:x"):
        with pytest.raises(UsageError, match="no address"):
            checked_address(none, None)


def test_limits_are_infinite_by_default():
    """Nothing is spent by accident."""
    assert math.isinf(Privacy().max_epsilon)


def test_two_clients_of_one_repository_count_what_both_sent(tmp_path, shared):
    """Epsilon is the repository's: what another client spends meanwhile is spent here, too."""
    repository = open_repository(make_repository(tmp_path / "r"))
    labels = heads.default_labels_folder() / "memori.jsonl"
    limits = Privacy(noise=4.0, max_epsilon=2.2)

    def part():
        return LocalPart(repository, labels, limits, shared)

    def send(one):
        one.participant.update(zeros(), StepConfig())
        one.record_release(one.participant.n_sent)

    first, second = part(), part()
    for each in (first, second, first, second):
        send(each)
    assert part().participant.earlier == ((4.0, 4),)
    assert (
        first.participant.epsilon() < second.participant.epsilon() == part().participant.epsilon()
    )
    while second.participant.may_send:
        send(second)
    assert first.participant.may_send, "it has not looked yet"
    first.participant.update(zeros(), StepConfig())
    with pytest.raises(TrainingError, match="another client here spent it"):
        first.record_release(first.participant.n_sent)
    assert not first.participant.may_send
    assert first.participant.n_sent == 2
    assert part().participant.earlier == ((4.0, 2 + second.participant.n_sent),)
