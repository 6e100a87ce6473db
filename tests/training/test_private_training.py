"""Private training: what a unit may add, what is spent, and what is refused."""

from __future__ import annotations

import dataclasses
import inspect
import math
import random
from typing import Any

import numpy as np
import pytest

from codebuddy.errors import TrainingError, UsageError
from codebuddy.federation.weights import STAGES, data_of, scales_of, weights_of
from codebuddy.inference.own_adapters import find
from codebuddy.inference.vocabulary import open_vocabulary
from codebuddy.settings import TrainSettings
from codebuddy.training.adapter.base_model import LINEAR, load_base
from codebuddy.training.adapter.fit import AdapterConfig, PromptCache, add_adapters
from codebuddy.training.adapter.packing import SampleGroup
from codebuddy.training.head.adapt import head_to_start_from
from codebuddy.training.head.private import clipped, train_weights
from codebuddy.training.own import cutting, judging, private
from codebuddy.training.own.choosing import choose_files
from codebuddy.training.own.cutting import cut_alone
from codebuddy.training.own.run import Options
from codebuddy.training.own.run import run as train_adapter
from codebuddy.training.privacy import (
    Goal,
    Plan,
    draw,
    goal_of,
    plan_for,
    require_accountant,
    seed,
    spent,
    units_of,
)
from codebuddy.vcs.repository import open_repository
from tests.completion.test_head import synthetic_examples
from tests.support.evaluation import indexed
from tests.support.index import make_repository, run_git
from tests.support.tiny_model import write_base
from tests.support.toy_repository import house_files
from tests.training.test_audit import ENDINGS, group_of, house
from tests.training.test_own_run import make_around

__all__ = ["house"]

# peft and opacus ask for what torch and transformers will drop.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)
CONFIG = AdapterConfig("own", 8, tuple(LINEAR), 2e-2)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, -math.inf, math.nan, 501.0, 1e9])
def test_an_epsilon_that_promises_nothing_is_refused(epsilon):
    """Zero, below it, infinite, none: one sentence each."""
    with pytest.raises(UsageError, match="is no goal"):
        goal_of(is_private=True, epsilon=epsilon, unit=None)


def test_options_belong_together():
    """Plain without any, private with what was asked, and nothing half."""
    assert goal_of(is_private=False, epsilon=None, unit=None) is None
    assert goal_of(is_private=True, epsilon=None, unit=None) == Goal(8.0, "example")
    assert goal_of(is_private=True, epsilon=3.0, unit="file") == Goal(3.0, "file")
    unset = goal_of(is_private=True, epsilon=None, unit=None, default_unit="file")
    assert unset == Goal(8.0, "file")
    named = goal_of(is_private=True, epsilon=None, unit="example", default_unit="file")
    assert named == Goal(8.0, "example")
    for options in ({"epsilon": 3.0, "unit": None}, {"epsilon": None, "unit": "file"}):
        with pytest.raises(UsageError, match="needs --private"):
            goal_of(is_private=False, **options)


def test_a_missing_accountant_is_said_before_the_work(monkeypatch):
    """With the command that installs it; plain training needs none."""
    monkeypatch.setattr("codebuddy.training.privacy.find_spec", lambda _: None)
    require_accountant(None)
    with pytest.raises(TrainingError, match="opacus is not installed") as raised:
        require_accountant(Goal(8.0))
    assert "codebuddy[train]" in raised.value.hint


def test_units_are_examples_files_or_authors():
    """Each item once, whatever the unit."""
    items = [("a.py", 1), ("b.py", 2), ("a.py", 3), ("c.py", 4)]
    authors = {"a.py": "ada", "b.py": "ada"}
    assert units_of(items, "example", {}) == [[1], [2], [3], [4]]
    assert units_of(items, "file", {}) == [[1, 3], [2], [4]]
    assert units_of(items, "author", authors) == [[1, 2, 3], [4]]


def test_a_draw_takes_each_unit_with_its_chance():
    """All, none, and about a third."""
    assert draw(5, 1.0) == [0, 1, 2, 3, 4]
    assert draw(5, 0.0) == []
    assert 250 < sum(len(draw(100, 0.3)) for _ in range(10)) < 350


def test_the_plan_meets_its_goal_and_less_is_spent_by_fewer_steps():
    """Opacus says what is spent; a smaller epsilon takes more noise."""
    pytest.importorskip("opacus")
    strict = plan_for(Goal(1.0), 40, 2.0, 0.1)
    assert 0.9 < strict.epsilon <= 1.0
    assert spent(dataclasses.replace(strict, noise=2 * strict.noise), strict.steps) < 0.6
    assert strict.delta == 1 / 400
    assert 0 < spent(strict, strict.steps // 2) < strict.epsilon
    assert spent(strict, 0) == 0
    assert f"delta {2 * math.exp(strict.epsilon) / 400:.2g} of what is in two" in strict.words()
    loose = dataclasses.replace(strict, epsilon=8.0)
    assert "no promise is left of what is in two" in loose.words()


def test_the_seed_of_noise_cannot_be_tried():
    """Of 128 bits; and no generator of torch, which keeps 32 of them, draws it."""
    assert max(seed() for _ in range(20)).bit_length() > 120
    assert "torch.Generator" not in inspect.getsource(private)


def test_too_few_units_hide_nobody():
    """Three files are none to hide one among."""
    with pytest.raises(TrainingError, match="too few to hide"):
        plan_for(Goal(8.0, "file"), 3, 2.0, 0.1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The tiny model with an adapter of which only B is trained."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    base = write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")
    return add_adapters(load_base(base), [CONFIG])


def norm_of(tensors) -> float:
    """Of all together."""
    return math.sqrt(sum(float(each.pow(2).sum()) for each in tensors))


def test_each_unit_adds_at_most_the_clipping_whatever_the_others_are(model):
    """The sum is that of the units alone, each scaled to the norm if it is longer."""
    weights, prompts = private.trained_weights(model), PromptCache(model, "cpu")

    def summed(units, clip):
        return private.clipped_sum(model, weights, units, ENDINGS, clip, prompts)

    units = [(group_of(1, 3), group_of(2, 2)), (group_of(3, 3),), (group_of(4, 1),)]
    alone = [summed([unit], 0.1)[0] for unit in units]
    assert [norm_of(each) for each in alone] == pytest.approx([0.1] * 3, rel=1e-3)
    together, loss = summed(units, 0.1)
    for at, total in enumerate(together):
        assert np.allclose(total, sum(each[at] for each in alone), atol=1e-6)
    assert loss > 0
    free = summed(units[1:2], 1e9)[0]
    assert norm_of(free) > 0.1
    assert summed([], 0.1)[1] == 0
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert len(trained) == len(weights) == 2 * len(private.PARTS)
    assert all("lora_B" in name for name in trained)


def test_what_was_read_of_a_prompt_is_kept_as_long_as_there_is_room(model):
    """Of one group, and not of the next."""
    first, second = group_of(1, 3), group_of(2, 3)
    free = PromptCache(model, "cpu")
    reading = free.read(first)
    assert free.read(first) is reading
    size = sum(keys.nbytes + values.nbytes for keys, values in reading.layers)
    full = PromptCache(model, "cpu", size)
    assert full.read(first) is full.read(first)
    assert full.read(second) is not full.read(second)


def test_an_unfinished_training_of_another_plan_begins_anew_and_says_so(model, tmp_path):
    """Other minutes make another plan; with the same one it goes on, and says nothing."""
    units = tuple((group_of(number, 1),) for number in range(4))
    told: list[str] = []

    def train(steps: int, until: int) -> tuple[int, list[int]]:
        of = dataclasses.replace(plan(noise=1.0), units=4, rate=0.5, steps=steps)
        taken: list[int] = []
        done = private.train_privately(
            model,
            CONFIG,
            private.Private(of, units),
            ENDINGS,
            tmp_path / "training.state",
            lambda: float(len(taken)),
            until - 0.5,
            lambda step, *_: taken.append(step),
            tell=told.append,
        )
        return done, taken

    assert train(6, 2) == (2, [1, 2])
    assert train(6, 9) == (6, [3, 4, 5, 6])
    assert told == []
    assert train(3, 9) == (3, [1, 2, 3])
    assert len(told) == 1
    assert "begins anew" in told[0]


def test_time_and_the_user_are_looked_at_within_a_step(model, tmp_path):
    """The first step is always ended; another one that the time ends counts nothing."""
    units = tuple((group_of(number, 1),) for number in range(4))
    of = dataclasses.replace(plan(noise=1.0), units=4, rate=1.0, steps=3)
    waited, taken = [], []

    def train(seconds):
        return private.train_privately(
            model,
            CONFIG,
            private.Private(of, units),
            ENDINGS,
            tmp_path / "training.state",
            lambda: float(len(waited)),
            seconds,
            lambda step, *_: taken.append(step),
            wait=lambda: waited.append(0),
        )

    assert train(3.5) == 1
    # Before the first step, four groups of it, and the second.
    assert len(waited) == 6
    waited.clear()
    assert train(10.5) == 2
    assert taken == [1, 2]
    assert train(99.0) == 3


@pytest.mark.parametrize("unit", ["example", "file", "author"])
def test_the_time_is_enough_for_several_steps(monkeypatch, tmp_path, unit):
    """However many units there are: a step draws fewer of them where there is less time."""
    monkeypatch.setattr(private, "plan_for", lambda *given: given)
    groups = [SampleGroup(f"{n}.py", "python", (1,), ()) for n in range(3000)]
    repository = open_repository(committed(tmp_path / "one", {"0.py": "x = 1\n"}))
    held = {"example": 1, "file": 4, "author": 40}[unit]
    for in_time in (170.0, 1900.0, math.inf):
        given: Any = private.private_for(Goal(8.0, unit), groups, repository, in_time).plan
        _, units, passes, _, batch, least = given
        rate = max(least, batch / units)
        assert rate * units * held * 8 <= 1.001 * max(in_time, 8 * held)
        assert batch <= 48
        assert passes * units * held <= 1.001 * in_time
        assert passes / rate >= 0.999


def test_a_plan_is_told_of_any_epsilon_that_is_a_goal():
    """e^epsilon of a large one is beyond all numbers, and no promise."""
    loose = dataclasses.replace(plan(noise=0.1), epsilon=1000.0)
    assert "no promise is left of what is in two" in loose.words()


def groups_by_file(root, vocabulary):
    """What private training cuts of each file there, as plain values."""
    with indexed(root) as (repository, index):
        choice = choose_files(repository, index, TrainSettings(), each_alone=True)
        groups = cut_alone(repository, index, vocabulary, choice, 0, lambda _: None)
    found: dict[str, list[str]] = {path: [] for path in choice.learned}
    for group in groups:
        found[group.path].append(repr(group))
    return found


def committed(root, files):
    """The repository."""
    make_repository(root, files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    return root


@pytest.mark.process
def test_what_is_cut_of_a_file_is_the_same_whatever_other_files_there_are(tmp_path, monkeypatch):
    """Files go that are called, that call others, and one that another one is a copy of."""
    monkeypatch.setenv("CODEBUDDY_INDEX_EMBEDDER", "none")
    vocabulary = open_vocabulary(write_base(tmp_path / "tiny.gguf"))
    files = house_files() | {"house/twin.py": house_files()["house/refunds.py"]}
    whole = groups_by_file(committed(tmp_path / "whole" / "house", files), vocabulary)
    assert sum(map(len, whole.values())) > 12
    for number, gone in enumerate(("house/ledger.py", "house/quotes.py", "house/twin.py")):
        rest = {name: text for name, text in files.items() if name != gone}
        root = committed(tmp_path / f"without-{number}" / "house", rest)
        expected = {path: groups for path, groups in whole.items() if path != gone}
        assert groups_by_file(root, vocabulary) == expected, gone


def test_the_heads_gradients_are_clipped_rows(monkeypatch):
    """By hand, of one row; never longer than the clipping; noise alone moves an empty draw."""
    rows = synthetic_examples(80)
    scales = scales_of(rows)
    data = data_of(rows, scales)
    head = head_to_start_from()
    assert head.confidence is not None
    weights = weights_of([head.syntax, head.confidence], scales)
    by_hand = []
    for number in range(len(STAGES)):
        x, y = data.inputs[number][7], data.helped[number][7]
        by_hand.append((1 / (1 + math.exp(-float(x @ weights[number]))) - y) * x)
    length = math.sqrt(sum(float(each @ each) for each in by_hand))
    found = clipped(weights, data, [7], 1e9)
    assert np.allclose(np.concatenate(found), np.concatenate(by_hand))
    found = clipped(weights, data, [7], length / 3)
    assert math.sqrt(sum(float(e @ e) for e in found)) == pytest.approx(length / 3)

    units = [[n] for n in range(80)]
    learned = train_weights(weights, data, units, plan(noise=1e-6))
    assert loss_of(learned, data) < loss_of(weights, data)
    monkeypatch.setattr("codebuddy.training.head.private.draw", lambda *_: [])
    moved = train_weights(weights, data, units, plan(noise=1.0))
    assert not np.allclose(moved[0], weights[0])


def plan(noise: float) -> Plan:
    """Sixty steps over a quarter of eighty units."""
    return Plan("example", 80, 1.0, 1e-3, 0.25, 60, noise, 1.0)


def loss_of(weights, data) -> float:
    """The mean log loss of the first stage."""
    sign = 2 * data.helped[0] - 1
    return float(np.mean(np.log1p(np.exp(-sign * (data.inputs[0] @ weights[0])))))


@pytest.mark.slow
@pytest.mark.process
def test_a_repositorys_adapter_is_trained_privately_and_says_what_was_spent(house, monkeypatch):
    """The card has epsilon, delta and unit; A is as it was drawn; no prompt shows another file."""
    pytest.importorskip("opacus")
    # Searching for the noise takes longest, and has a test of its own.
    fixed = plan(noise=2.0)
    monkeypatch.setattr(
        private,
        "plan_for",
        lambda goal, units, *_: dataclasses.replace(
            fixed, unit=goal.unit, units=units, epsilon=8.0, rate=0.5, steps=6, clip=0.1
        ),
    )
    monkeypatch.setattr(judging, "PER_KIND", 4)
    monkeypatch.setattr(cutting, "LIBRARY_GROUPS", 2)
    drawn = random.Random(1)
    monkeypatch.setattr(
        private, "draw", lambda n, rate: [at for at in range(n) if drawn.random() < rate]
    )
    told: list[str] = []
    around, base, folder = make_around(house, told)
    outcome = train_adapter(around, base, Options(0.1, privacy=Goal(8.0, "file")))
    assert outcome.trained is not None
    assert outcome.trained.privacy is not None
    assert outcome.trained.privacy["unit"] == "file"
    assert 0 < outcome.trained.privacy["epsilon"] <= 8
    assert any("private training: epsilon" in each for each in told)
    assert "-private" in outcome.name
    card = find(folder, outcome.name).card
    assert card["made_by"]["privacy"] == outcome.trained.privacy
    assert outcome.as_json()["privacy"]["accountant"] == "prv"
