"""An adapter on a loaded model: it acts from the middle on, leaves no trace, and comes and goes."""

from __future__ import annotations

import numpy as np
import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, ModelError, SupersededError
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.llama import LlamaGenerator
from codebuddy.settings import ModelSettings
from codebuddy.training.adapter.export import write_adapter
from tests.support.tiny_model import PARTS, fim_prompt, write_base, write_random_adapter

pytestmark = pytest.mark.model

LENGTH = 12


@pytest.fixture(scope="module")
def base_file(tmp_path_factory):
    """A tiny model's file."""
    return write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")


def load(base_file):
    """A generator that has seen nothing."""
    return LlamaGenerator(base_file, "tiny", ModelSettings(n_ctx=512, threads=1))


@pytest.fixture
def generator(base_file):
    """The same, closed afterwards."""
    made = load(base_file)
    yield made
    made.close()


@pytest.fixture
def adapters(generator, tmp_path):
    """Two adapters of the tiny model."""
    return [
        read_adapter(write_random_adapter(tmp_path / f"{n}.gguf", seed=n), generator.header)
        for n in (1, 2)
    ]


def run(generator, tokens, adapter=None, **options):
    """Text, log probabilities of its tokens, and what it cost."""
    stats = GenerationStats()
    how = GenerationSettings(**{"max_tokens": LENGTH, "adapter": adapter, **options})
    text = "".join(generator.generate(tokens, how, stats))
    return text, tuple(stats.token_logprobs), stats


def fresh(base_file, tokens, adapter=None, **options):
    """The same by a generator of its own."""
    generator = load(base_file)
    try:
        return run(generator, tokens, adapter, **options)
    finally:
        generator.close()


def test_without_an_adapter_it_is_the_base_bit_for_bit(generator, base_file, adapters):
    """Also where one was loaded and has acted: with an empty cache, the same tokens and numbers."""
    tokens = fim_prompt(generator)
    expected = fresh(base_file, tokens)[:2]
    adapted = run(generator, tokens, adapters[0])[:2]
    generator.kv.clear()
    assert run(generator, tokens)[:2] == expected
    assert adapted != expected


def test_swaps_leave_no_trace(generator, base_file, adapters):
    """Any order of base and two adapters: each answers as in a process of its own."""
    one, two = adapters
    prompts = [fim_prompt(generator), fim_prompt(generator, "def add(a, b):\n    return a")]
    for tokens in prompts:
        expected = {each: fresh(base_file, tokens, each)[0] for each in (None, one, two)}
        assert len(set(expected.values())) == 3
        for each in (one, None, two, one, one, None, two, None, None):
            text, _, stats = run(generator, tokens, each)
            assert text == expected[each]
            assert stats.evaluated_tokens + stats.reused_tokens == len(tokens)


def test_base_and_adapter_share_the_prompt(generator, adapters):
    """Only the token that asks for the middle is evaluated again."""
    tokens = fim_prompt(generator)
    assert run(generator, tokens)[2].evaluated_tokens == len(tokens)
    for adapter in (adapters[0], None, adapters[1], adapters[0], None):
        stats = run(generator, tokens, adapter)[2]
        assert (stats.evaluated_tokens, stats.reused_tokens) == (1, len(tokens) - 1)


def test_what_stands_behind_the_middle_token_is_of_one_adapter(generator, base_file, adapters):
    """The beginning of a middle that a client wrote: its cells are never another's."""
    tokens = [*fim_prompt(generator), *generator.tokenize("return a")]
    for each in (None, adapters[0], adapters[1], None, adapters[0]):
        assert run(generator, tokens, each)[0] == fresh(base_file, tokens, each)[0]


def test_a_prompt_without_a_middle_is_the_bases(generator, base_file, adapters):
    """What only continues a text knows no adapter."""
    tokens = generator.tokenize("def add(a, b):\n    ")
    assert run(generator, tokens, adapters[0])[:2] == fresh(base_file, tokens)[:2]


def test_sampling_and_drafts_are_the_adapters(generator, base_file, adapters):
    """Sampled texts and drafted ones follow the adapted probabilities."""
    tokens = fim_prompt(generator, "abcabcabcabcabcabc" * 4)
    sampled = {"temperature": 1.0, "seed": 3}
    assert run(generator, tokens, adapters[0], **sampled)[0] != run(generator, tokens, **sampled)[0]
    with_drafts = run(generator, tokens, adapters[0], max_tokens=60)
    without = run(generator, tokens, adapters[0], max_tokens=60, has_drafts=False)
    assert with_drafts[0] == without[0]
    assert np.allclose(with_drafts[1], without[1], atol=1e-4)


def test_typing_shifts_the_suffix_with_an_adapter(generator, adapters):
    """The run that is moved ends before the middle."""
    suffix = "\n\ndef total(items):\n    return sum(items)\n" * 2
    run(generator, fim_prompt(generator, "x = ", suffix), adapters[0], is_typing=True)
    tokens = fim_prompt(generator, "x = 1 + ", suffix)
    stats = run(generator, tokens, adapters[0], is_typing=True)[2]
    assert stats.shifted_tokens == len(generator.tokenize(suffix))
    assert generator.kv.held == tokens[:-1]


def test_prewarming_reads_the_prompt_of_both(generator, adapters):
    """With nothing to write, what is before the middle is read."""
    tokens = fim_prompt(generator)
    run(generator, tokens, adapters[0], max_tokens=0)
    assert run(generator, tokens)[2].evaluated_tokens == 1


@pytest.mark.parametrize("pieces", [0, 3])
def test_cancellation_leaves_it_off(generator, base_file, adapters, pieces):
    """Before the first token or in the middle of the text: the base answers next."""
    tokens = fim_prompt(generator)
    expected = fresh(base_file, tokens)[0]
    token = CancellationToken()
    how = GenerationSettings(LENGTH, adapter=adapters[0])
    running = generator.generate(tokens, how, GenerationStats(), token)
    for _ in range(pieces):
        next(running)
    token.cancel()
    with pytest.raises(SupersededError):
        list(running)
    assert run(generator, tokens)[0] == expected


def test_a_call_that_is_given_up_leaves_it_off(generator, base_file, adapters):
    """Closed early, at the end of its budget, or only after the next call has begun."""
    tokens = fim_prompt(generator)
    expected = {each: fresh(base_file, tokens, each)[0] for each in (None, adapters[0])}
    how = GenerationSettings(LENGTH, adapter=adapters[0])
    closed = generator.generate(tokens, how, GenerationStats())
    next(closed)
    closed.close()
    assert run(generator, tokens)[0] == expected[None]
    late = generator.generate(tokens, how, GenerationStats())
    next(late)
    assert run(generator, tokens)[0] == expected[None]
    assert run(generator, tokens, adapters[0])[0] == expected[adapters[0]]
    running = generator.generate(tokens, how, GenerationStats())
    first = next(running)
    late.close()
    assert first + "".join(running) == expected[adapters[0]]
    assert run(generator, tokens)[0] == expected[None]


def test_a_saved_state_holds_nothing_that_an_adapter_changed(
    generator, base_file, adapters, tmp_path
):
    """Taken up by the next process, it serves base and adapter, each with its own text."""
    tokens = fim_prompt(generator)
    expected = {each: fresh(base_file, tokens, each)[0] for each in (None, adapters[0])}
    run(generator, tokens, adapters[0])
    assert generator.kv.held == tokens[:-1]
    assert generator.save_state(tmp_path / "state.kv")
    for each, text in expected.items():
        resumed = load(base_file)
        try:
            assert resumed.load_state(tmp_path / "state.kv")
            found, _, stats = run(resumed, tokens, each)
        finally:
            resumed.close()
        assert found == text
        assert stats.evaluated_tokens == 1


def test_an_adapter_is_read_once(generator, adapters):
    """Its file may go afterwards; a third one pushes the oldest out."""
    tokens = fim_prompt(generator)
    expected = run(generator, tokens, adapters[0])[0]
    adapters[0].path.unlink()
    run(generator, tokens, adapters[1])
    assert run(generator, tokens, adapters[0])[0] == expected


def test_a_file_that_changed_after_the_check_is_refused(generator, base_file, adapters):
    """The bytes that llama.cpp reads are those that were checked; the base still answers."""
    tokens = fim_prompt(generator)
    expected = fresh(base_file, tokens)[0]
    write_random_adapter(adapters[0].path, seed=9)
    with pytest.raises(ModelError, match="changed after it was checked"):
        run(generator, tokens, adapters[0])
    adapters[1].path.write_bytes(b"no GGUF")
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load it"):
        run(generator, tokens, adapters[1])
    assert run(generator, tokens)[0] == expected


@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_numbers_that_overflow_are_an_error(generator, base_file, tmp_path, temperature):
    """Each weight is in bounds, their product is not: no token would be certain."""
    tokens = fim_prompt(generator)
    file = write_random_adapter(tmp_path / "large.gguf", scale=150.0)
    adapter = read_adapter(file, generator.header)
    with pytest.raises(GenerationError, match="no number"):
        run(generator, tokens, adapter, temperature=temperature)
    assert run(generator, tokens)[0] == fresh(base_file, tokens)[0]


@pytest.mark.slow
def test_the_default_model_takes_an_adapter(default_model, tmp_path):
    """Real weights: off is the base's text, on another one, over the same prompt."""
    header = default_model.header
    shapes = {t.name.removesuffix(".weight"): t.dimensions for t in header.tensors}
    rng = np.random.default_rng(0)
    weights = {
        place: (rng.standard_normal((8, columns)) * 0.1, rng.standard_normal((rows, 8)) * 0.1)
        for block in range(header.n_layers)
        for place in (f"blk.{block}.{part}" for part in PARTS)
        for columns, rows in [shapes[place]]
    }
    write_adapter(tmp_path / "noise.gguf", weights, "qwen2", 16.0)
    adapter = read_adapter(tmp_path / "noise.gguf", header)
    tokens = fim_prompt(default_model, "def subtract(a, b):\n    return", "\n\nsubtract(3, 1)\n")
    default_model.kv.clear()
    before = run(default_model, tokens, max_tokens=4)
    adapted = run(default_model, tokens, adapter, max_tokens=4)
    again = run(default_model, tokens, max_tokens=4)
    assert before[0] == again[0]
    assert adapted[0] != before[0]
    assert adapted[2].evaluated_tokens == again[2].evaluated_tokens == 1
    default_model.kv.clear()
    assert run(default_model, tokens, max_tokens=4)[:2] == before[:2]
