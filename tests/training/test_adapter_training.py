"""Training of adapters: a tiny base of random weights, trained, exported, and run by llama.cpp."""

from __future__ import annotations

import ctypes
import random
import subprocess
from argparse import Namespace

import numpy as np
import pytest

from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.gguf import read_header
from codebuddy.inference.llama_library import load_library
from codebuddy.training.adapter.__main__ import END_TOKEN, PARTS, cut, train_all
from codebuddy.training.adapter.base_model import LINEAR, load_base
from codebuddy.training.adapter.export import adapter_weights, write_adapter
from codebuddy.training.adapter.fit import (
    AdapterConfig,
    TrainingPlan,
    add_adapters,
    batches,
    collate,
    generate,
    middle_losses,
    read_prompt,
    train,
)
from tests.conftest import DEFAULT_MODEL
from tests.support.tiny_model import HEADS, KV_HEADS, LAYERS, N_TOKENS, write_base

# peft asks transformers for what that will drop.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

# Of the tiny model's vocabulary: 256 bytes, five tokens of filling in, the end of a text.
MIDDLE, END = 258, N_TOKENS - 1
ANSWER = [77, 88, 99, END]
BOTH = (
    AdapterConfig("small", 4, ("o_proj", "down_proj"), 3e-2),
    AdapterConfig("all", 8, tuple(LINEAR), 3e-2),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The model is so small that threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base_file(tmp_path_factory):
    """A qwen2 model of two layers with random weights."""
    return write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(scope="module")
def samples():
    """Prompts of random tokens, of several lengths, that all go on with the same answer."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 40, size=120)
    return [(np.append(rng.integers(0, 256, size=n), MIDDLE), np.array(ANSWER)) for n in lengths]


def trained(base_file, samples, steps=60, state=None):
    """The model with both adapters after some steps, and the losses on the way."""
    import torch

    torch.manual_seed(0)
    model = add_adapters(load_base(base_file), BOTH)
    told = []
    done = train(
        model,
        BOTH,
        samples,
        TrainingPlan(batch_tokens=400, seed=2, steps=steps, state=state),
        "cpu",
        lambda _step, _share, losses: told.append(
            {name: float(loss) for name, loss in losses.items()}
        ),
    )
    return model, told, done


@pytest.fixture(scope="module")
def result(base_file, samples):
    """What `trained` gives, once for all tests."""
    return trained(base_file, samples)


@pytest.mark.slow
def test_every_adapter_learns_over_one_reading_of_the_prompt(result, samples):
    """Each writes the answer; the base does not, and its keys and values are as before."""
    import torch

    model, told, (steps, left_out) = result
    assert (steps, left_out) == (60, 0)
    batch = collate(samples[:6], "cpu")
    cache = read_prompt(model, batch)
    with torch.no_grad():
        before = float(middle_losses(model, batch, cache, has_adapter=False).mean())
    for config in BOTH:
        assert told[-1][config.name] < told[0][config.name] / 2
        model.set_adapter(config.name)
        again = read_prompt(model, batch)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(cache, again, strict=True))
        with torch.no_grad():
            assert float(middle_losses(model, batch, cache).mean()) < before / 2
    model.set_adapter("all")
    rows, logprobs, entropy = generate(model, batch, cache, 8, [END], has_adapter=True)
    assert rows == [ANSWER[:-1]] * 6
    assert [len(each) for each in logprobs] == [3] * 6
    assert len(entropy) == 6
    assert generate(model, batch, cache, 8, [END], [88], has_adapter=True)[0] == [[77, 88]] * 6
    assert generate(model, batch, cache, 8, [END], has_adapter=False)[0] != rows


def test_padding_changes_nothing(result, samples):
    """A row's loss is the same alone and beside longer ones."""
    import torch

    model, _, _ = result
    model.set_adapter("all")
    short, long = (pick(samples, key=lambda each: len(each[0])) for pick in (min, max))
    losses = []
    for rows in ([short], [long, short]):
        batch = collate(rows, "cpu")
        with torch.no_grad():
            losses.append(float(middle_losses(model, batch, read_prompt(model, batch))[-1]))
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


def test_the_same_seed_gives_the_same_adapter(result, base_file, samples):
    """Bit for bit, on one machine."""
    first = adapter_weights(result[0], "all")
    second = adapter_weights(trained(base_file, samples)[0], "all")
    assert first.keys() == second.keys()
    assert len(first) == LAYERS * len(LINEAR)
    for place, (a, b) in first.items():
        assert np.array_equal(a, second[place][0])
        assert np.array_equal(b, second[place][1])


def test_llama_cpp_says_the_same_with_the_adapter_on(result, base_file, samples, tmp_path):
    """The prompt is read without it; from the middle token on it acts, as it was trained."""
    import torch

    model, _, _ = result
    config = BOTH[1]
    file = tmp_path / "adapter.gguf"
    weights = adapter_weights(model, config.name)
    write_adapter(file, weights, "qwen2", config.rank * config.scaling)
    prompt, answer = samples[0]
    batch = collate([samples[0]], "cpu")
    cache = read_prompt(model, batch)
    model.set_adapter(config.name)
    given = [int(prompt[-1]), *map(int, answer[:-1])]
    found = run_llama(base_file, file, [int(t) for t in prompt[:-1]], given)
    assert [int(row.argmax()) for row in found] == ANSWER
    # The middle's losses, in both.
    log = torch.log_softmax(torch.tensor(np.array(found)), -1)
    theirs = -float(log[range(4), ANSWER].mean())
    with torch.no_grad():
        ours = float(middle_losses(model, batch, cache)[0])
    assert theirs == pytest.approx(ours, abs=0.05)
    without = run_llama(base_file, None, [int(t) for t in prompt[:-1]], given)
    assert np.abs(np.array(without) - np.array(found)).max() > 1


def test_the_rows_of_llama_are_put_in_its_order(samples, tmp_path):
    """The architecture of SmolLM2: torch and llama.cpp give the same logits with the adapter."""
    import torch

    base = write_base(tmp_path / "llama.gguf", architecture="llama")
    config = AdapterConfig("all", 4, tuple(LINEAR), 1e-3)
    torch.manual_seed(3)
    model = add_adapters(load_base(base), [config])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    weights, alpha = adapter_weights(model, config.name), config.rank * config.scaling
    file = tmp_path / "adapter.gguf"
    with pytest.raises(ValueError, match="numbers of heads"):
        write_adapter(file, weights, "llama", alpha)
    write_adapter(file, weights, "llama", alpha, (HEADS, KV_HEADS))
    prompt = [int(t) for t in samples[0][0] if t < 256]
    given = [65, 66, 67, 68]
    found = np.array(run_llama(base, file, prompt, given))
    # As llama.cpp: the prompt read without the adapter, the rest with it.
    with torch.no_grad():
        model.disable_adapter_layers()
        cache = model(torch.tensor([prompt]), use_cache=True).past_key_values
        model.enable_adapter_layers()
        model.set_adapter(config.name)
        ours = model(torch.tensor([given]), past_key_values=cache).logits[0].float().numpy()
    without = np.array(run_llama(base, None, prompt, given))
    # The weights are in bfloat16 there.
    assert np.abs(found - ours).mean() < 0.05 * np.abs(found - without).mean()


def test_a_run_that_was_stopped_goes_on_where_it_was(base_file, samples, tmp_path):
    """In two parts it ends with the weights of one that was never stopped."""
    import torch

    def run(state, stop_at=0):
        torch.manual_seed(0)
        model = add_adapters(load_base(base_file), BOTH)

        def on_step(step, _share, _losses):
            if step == stop_at:
                raise KeyboardInterrupt

        plan = TrainingPlan(batch_tokens=400, middle_tokens=40, seed=2, steps=12, state=state)
        done = train(model, BOTH, samples, plan, "cpu", on_step)
        return adapter_weights(model, "all"), done

    state = tmp_path / "run.state"
    with pytest.raises(KeyboardInterrupt):
        run(state, stop_at=8)
    resumed, done = run(state)
    whole, _ = run(None)
    assert done == (12, 0)
    for place, both in whole.items():
        for ours, other in zip(resumed[place], both, strict=True):
            np.testing.assert_array_equal(ours, other)


def test_a_run_goes_on_with_its_own_samples_and_options_alone(base_file, samples, tmp_path):
    """The file of another run is refused, and left as it is; no samples are an error at once."""
    state = tmp_path / "run.state"
    trained(base_file, samples, steps=5, state=state)
    kept = state.read_bytes()
    for other, steps in ((samples[1:], 5), (samples, 6)):
        with pytest.raises(ValueError, match=r"run\.state is of a run with other samples"):
            trained(base_file, other, steps=steps, state=state)
    assert state.read_bytes() == kept
    with pytest.raises(ValueError, match="no samples"):
        trained(base_file, [], steps=5)


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_the_command_writes_adapters_that_fit_their_base(tmp_path, samples, architecture):
    """What it trains for a model of either architecture can be used with that model."""
    base = write_base(tmp_path / "base.gguf", architecture=architecture)
    for part in PARTS:
        (tmp_path / "samples" / part).mkdir(parents=True)
        np.savez(
            tmp_path / "samples" / part / "a.npz",
            tokens=np.concatenate([np.concatenate(each) for each in samples[:20]]),
            prompt_lengths=[len(prompt) for prompt, _ in samples[:20]],
            middle_lengths=[len(middle) for _, middle in samples[:20]],
        )
    arguments = Namespace(
        work=tmp_path, base=base, minutes=1.0, device="cpu", rank=[4], rate=[1e-3], steps=2,
        batch_tokens=400, middle_tokens=40, max_prompt=448, max_middle=64,
    )  # fmt: skip
    train_all(arguments)
    adapter = read_adapter(tmp_path / "r4_0_001.gguf", read_header(base))
    assert (adapter.rank, adapter.alpha) == (4, 8.0)


@pytest.mark.model
def test_samples_end_with_a_token_that_ends_texts(base_file, tmp_path):
    """Another model's is told before anything is cut."""
    with pytest.raises(SystemExit, match="token 151643 ends no text"):
        cut(Namespace(work=tmp_path, base=base_file, end_token=END_TOKEN))
    cut(Namespace(work=tmp_path, base=base_file, end_token=END))


def test_batches_keep_to_both_limits(samples):
    """Neither the prompts nor the middles of a batch grow beyond what memory allows."""
    found = list(batches(samples, 120, random.Random(0), "cpu", 10))
    assert sum(len(each.prompt) for each in found) == len(samples)
    for each in found:
        assert each.prompt.numel() <= 120 or len(each.prompt) == 1
        assert each.middle.numel() <= 10


def test_what_is_no_number_is_neither_learned_nor_written(base_file, samples, tmp_path):
    """One bad batch is left out and counted; a base that gives nothing else ends the training."""
    import torch

    model = add_adapters(load_base(base_file), BOTH)
    with torch.no_grad():
        model.get_base_model().lm_head.weight[0] = float("nan")
    with pytest.raises(FloatingPointError, match="no finite loss"):
        train(
            model,
            BOTH,
            samples,
            TrainingPlan(batch_tokens=400, seed=2, steps=9),
            "cpu",
            lambda *_: None,
        )
    weights = adapter_weights(model, "all")
    assert all(np.isfinite(a).all() and np.isfinite(b).all() for a, b in weights.values())
    place = next(iter(weights))
    broken = {place: (np.full_like(weights[place][0], np.inf), weights[place][1])}
    with pytest.raises(ValueError, match=r"blk\.0\..* no finite number"):
        write_adapter(tmp_path / "a.gguf", broken, "qwen2", 16)
    assert not (tmp_path / "a.gguf").exists()


def run_llama(base, adapter, prompt, given):
    """Logits after each token of `given`, behind `prompt`, which is read without the adapter."""
    llama = load_library()
    model = llama.llama_model_load_from_file(str(base).encode(), llama.llama_model_default_params())
    assert model
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads = 256, 256, 256, 1
    context = llama.llama_init_from_model(model, params)
    loaded = None
    try:
        decode(llama, context, prompt)
        if adapter is not None:
            loaded = llama.llama_adapter_lora_init(model, str(adapter).encode())
            assert loaded
            one = (llama.llama_adapter_lora_p_ctypes * 1)(loaded)
            assert llama.llama_set_adapters_lora(context, one, 1, (ctypes.c_float * 1)(1.0)) == 0
        rows = []
        for token in given:
            decode(llama, context, [token])
            pointer = llama.llama_get_logits_ith(context, -1)
            rows.append(np.ctypeslib.as_array(pointer, shape=(N_TOKENS,)).copy())
        return rows
    finally:
        llama.llama_free(context)
        llama.llama_model_free(model)


def decode(llama, context, tokens):
    """Evaluate tokens behind what the context holds."""
    array = (llama.llama_token * len(tokens))(*tokens)
    assert llama.llama_decode(context, llama.llama_batch_get_one(array, len(tokens))) == 0


@pytest.mark.model
def test_samples_are_the_files_of_a_repository_cut_in_two(tmp_path):
    """Each prompt is that of a completion, and its middle is what stood at the cursor."""
    from codebuddy.index.build import update_index
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.inference.vocabulary import open_vocabulary
    from codebuddy.settings import IndexSettings, Settings
    from codebuddy.training.adapter.samples import cut_samples
    from codebuddy.vcs.repository import open_repository

    root = tmp_path / "shop"
    root.mkdir()
    for name in ("cart", "prices", "orders"):
        lines = [
            f"def {name}_{n}(amounts, rate):\n    total = sum(amounts) * rate\n"
            f"    checked = check(total, len(amounts))\n    return round(checked, {n})\n"
            for n in range(12)
        ]
        (root / f"{name}.py").write_text("\n\n".join(lines))
    git = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    repository, settings = open_repository(root), Settings(index=IndexSettings(embedder="none"))
    update_index(repository, settings)
    vocabulary = open_vocabulary(DEFAULT_MODEL)
    with RepositoryIndex.open(repository, settings) as index:
        samples = list(cut_samples(repository, index, vocabulary, 151643, 60, 1))
    assert len(samples) > 30
    assert {"line", "block", "inner", "word"} <= {each.kind for each in samples}
    fim = vocabulary.fim
    assert any(fim.separator in each.prompt[:-1] for each in samples)
    assert fim.prefix is not None
    assert fim.suffix is not None

    def text(tokens):
        return b"".join(map(vocabulary.piece, tokens)).decode()

    for sample in samples:
        assert sample.prompt[-1] == fim.middle
        assert sample.middle[-1] == 151643
        assert vocabulary.is_end(sample.middle[-1])
        begin, end = sample.prompt.index(fim.prefix), sample.prompt.index(fim.suffix)
        before = text(sample.prompt[begin + 1 : end])
        after = text(sample.prompt[end + 1 : -1])
        whole = before + text(sample.middle[:-1]) + after
        assert whole in (root / sample.path).read_text()
        if sample.kind == "inner":
            assert after[0] in ")]}\"'`"
