"""llama.cpp with real weights: reuse, stopping, determinism, refusals."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.errors import GenerationError, ModelError, SupersededError
from codebuddy.inference.llama import LlamaGenerator
from codebuddy.settings import ModelSettings
from tests.conftest import SMALL_MODEL

pytestmark = pytest.mark.model

CODE = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return"


def generated(generator, text, **settings):
    """The text and what it cost."""
    stats = GenerationStats()
    how = GenerationSettings(**{"max_tokens": 12, **settings})
    return "".join(generator.generate(generator.tokenize(text), how, stats)), stats


def test_the_default_model_knows_fill_in_the_middle(default_model, small_model):
    """The vocabulary's own tokens are found, and their absence too."""
    assert default_model.fim.is_supported
    assert default_model.fim.repository is not None
    assert not small_model.fim.is_supported


def test_the_default_model_fills_in_the_middle(default_model):
    """A real hole in real code is filled right, without a special token."""
    fim = default_model.fim
    tokens = [
        fim.prefix,
        *default_model.tokenize(CODE),
        fim.suffix,
        *default_model.tokenize("\n\n\nprint(subtract(3, 1))\n"),
        fim.middle,
    ]
    stats = GenerationStats()
    text = "".join(default_model.generate(tokens, GenerationSettings(16), stats))
    assert text.strip() == "a - b"
    assert stats.finish_reason == "stop"
    assert stats.prompt_tokens == len(tokens)


def test_greedy_generation_repeats_itself_and_reuses_the_prompt(small_model):
    """The same prompt gives the same text, and only its last token is evaluated again."""
    first, cold = generated(small_model, CODE)
    second, warm = generated(small_model, CODE)
    assert second == first
    assert warm.evaluated_tokens == 1
    assert warm.reused_tokens == cold.prompt_tokens - 1


@pytest.mark.slow
def test_a_common_beginning_is_reused_and_changes_nothing(small_model):
    """After a prompt that begins alike, only the rest is evaluated, with the same result."""
    fresh = LlamaGenerator(SMALL_MODEL, "fresh", ModelSettings(n_ctx=512))
    expected, _ = generated(fresh, CODE + " a")
    fresh.close()
    generated(small_model, CODE + " b * 2\n")
    text, stats = generated(small_model, CODE + " a")
    assert text == expected
    assert 0 < stats.evaluated_tokens < stats.prompt_tokens
    assert stats.evaluated_tokens + stats.reused_tokens == stats.prompt_tokens


@pytest.mark.slow
def test_sampling_follows_its_seed(small_model):
    """Sampled texts differ by seed and repeat for the same one."""
    texts = [
        generated(small_model, CODE, temperature=1.5, seed=seed)[0] for seed in (1, 2, 3, 1, 2, 3)
    ]
    assert texts[:3] == texts[3:]
    assert len(set(texts)) > 1


def test_length_is_a_reason_to_finish(small_model):
    """Fewer tokens than the model wants: the reason says so."""
    text, stats = generated(small_model, CODE, max_tokens=2)
    assert stats.generated_tokens == 2
    assert stats.finish_reason == "length"
    assert text


@pytest.mark.slow
def test_cancel_stops_prefill(default_model):
    """A cancelled prompt stops inside prefill, and the next call works."""
    tokens = default_model.tokenize("value = compute(1, 2, 3)\n" * 25)
    stats = GenerationStats()
    token = CancellationToken()
    timer = threading.Timer(0.3, token.cancel)
    timer.start()
    started = time.perf_counter()
    with pytest.raises(SupersededError, match="cancelled"):
        list(default_model.generate(tokens, GenerationSettings(4), stats, token))
    cancelled_after = time.perf_counter() - started
    timer.join()
    full = GenerationStats()
    list(default_model.generate(tokens, GenerationSettings(1), full))
    assert full.prompt_tokens == len(tokens)
    assert cancelled_after * 1000 < full.prefill_ms


def test_a_request_cancelled_before_it_begins_evaluates_nothing(small_model):
    """Nothing that the generator does at its start clears the cancellation."""
    token = CancellationToken()
    stats = GenerationStats()
    pieces = small_model.generate(small_model.tokenize(CODE), GenerationSettings(9), stats, token)
    token.cancel()
    with pytest.raises(SupersededError, match="cancelled"):
        list(pieces)
    assert stats.evaluated_tokens == 0


def test_closing_the_iterator_stops_generation(small_model):
    """A consumer that has enough pays for no further token."""
    stats = GenerationStats()
    pieces = small_model.generate(small_model.tokenize(CODE), GenerationSettings(500), stats)
    next(pieces)
    pieces.close()
    assert stats.generated_tokens <= 2


def test_a_prompt_that_does_not_fit_is_refused(small_model):
    """Too long and empty prompts are errors that name the sizes."""
    with pytest.raises(GenerationError, match="does not fit into"):
        generated(small_model, "x = 1\n" * 2000)
    with pytest.raises(GenerationError):
        generated(small_model, "")


def test_unicode_survives_pieces(small_model):
    """Text in other scripts and emoji is tokenised and never breaks the decoder."""
    text, _ = generated(small_model, "# größe 日本語 😀\nname = '", max_tokens=20)
    assert "\ufffd" not in text


def test_runtime_is_reported(small_model):
    """The receipt can say what was used."""
    assert small_model.runtime["backend"] == "llama.cpp"
    assert small_model.runtime["gpu_layers"] == 0
    assert small_model.runtime["threads"] >= 1


def test_a_broken_file_is_an_error_not_a_crash(tmp_path):
    """A truncated model is refused with a sentence."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(SMALL_MODEL.read_bytes()[:5_000_000])
    with pytest.raises(ModelError):
        LlamaGenerator(broken, "broken", ModelSettings(n_ctx=512))


@pytest.mark.process
def test_ctrl_c_inside_prefill_interrupts():
    """SIGINT during a long prefill ends the program with KeyboardInterrupt."""
    program = (
        "import os, signal, sys, threading\n"
        "from pathlib import Path\n"
        "from codebuddy.datatypes import GenerationSettings, GenerationStats\n"
        "from codebuddy.inference.llama import LlamaGenerator\n"
        "from codebuddy.settings import ModelSettings\n"
        "g = LlamaGenerator(Path(sys.argv[1]), 'm', ModelSettings(n_ctx=2048))\n"
        "tokens = g.tokenize('value = compute(1, 2, 3)\\n' * 150)\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    for _ in range(200):\n"
        "        list(g.generate(tokens[_:], GenerationSettings(1), GenerationStats()))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(SMALL_MODEL)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "interrupted\n", done.stderr


@pytest.mark.process
def test_ctrl_c_while_the_model_loads_interrupts():
    """SIGINT that comes inside a callback of the native load is not lost."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from codebuddy.inference import llama_library\n"
        "is_loading = False\n"
        "def chatter(*_):\n"
        "    global is_loading\n"
        "    if is_loading:\n"
        "        is_loading = False\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "llama_library._ignore_log = chatter\n"
        "llama_library.load_library()\n"
        "from codebuddy.inference.llama import LlamaGenerator\n"
        "from codebuddy.settings import ModelSettings\n"
        "is_loading = True\n"
        "try:\n"
        "    LlamaGenerator(Path(sys.argv[1]), 'm', ModelSettings(n_ctx=512))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(SMALL_MODEL)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
