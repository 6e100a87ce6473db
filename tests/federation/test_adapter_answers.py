"""Answers of a server or a client that make no sense, without a training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from codebuddy.federation.adapter_part import AdapterClient
from codebuddy.federation.adapter_strategy import AdapterStrategy
from codebuddy.federation.adapter_weights import Parts
from codebuddy.federation.flower import flower
from codebuddy.federation.strategy import Rules

pytestmark = pytest.mark.filterwarnings("ignore")

PARTS = Parts(("blk.0.attn_q",), ((2, 3), (3, 2)), 2)


def made(value: float) -> list[np.ndarray]:
    return [np.full(shape, value, np.float16) for shape in PARTS.shapes]


def answers(*given: tuple[float, int]) -> list[tuple[SimpleNamespace, object]]:
    common = flower("flwr.common")
    status = common.Status(common.Code.OK, "")
    return [
        (
            SimpleNamespace(cid=str(at)),
            common.FitRes(status, common.ndarrays_to_parameters(made(value)), count, {}),
        )
        for at, (value, count) in enumerate(given)
    ]


def strategy() -> AdapterStrategy:
    return AdapterStrategy(Rules(n_rounds=9, min_clients=2, norm_bound=1e12), PARTS, "")


def test_a_mean_with_absurd_numbers_is_not_taken():
    """The weights stay those of the round before; what was lost stands under its round."""
    found = strategy()
    found.aggregate_fit(2, answers((1.0, 1), (1.0, 1)), [])
    assert list(found.lost) == [2]
    before = [each.copy() for each in found.weights]
    found.aggregate_fit(3, answers((999.0, 1), (999.0, 1)), [])
    assert all(np.array_equal(a, b) for a, b in zip(found.weights, before, strict=True))
    assert list(found.lost) == [2]


def test_no_client_outweighs_all_by_its_word():
    """Beyond some thousand stretches of code its number counts no more."""
    said, capped = strategy(), strategy()
    said.aggregate_fit(1, answers((1.0, 10**9), (2.0, 4_000)), [])
    capped.aggregate_fit(1, answers((1.0, 4_000), (2.0, 4_000)), [])
    assert all(np.array_equal(a, b) for a, b in zip(said.weights, capped.weights, strict=True))


def test_without_an_aggregate_nobody_is_asked_to_judge():
    """No round counted."""
    everybody = SimpleNamespace(all=lambda: {"0": object()})
    assert strategy().configure_evaluate(9, None, everybody) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"junk"])
def test_bytes_of_a_server_that_are_no_numbers_cost_the_answer_alone(content):
    """The client says why, and lives."""
    common = flower("flwr.common")
    part = SimpleNamespace(learn=lambda _: pytest.fail("begun"), n_examples=1)
    client = AdapterClient(part)  # type: ignore[arg-type]
    parameters = common.Parameters([content], "numpy.ndarray")
    answer = client.fit(common.FitIns(parameters, {}))
    assert answer.status.code == common.Code.FIT_NOT_IMPLEMENTED
    assert "no numbers" in client.problem
    client.evaluate(common.EvaluateIns(parameters, {}))
