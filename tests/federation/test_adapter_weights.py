"""The mean of adapters, without Flower: exact before the rank cuts it, and best after."""

from __future__ import annotations

import numpy as np
import pytest

from codebuddy.federation.adapter_weights import averaged, norm, parts_of, scaled
from codebuddy.inference.gguf import read_header
from codebuddy.training.adapter.export import read_matrices, write_adapter
from tests.support.tiny_model import random_weights, write_base

RANK = 4


def made(seed, shapes=((30, 26), (28, 24))):
    random = np.random.default_rng(seed)
    return [
        random.standard_normal(each).astype(np.float32)
        for out, wide in shapes
        for each in ((RANK, wide), (out, RANK))
    ]


def products(weights):
    pairs = zip(weights[::2], weights[1::2], strict=True)
    return [b.astype(float) @ a.astype(float) for a, b in pairs]


def test_the_mean_is_that_of_the_products_and_not_of_the_factors():
    """Three clients of unequal size; with room for all of them nothing is lost."""
    clients = [(made(seed), count) for seed, count in ((1, 1), (2, 2), (3, 5))]
    wanted = [
        sum(count / 8 * products(weights)[place] for weights, count in clients) for place in (0, 1)
    ]
    found, lost = averaged(clients, 3 * RANK)
    assert lost == pytest.approx(0, abs=1e-9)
    for ours, theirs in zip(products(found), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)
    naive = [sum(n / 8 * w[at] for w, n in clients) for at in range(4)]
    assert np.abs(products(naive)[0] - wanted[0]).max() > 0.2


def test_what_the_rank_cuts_is_the_least_and_is_told():
    """The best that the rank can do, by the singular values of the mean itself."""
    clients = [(made(seed), 1) for seed in range(3)]
    found, lost = averaged(clients, RANK)
    mean = [sum(products(w)[place] for w, _ in clients) / 3 for place in (0, 1)]
    values = [np.linalg.svd(each, compute_uv=False) for each in mean]
    cut = sum(float((each[RANK:] ** 2).sum()) for each in values)
    assert lost == pytest.approx(cut / sum(float((each**2).sum()) for each in values), rel=1e-6)
    pairs = zip(products(found), mean, strict=True)
    away = sum(float(((ours - each) ** 2).sum()) for ours, each in pairs)
    assert away == pytest.approx(cut, rel=0.02)
    assert [each.shape for each in found] == [each.shape for each in clients[0][0]]


def test_a_norm_is_that_of_what_the_adapter_does():
    """And scaling it scales that."""
    weights = made(5)
    wanted = np.sqrt(sum(float((each**2).sum()) for each in products(weights)))
    assert norm(weights) == pytest.approx(wanted)
    assert norm(scaled(weights, 0.25)) == pytest.approx(0.25 * wanted)


def test_one_alone_stays_what_it_is():
    """But for halves of a digit."""
    weights = made(7)
    found, lost = averaged([(weights, 3)], RANK)
    assert lost == pytest.approx(0, abs=1e-12)
    for ours, theirs in zip(products(found), products(weights), strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_matrices_of_a_file_are_those_that_its_base_asks_for(tmp_path, architecture):
    """Read, sent, written: the same numbers; whatever is none is refused."""
    base = read_header(write_base(tmp_path / "base.gguf", architecture=architecture))
    file = tmp_path / "own.gguf"
    write_adapter(file, random_weights(rank=8), architecture, 16.0, heads=(4, 2))
    held = read_matrices(file)
    parts = parts_of(base, 8)
    assert sorted(held) == list(parts.names)
    weights = [each for name in parts.names for each in held[name]]
    assert parts.are_of(weights)
    again = tmp_path / "again.gguf"
    write_adapter(again, held, architecture, 16.0, is_permuted=True)
    back = read_matrices(again)
    for name in parts.names:
        assert all((a == b).all() for a, b in zip(back[name], held[name], strict=True))
    infinite = [*weights[:-1], np.full_like(weights[-1], np.inf)]
    huge = [*weights[:-1], np.full_like(weights[-1], 2_000)]
    for broken in ([], weights[:-1], infinite, huge, weights[::-1], [*weights[:-1], "text"]):
        assert not parts.are_of(broken)
    assert not parts_of(base, 4).are_of(weights)
