"""Training of adapters: a tiny base of random weights, trained, exported, and run by llama.cpp."""

from __future__ import annotations

import ctypes
import dataclasses
import random
import subprocess
from argparse import Namespace

import numpy as np
import pytest

from codebuddy.inference import hardware
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.gguf import read_header
from codebuddy.inference.llama_library import load_library
from codebuddy.training.adapter import corpus, run_state
from codebuddy.training.adapter.__main__ import PARTS, cut, train_all
from codebuddy.training.adapter.base_model import LINEAR, load_base, number_type
from codebuddy.training.adapter.export import adapter_weights, take_up_weights, write_adapter
from codebuddy.training.adapter.fit import (
    AdapterConfig,
    TrainingPlan,
    add_adapters,
    judge,
    middle_losses,
    read_prompts,
    train,
)
from codebuddy.training.adapter.packing import Branch, SampleGroup, pack_middles, pack_prompts
from codebuddy.training.adapter.sample_file import (
    Endings,
    read_endings,
    read_groups,
    write_endings,
    write_groups,
)
from codebuddy.training.own import fitting
from codebuddy.training.own.cutting import PARTS as OWN_PARTS
from codebuddy.training.own.cutting import Samples
from codebuddy.training.own.pausing import PausableClock
from codebuddy.training.packages import Package
from tests.conftest import DEFAULT_MODEL
from tests.support.tiny_model import HEADS, KV_HEADS, LAYERS, N_TOKENS, write_base

# peft asks transformers for what that will drop.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

# Of the tiny model's vocabulary: 256 bytes, five tokens of filling in, the end of a text.
MIDDLE, END = 258, N_TOKENS - 1
ANSWER = (77, 88, 99)
ENDINGS = Endings((END,), {b"": (10,), b")": (20, 21)})
PACKAGE = Package("pypi", "a", "1", "MIT")
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
def groups():
    """Random tokens of several lengths, with three holes each that all hold the same answer."""
    rng = np.random.default_rng(1)

    def some(low, high):
        return rng.integers(0, 256, size=rng.integers(low, high)).tolist()

    found = []
    for n in range(40):
        trunk = some(8, 40)
        branches = [
            Branch("line", at, at + 1, shared, [*some(0, 9), MIDDLE], ANSWER, None)
            for at, shared in enumerate(sorted(rng.integers(1, len(trunk) + 1, size=3).tolist()))
        ]
        found.append(SampleGroup(f"{n}.py", "python", trunk, tuple(branches)))
    return found


def trained(base_file, groups, steps=60, state=None):
    """The model with both adapters after some steps, and the losses on the way."""
    import torch

    torch.manual_seed(0)
    model = add_adapters(load_base(base_file), BOTH)
    told = []
    done = train(
        model,
        BOTH,
        groups,
        ENDINGS,
        TrainingPlan(seed=2, steps=steps, state=state),
        "cpu",
        lambda _step, _share, losses: told.append(losses),
    )
    return model, told, done


def test_a_base_is_computed_in_what_is_fast_and_fits(monkeypatch):
    """float32 takes twice the memory, and is faster on a CPU unless that has AMX."""
    import torch

    parameters = 1_000_000_000
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(hardware, "available_bytes", lambda: 10 * parameters)
    assert number_type("cpu", parameters) is torch.float32
    assert number_type("cuda", parameters) is torch.bfloat16
    monkeypatch.setattr(hardware, "available_bytes", lambda: 8 * parameters)
    assert number_type("cpu", parameters) is torch.bfloat16
    monkeypatch.setattr(hardware, "available_bytes", lambda: 10 * parameters)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert number_type("cpu", parameters) is torch.bfloat16


@pytest.fixture(scope="module")
def result(base_file, groups):
    """What `trained` gives, once for all tests."""
    return trained(base_file, groups)


@pytest.mark.slow
def test_every_adapter_learns_over_one_reading_of_the_prompts(result, groups):
    """Each writes the answer; the base does not, and its keys and values are as before."""
    import torch

    model, told, (steps, left_out) = result
    assert (steps, left_out) == (60, 0)
    before = read_prompts(model, groups[0], "cpu")
    judged = judge(model, ["", "small", "all"], groups[:4], ENDINGS, "cpu")
    assert {name: len(rows) for name, rows in judged.items()} == {"": 12, "small": 12, "all": 12}
    assert not any(row.is_greedy for row in judged[""])
    for config in BOTH:
        assert told[-1][config.name] < told[0][config.name] / 2
        rows = judged[config.name]
        assert all(row.is_greedy for row in rows)
        assert sum(row.text for row in rows) < sum(row.text for row in judged[""]) / 2
        assert sum(row.end for row in rows) < sum(row.end for row in judged[""]) / 2
        model.set_adapter(config.name)
        again = read_prompts(model, groups[0], "cpu")
        assert all(
            torch.equal(a[0], b[0]) for a, b in zip(before.layers, again.layers, strict=True)
        )


def test_a_packed_hole_costs_what_it_costs_alone(result, groups):
    """Trunk and neighbours change nothing: neither what it may see nor where it stands."""
    import torch

    model, _, _ = result
    model.set_adapter("all")
    for group in groups[:4]:
        with torch.no_grad():
            packed = middle_losses(model, group, read_prompts(model, group, "cpu"), ENDINGS)
            for branch, loss in zip(group.branches, packed, strict=True):
                whole = [*group.trunk[: branch.shared], *branch.prompt]
                alone = dataclasses.replace(
                    group,
                    trunk=whole[:1],
                    branches=(dataclasses.replace(branch, shared=1, prompt=whole[1:]),),
                )
                (found,) = middle_losses(model, alone, read_prompts(model, alone, "cpu"), ENDINGS)
                assert float(found.text.sum()) == pytest.approx(float(loss.text.sum()), abs=0.1)
                assert float(found.end) == pytest.approx(float(loss.end), abs=0.1)


def test_each_token_sees_its_own_prompt_alone():
    """In one row: trunk, then branches, each behind its own part of the trunk."""
    branches = (
        Branch("line", 0, 1, 2, [30, MIDDLE], [40], None),
        Branch("line", 5, 6, 3, [31, 32, MIDDLE], [41, 42], None),
    )
    group = SampleGroup("a.py", "python", [10, 11, 12], branches)
    prompts = pack_prompts(group)
    assert prompts.tokens.tolist() == [10, 11, 12, 30, 31, 32]
    assert prompts.positions.tolist() == [0, 1, 2, 2, 3, 4]
    seen = [prompts.tokens[row].tolist() for row in prompts.mask]
    assert seen[2:] == [[10, 11, 12], [10, 11, 30], [10, 11, 12, 31], [10, 11, 12, 31, 32]]
    middles = pack_middles(group, prompts)
    assert middles.tokens.tolist() == [MIDDLE, 40, MIDDLE, 41, 42]
    assert middles.positions.tolist() == [3, 4, 5, 6, 7]
    both = np.concatenate([prompts.tokens, middles.tokens])
    assert both[middles.mask[1]].tolist() == [10, 11, 30, MIDDLE, 40]
    assert both[middles.mask[4]].tolist() == [10, 11, 12, 31, 32, MIDDLE, 41, 42]


def test_any_token_that_ends_a_middle_is_right(result, groups):
    """What ends a line may hold the line's last characters and what follows the break."""
    import torch

    assert ENDINGS.tokens_for(None) == (END,)
    assert ENDINGS.tokens_for("") == (10, END)
    assert ENDINGS.tokens_for(")") == (20, 21)
    model, _, _ = result
    group = groups[0]
    ends = []
    for ending in (")", None):
        branches = tuple(dataclasses.replace(each, ending=ending) for each in group.branches)
        changed = dataclasses.replace(group, branches=branches)
        with torch.no_grad():
            reading = read_prompts(model, changed, "cpu")
            found = middle_losses(model, changed, reading, ENDINGS, has_adapter=False)
        ends.append([float(each.end) for each in found])
    ways = Endings((20,), {}), Endings((21,), {})
    with torch.no_grad():
        reading = read_prompts(model, group, "cpu")
        single = [
            [
                float(each.end)
                for each in middle_losses(model, group, reading, way, has_adapter=False)
            ]
            for way in ways
        ]
    added = -np.log(np.exp(-np.array(single)).sum(0))
    assert ends[0] == pytest.approx(added.tolist(), abs=1e-3)
    assert ends[0] != pytest.approx(ends[1], abs=1e-3)


def test_groups_and_endings_come_back_from_their_files(groups, tmp_path):
    """With every place, length and token."""
    given = [
        dataclasses.replace(group, trunk=tuple(group.trunk), branches=group.branches)
        for group in groups[:3]
    ]
    write_groups(tmp_path / "a.npz", PACKAGE, given)
    found = read_groups(tmp_path / "a.npz")
    assert [list(each.trunk) for each in found] == [list(each.trunk) for each in given]
    for one, other in zip(found, given, strict=True):
        for a, b in zip(one.branches, other.branches, strict=True):
            assert dataclasses.replace(a, middle=tuple(a.middle)) == b
    pieces = [b"a", b"\n", b")\n", b")\n\n", b"", b"x\ny"]
    write_endings(tmp_path / "endings.json", pieces, [4])
    endings = read_endings(tmp_path / "endings.json")
    assert endings == Endings((4,), {b"": (1,), b")": (2, 3), b"x": (5,)})


@pytest.mark.parametrize("kept_bytes", [0, 10, 200, -300])
def test_damaged_samples_are_said_to_be_damaged(groups, tmp_path, kept_bytes):
    """Cut short by a lost power, at any place."""
    file = tmp_path / "a.npz"
    write_groups(file, PACKAGE, groups)
    file.write_bytes(file.read_bytes()[:kept_bytes])
    with pytest.raises(ValueError, match="are damaged"):
        read_groups(file)


def test_the_same_seed_gives_the_same_adapter(result, base_file, groups):
    """Bit for bit, on one machine."""
    first = adapter_weights(result[0], "all")
    second = adapter_weights(trained(base_file, groups)[0], "all")
    assert first.keys() == second.keys()
    assert len(first) == LAYERS * len(LINEAR)
    for place, (a, b) in first.items():
        assert np.array_equal(a, second[place][0])
        assert np.array_equal(b, second[place][1])


def test_llama_cpp_says_the_same_with_the_adapter_on(result, base_file, groups, tmp_path):
    """The prompt is read without it; from the middle token on it acts, as it was trained."""
    import torch

    model, _, _ = result
    config = BOTH[1]
    file = tmp_path / "adapter.gguf"
    weights = adapter_weights(model, config.name)
    write_adapter(file, weights, "qwen2", config.rank * config.scaling)
    group = groups[0]
    branch = group.branches[1]
    prompt = [*group.trunk[: branch.shared], *branch.prompt[:-1]]
    model.set_adapter(config.name)
    given, wanted = [MIDDLE, *ANSWER], [*ANSWER, END]
    found = run_llama(base_file, file, prompt, given)
    assert [int(row.argmax()) for row in found] == wanted
    # The middle's losses, in both.
    log = torch.log_softmax(torch.tensor(np.array(found)), -1)
    theirs = -float(log[range(4), wanted].mean())
    with torch.no_grad():
        ours = middle_losses(model, group, read_prompts(model, group, "cpu"), ENDINGS)[1].mean()
    assert theirs == pytest.approx(float(ours), abs=0.05)
    without = run_llama(base_file, None, prompt, given)
    assert np.abs(np.array(without) - np.array(found)).max() > 1


def test_an_adapter_of_another_alpha_is_gone_on_from_with_its_own_effect(
    result, base_file, groups, tmp_path
):
    """Whoever trained it may have scaled otherwise: what it explains is the same here."""
    import torch

    model, _, _ = result
    config = BOTH[1]
    weights, alpha = adapter_weights(model, config.name), config.rank * config.scaling
    halved = {place: (a, b * 2) for place, (a, b) in weights.items()}
    losses = []
    for file, given, factor in (("same", weights, 1.0), ("other", halved, 0.5)):
        write_adapter(tmp_path / file, given, "qwen2", alpha * factor)
        taken = add_adapters(load_base(base_file), [config])
        take_up_weights(taken, config.name, tmp_path / file, (HEADS, KV_HEADS))
        [row, *_] = judge(taken, [config.name], groups[:1], ENDINGS, "cpu")[config.name]
        losses.append(row.text)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    with torch.no_grad():
        [base, *_] = judge(model, [""], groups[:1], ENDINGS, "cpu")[""]
    assert abs(losses[0] - base.text) > 0.5


def test_a_users_git_settings_hold_up_no_cutting(tmp_path, monkeypatch):
    """Signatures that cannot be made, hooks that refuse: none is of a repository of ours."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n[core]\n\thooksPath = {hooks}\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    root = tmp_path / "library"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    assert corpus._as_repository(root).list_tracked_files() == [b"a.py"]


def test_the_rows_of_llama_are_put_in_its_order(groups, tmp_path):
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
    prompt = groups[0].trunk
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


def test_a_run_that_was_stopped_goes_on_where_it_was(base_file, groups, tmp_path):
    """In two parts it ends with the weights of one that was never stopped."""
    import torch

    def run(state, stop_at=0):
        torch.manual_seed(0)
        model = add_adapters(load_base(base_file), BOTH)

        def on_step(step, _share, _losses):
            if step == stop_at:
                raise KeyboardInterrupt

        plan = TrainingPlan(seed=2, steps=12, state=state)
        done = train(model, BOTH, groups, ENDINGS, plan, "cpu", on_step)
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


def test_a_run_goes_on_with_its_own_samples_and_options_alone(base_file, groups, tmp_path):
    """The file of another run is refused, and left as it is; no samples are an error at once."""
    state = tmp_path / "run.state"
    trained(base_file, groups, steps=5, state=state)
    kept = state.read_bytes()
    for other, steps in ((groups[1:], 5), (groups, 6)):
        with pytest.raises(ValueError, match=r"run\.state is of a run with other samples"):
            trained(base_file, other, steps=steps, state=state)
    assert state.read_bytes() == kept
    with pytest.raises(ValueError, match="no samples"):
        trained(base_file, [], steps=5)


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_the_command_writes_adapters_that_fit_their_base(tmp_path, groups, architecture, capsys):
    """What it trains for a model of either architecture can be used with that model."""
    base = write_base(tmp_path / "base.gguf", architecture=architecture)
    for part in PARTS:
        (tmp_path / "samples" / part).mkdir(parents=True)
        write_groups(tmp_path / "samples" / part / "a.npz", PACKAGE, groups[:6])
    write_endings(tmp_path / "endings.json", [b")\n"], [END])
    arguments = Namespace(
        work=tmp_path,
        base=base,
        minutes=1.0,
        device="cpu",
        rank=[4],
        rate=[1e-3],
        steps=2,
        groups=2,
    )
    train_all(arguments)
    adapter = read_adapter(tmp_path / "r4_0_001.gguf", read_header(base))
    assert (adapter.rank, adapter.alpha) == (4, 8.0)
    told = capsys.readouterr().err
    assert "base: 18 middles, " in told
    assert "r4_0_001: 18 middles, " in told


@pytest.mark.model
def test_the_tokens_that_end_texts_are_noted(base_file, tmp_path):
    """Before anything is cut, from the base's own vocabulary."""
    cut(Namespace(work=tmp_path, base=base_file))
    endings = read_endings(tmp_path / "endings.json")
    # Behind a file of its own a model says the name of the next one.
    assert set(endings.ends) >= {END}
    assert MIDDLE not in endings.ends
    assert endings.line_ends == {b"": (10,)}


def test_what_is_no_number_is_neither_learned_nor_written(base_file, groups, tmp_path):
    """One bad batch is left out and counted; a base that gives nothing else ends the training."""
    import torch

    model = add_adapters(load_base(base_file), BOTH)
    with torch.no_grad():
        model.get_base_model().lm_head.weight[0] = float("nan")
    with pytest.raises(FloatingPointError, match="no finite gradient"):
        train(
            model,
            BOTH,
            groups,
            ENDINGS,
            TrainingPlan(seed=2, steps=9),
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
    from codebuddy.training.adapter.samples import cut_group
    from codebuddy.vcs.repository import open_repository

    root = tmp_path / "shop"
    root.mkdir()
    for name in ("cart", "prices", "orders"):
        lines = [
            f"def {name}_{n}(amounts, rate):\n    total = sum(amounts) * rate\n"
            f"    checked = check(total, len(amounts))\n    return round(checked, {n})\n"
            for n in range(40)
        ]
        (root / f"{name}.py").write_text("\n\n".join(lines))
    git = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    repository, settings = open_repository(root), Settings(index=IndexSettings(embedder="none"))
    update_index(repository, settings)
    vocabulary, rng = open_vocabulary(DEFAULT_MODEL), random.Random(1)
    with RepositoryIndex.open(repository, settings) as index:
        tried = [cut_group(repository, index, vocabulary, "cart.py", rng) for _ in range(30)]
    found = [each for each in tried if each is not None]
    assert len(found) > 15
    kinds = {branch.kind for group in found for branch in group.branches}
    assert {"line", "block", "inner", "word"} <= kinds
    fim = vocabulary.fim
    assert fim.prefix is not None
    assert fim.suffix is not None
    assert any(fim.separator in group.trunk for group in found)
    written = (root / "cart.py").read_text()

    def text(tokens):
        return b"".join(map(vocabulary.piece, tokens)).decode()

    for group in found:
        assert len({branch.shared for branch in group.branches}) > 1
        for branch in group.branches:
            prompt = [*group.trunk[: branch.shared], *branch.prompt]
            assert prompt[-1] == fim.middle
            begin, end = prompt.index(fim.prefix), prompt.index(fim.suffix)
            before, after = text(prompt[begin + 1 : end]), text(prompt[end + 1 : -1])
            middle = text(branch.middle) + (branch.ending or "")
            assert middle == written.encode()[branch.start_byte : branch.end_byte].decode()
            assert before + middle + after in written
            assert (branch.ending is None) == (not after.startswith("\n"))
            if branch.kind == "inner":
                assert after[0] in ")]}\"'`"


def test_a_training_whose_time_is_over_did_not_end_early(base_file, groups, tmp_path):
    """The look at the very end, in vain as well, is none that ended it."""
    wish = fitting.Wish(base_file, tmp_path, 1e-4, 4, 1e-3, 0)
    config = AdapterConfig(fitting.NAME, 4, tuple(LINEAR), 1e-3)
    run_state.write_weights(
        add_adapters(load_base(base_file), [config]), tmp_path / "best.state", 1e-9
    )
    samples = Samples(dict.fromkeys(OWN_PARTS, groups[:2]), ENDINGS, {})
    clock = PausableClock(lambda: "", lambda _: None)
    found = fitting.train(wish, samples, clock, lambda _: None)
    assert len(found.curve) == 2
    assert not found.is_early
