"""The KV cache with real weights: slots, shifting, drafts, saved states, budgets."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from itertools import chain

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import SupersededError
from codebuddy.inference.kv_cache import N_SEQUENCES, StoppedError
from codebuddy.inference.llama import LlamaGenerator
from codebuddy.inference.reuse import MIN_RUN, Markers
from codebuddy.settings import ModelSettings
from tests.conftest import SMALL_MODEL

pytestmark = pytest.mark.model

HEAD = "# shop/pricing.py\nimport json\nimport logging\n\nlogger = logging.getLogger(__name__)\n\n"
ONE = HEAD + "def discount(price, percent):\n    return price * (100 - percent) / 100\n\n\ndef tax("
OTHER = (
    HEAD + "def load(path):\n    with open(path) as stream:\n        return json.load(stream)\n\n"
)
SUFFIX = (
    "\n\n\ndef total(items, percent):\n"
    "    price = sum(item.price for item in items)\n"
    "    return tax(discount(price, percent))\n\n\n"
    "def label(item):\n    return item.name.title()\n"
)


def run(generator, tokens, **settings):
    """The text and what it cost."""
    stats = GenerationStats()
    how = GenerationSettings(**{"max_tokens": 8, **settings})
    return "".join(generator.generate(tokens, how, stats)), stats


def fim(generator, prefix: str, suffix: str = SUFFIX) -> list[int]:
    """A prompt in the default model's own tokens."""
    marks = generator.fim
    return [
        marks.prefix,
        *generator.tokenize(prefix),
        marks.suffix,
        *generator.tokenize(suffix),
        marks.middle,
    ]


@pytest.mark.slow
def test_two_files_keep_their_caches(small_model):
    """Going from one prompt to another and back evaluates only what is new, with the same text."""
    small_model.kv.clear()
    one, other = small_model.tokenize(ONE), small_model.tokenize(OTHER * 3)
    expected, _ = run(small_model, one)
    _, second = run(small_model, other)
    assert second.reused_tokens > 0, "the common head is shared"
    text, third = run(small_model, one)
    assert third.evaluated_tokens == 1
    assert text == expected


@pytest.mark.slow
def test_old_prompts_give_way_when_the_cells_run_out():
    """More prompts than fit: each is still answered as by a fresh model."""
    generator = LlamaGenerator(SMALL_MODEL, "small", ModelSettings(n_ctx=256, threads=1))
    # Two of them fit.
    prompts = [generator.tokenize(f"# file {n}\n" + ONE * 3)[:115] for n in range(3)]
    expected = []
    for prompt in prompts:
        generator.kv.clear()
        expected.append(run(generator, prompt)[0])
    generator.kv.clear()
    for _ in range(2):
        for prompt, text in zip(prompts, expected, strict=True):
            assert run(generator, prompt)[0] == text
            assert sum(len(slot) for slot in generator.kv.slots) <= 256
    generator.close()


@pytest.mark.slow
def test_typing_shifts_the_suffix(default_model):
    """While typing, little is evaluated, and the answer is that of an exact evaluation."""
    default_model.kv.clear()
    run(default_model, fim(default_model, HEAD + "def discount(price, percent):\n    "))
    wanted = fim(default_model, HEAD + "def discount(price, percent):\n    return price * (")
    text, stats = run(default_model, wanted, is_typing=True)
    assert stats.shifted_tokens == len(default_model.tokenize(SUFFIX))
    assert stats.evaluated_tokens + stats.reused_tokens == stats.prompt_tokens == len(wanted)
    exact, _ = run(default_model, wanted)
    assert text == exact
    assert default_model.kv.held[: len(wanted)] == wanted


@pytest.mark.slow
def test_what_was_shifted_is_not_taken_for_exact(default_model):
    """A request that must be exact evaluates a suffix again that typing had only shifted."""
    default_model.kv.clear()
    run(default_model, fim(default_model, HEAD + "x = "))
    wanted = fim(default_model, HEAD + "x = 1 + ")
    run(default_model, wanted, is_typing=True)
    _, exact = run(default_model, wanted)
    assert exact.evaluated_tokens > len(default_model.tokenize(SUFFIX))
    assert run(default_model, wanted)[1].evaluated_tokens == 1


@pytest.mark.slow
def test_typing_forth_and_back_keeps_the_suffix_at_hand(default_model):
    """What counts is how far the suffix was moved in all, not how often."""
    default_model.kv.clear()
    run(default_model, fim(default_model, ONE), is_typing=True)
    for number in range(1, 11):
        typed = f"price_{number % 7}, percent_{number % 5}, " * 3 * (number % 2)
        _, stats = run(default_model, fim(default_model, ONE + typed), is_typing=True, max_tokens=0)
        assert stats.shifted_tokens > MIN_RUN, number
    long = "price, percent, " * 36
    _, stats = run(default_model, fim(default_model, ONE + long), is_typing=True, max_tokens=0)
    assert stats.shifted_tokens == 0, "too far: evaluated anew"


@pytest.mark.slow
def test_a_stop_while_typing_keeps_the_suffix(default_model):
    """Keystrokes that cut each other short still leave the suffix to be moved by the next."""
    default_model.kv.clear()
    run(default_model, fim(default_model, ONE), is_typing=True)
    for typed in ("p", "pr", "pri"):
        tokens = fim(default_model, ONE + typed)
        _, stopped = run(default_model, tokens, is_typing=True, budget_ms=0.001)
        assert stopped.finish_reason == "budget"
        assert stopped.evaluated_tokens == 0
    # What follows the signature is a near tie, which another compiler's rounding decides.
    wanted = fim(default_model, ONE + "price")
    text, stats = run(default_model, wanted, is_typing=True, max_tokens=5)
    assert stats.shifted_tokens > MIN_RUN
    assert stats.evaluated_tokens < 8
    default_model.kv.clear()
    assert text == run(default_model, wanted, max_tokens=5)[0]
    assert "percent" in text


@pytest.mark.slow
def test_without_leave_nothing_is_shifted(default_model):
    """A prompt that no typing person waits for is evaluated exactly."""
    default_model.kv.clear()
    run(default_model, fim(default_model, HEAD + "x = "))
    _, stats = run(default_model, fim(default_model, HEAD + "x = 1 + "))
    assert stats.shifted_tokens == 0
    assert stats.evaluated_tokens > len(default_model.tokenize(SUFFIX))


# A file of 24 small functions, of which a prompt shows a part.
FUNCTIONS = [
    f"def price_{number}(it):\n    amount = it.cost_{number} * {number}\n    return amount\n\n\n"
    for number in range(24)
]


def place(generator, at: int, typed: str) -> list[int]:
    """The prompt in a function after the first `at`, with five functions shown on either side."""
    before, behind = FUNCTIONS[max(0, at - 5) : at], FUNCTIONS[at : at + 5]
    return fim(generator, "".join(before) + typed, "".join(behind))


@pytest.mark.slow
def test_another_place_of_a_file_evaluates_what_was_not_read(default_model):
    """Going on in a file and coming back moves what was read of it; the text stays the same."""
    default_model.kv.clear()
    typed = "def price_of_two(it):\n    amount = it.cost_2 * 2\n    return"
    expected, cold = run(default_model, place(default_model, 8, typed), max_tokens=2)
    assert expected.startswith(" amount")
    assert cold.evaluated_tokens > 200
    for at in (9, 8, 10):
        tokens = place(default_model, at, typed)
        text, stats = run(default_model, tokens, is_typing=True, max_tokens=2)
        assert stats.evaluated_tokens + stats.reused_tokens == stats.prompt_tokens
        assert stats.shifted_tokens > 100 or stats.evaluated_tokens < 5
        assert stats.evaluated_tokens < 0.4 * stats.prompt_tokens
        assert text == expected
    exact, stats = run(default_model, tokens, max_tokens=2)
    assert stats.evaluated_tokens > 200, "who asks gets it evaluated behind what stands before it"
    assert exact == text


def test_cells_are_where_the_slots_say(small_model):
    """Wherever the cursor goes, also where it is stopped: the memory ends where its slot ends."""
    kv, llama = small_model.kv, small_model._llama
    kv.clear()
    words = [small_model.tokenize(text) for text in FUNCTIONS]
    markers = Markers(3, 4)
    chance = random.Random(5)
    evaluated = []
    for number in range(20):
        at = chance.randrange(4, 20)
        before, behind = chain(*words[at - 4 : at]), chain(*words[at : at + 3])
        tokens = [1, 2, markers.prefix, *before, 7, markers.suffix, *behind, 5]
        stats = GenerationStats()
        if number % 5 == 4:
            with pytest.raises(StoppedError), stopped(small_model):
                kv.evaluate_prompt(tokens, 8, markers, stats)
        else:
            kv.evaluate_prompt(tokens, 8, markers, stats)
            assert kv.held == tokens
            evaluated.append(stats.evaluated_tokens / stats.prompt_tokens)
        memory = llama.llama_get_memory(small_model._context)
        for slot, held in enumerate(kv.slots):
            assert llama.llama_memory_seq_pos_max(memory, slot) == len(held) - 1
        for sequence in range(len(kv.slots), N_SEQUENCES):
            assert llama.llama_memory_seq_pos_max(memory, sequence) == -1, "nothing waits"
    assert sorted(evaluated)[len(evaluated) // 2] < 0.5
    kv.clear()


def test_reading_ahead_takes_only_what_is_free():
    """What was asked for stays whole; a place that was read is there; it gives way to others."""
    # A small pool, which little fills.
    model = LlamaGenerator(SMALL_MODEL, "small", ModelSettings(n_ctx=512, threads=1))
    asked, ahead = model.tokenize(ONE * 2), model.tokenize("import os\n" + OTHER * 3)
    run(model, asked, max_tokens=0)
    text, stats = run(model, ahead, reads_ahead=True)
    assert (text, stats.evaluated_tokens) == ("", len(ahead))
    assert run(model, ahead, reads_ahead=True)[1].evaluated_tokens == 0, "it is there"
    assert run(model, asked, max_tokens=0)[1].evaluated_tokens == 1
    whole = model.tokenize("x = 1\n" * 200)[: model.n_ctx - len(asked) - 8]
    assert len(whole) == model.n_ctx - len(asked) - 8
    assert run(model, whole, reads_ahead=True)[1].evaluated_tokens > 0, "in its place"
    assert run(model, asked, max_tokens=0)[1].evaluated_tokens == 1
    too_long = model.tokenize("y = 2\n" * 200)[: model.n_ctx - len(asked) + 8]
    assert run(model, too_long, reads_ahead=True)[1].evaluated_tokens == 0, "no room"
    assert run(model, asked, max_tokens=0)[1].evaluated_tokens == 1
    model.close()


@contextmanager
def stopped(generator):
    """Evaluation ends at the first graph node."""
    generator._deadline_s = 0.0
    try:
        yield
    finally:
        generator._deadline_s = float("inf")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [SUFFIX, "\n"])
def test_drafts_change_nothing_but_the_time(default_model, suffix):
    """Text that repeats the prompt: drafts hold, and the text is that of plain decoding."""
    prefix = HEAD + SUFFIX + "\n\n# The same once more:\n" + SUFFIX[:60]
    tokens = fim(default_model, prefix, suffix)
    # The prompt's last token is rounded alike only if it is evaluated alone both times.
    run(default_model, tokens, max_tokens=0)
    plain, without = run(default_model, tokens, max_tokens=24, has_drafts=False)
    text, stats = run(default_model, tokens, max_tokens=24)
    assert text == plain
    assert stats.accepted_tokens > 0
    assert stats.generated_tokens == without.generated_tokens
    assert stats.token_logprobs == without.token_logprobs
    assert without.drafted_tokens == 0


def test_a_generation_says_how_sure_it_was(small_model):
    """One log-probability for each token, and the first row's entropy."""
    _, stats = run(small_model, small_model.tokenize(ONE))
    assert len(stats.token_logprobs) == stats.generated_tokens
    assert all(logprob <= 0 for logprob in stats.token_logprobs)
    assert stats.first_token_entropy is not None
    assert stats.first_token_entropy > 0


def test_no_tokens_wanted_evaluates_the_prompt(small_model):
    """With a limit of 0 the prompt is made ready, and the next call finds it."""
    tokens = small_model.tokenize(ONE + "x, y")
    text, stats = run(small_model, tokens, max_tokens=0)
    assert (text, stats.generated_tokens) == ("", 0)
    assert run(small_model, tokens)[1].evaluated_tokens == 1


def test_a_spent_budget_ends_prefill_quietly_and_keeps_its_work(small_model):
    """No error but a reason to finish; what was evaluated is there for the next call."""
    small_model.kv.clear()
    tokens = small_model.tokenize("value = compute(1, 2, 3)\n" * 15)
    text, stats = run(small_model, tokens, budget_ms=1)
    assert (text, stats.finish_reason) == ("", "budget")
    again = run(small_model, tokens, max_tokens=1)[1]
    assert again.finish_reason == "length"
    assert again.reused_tokens >= stats.evaluated_tokens


def test_a_budget_ends_generation_with_what_there_is(small_model):
    """Time that the consumer takes counts too: long before the limit, the call ends quietly."""
    tokens = small_model.tokenize("numbers = [1, 2, 3, 4, ")
    stats = GenerationStats()
    pieces = small_model.generate(tokens, GenerationSettings(400, budget_ms=300), stats)
    for _ in pieces:
        time.sleep(0.05)
    assert stats.finish_reason == "budget"
    assert stats.generated_tokens < 400


def test_cancel_stops_generation_with_drafts(small_model):
    """A cancelled generation ends at once where drafts are checked too, and the next one works."""
    tokens = small_model.tokenize("numbers = [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, ")
    stats = GenerationStats()
    token = CancellationToken()
    pieces = small_model.generate(tokens, GenerationSettings(1900), stats, token)
    for _ in range(20):
        next(pieces)
    assert stats.drafted_tokens > 0
    timer = threading.Timer(0.05, token.cancel)
    timer.start()
    with pytest.raises(SupersededError, match="cancelled"):
        list(pieces)
    timer.join()
    held = len(small_model.kv.held)
    assert held <= stats.prompt_tokens + stats.generated_tokens
    assert run(small_model, tokens)[1].evaluated_tokens == 1


@pytest.fixture
def state(small_model, tmp_path):
    """A saved state of one prompt, with the prompt and the text that follows it."""
    small_model.kv.clear()
    tokens = small_model.tokenize(ONE)
    text, _ = run(small_model, tokens)
    path = tmp_path / "state"
    written = small_model.save_state(path)
    assert written == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    return path, tokens, text


def test_a_restarted_process_resumes(state):
    """Another instance of the same model takes the state up and evaluates one token."""
    path, tokens, text = state
    fresh = LlamaGenerator(SMALL_MODEL, "small", ModelSettings(n_ctx=2048, threads=1))
    assert fresh.load_state(path)
    again, stats = run(fresh, tokens)
    fresh.close()
    assert stats.evaluated_tokens == 1
    assert again == text


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "header", "empty", "writable", "link"])
def test_a_damaged_or_open_state_is_refused(state, small_model, damage):
    """Whatever was done to the file: it is refused, and the cache is as it was."""
    path, tokens, _ = state
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1000] ^= 1
    elif damage == "header":
        content[40] ^= 1
    elif damage == "cut":
        del content[-5000:]
    elif damage == "longer":
        content += b"more"
    elif damage == "empty":
        content.clear()
    path.write_bytes(bytes(content))
    if damage == "writable":
        path.chmod(0o666)
    elif damage == "link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    assert not small_model.load_state(path)
    assert run(small_model, tokens)[1].evaluated_tokens == 1


def test_a_state_of_other_settings_is_refused(state, small_model, tmp_path):
    """Another context length is another cache; a missing file is no error either."""
    path, _, _ = state
    other = LlamaGenerator(SMALL_MODEL, "small", ModelSettings(n_ctx=512, threads=1))
    assert not other.load_state(path)
    other.close()
    assert not small_model.load_state(tmp_path / "nothing")


def test_a_state_keeps_to_its_size(small_model, tmp_path):
    """What does not fit is left out; nothing to keep writes nothing."""
    run(small_model, small_model.tokenize(ONE))
    assert small_model.save_state(tmp_path / "small", max_bytes=1000) == 0
    assert not (tmp_path / "small").exists()
