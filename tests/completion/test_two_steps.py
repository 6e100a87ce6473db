"""A cold place is answered from the nearest lines first, where that is switched on."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.datatypes import Document, Position
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings

SETTINGS = CompletionSettings(
    max_tokens=8, prefix_tokens=384, suffix_tokens=64, retrieve="never", two_steps=True
)
FUNCTIONS = "".join(
    f"def price_{number}(it):\n    amount = it.cost_{number} * {number}\n    return amount\n\n\n"
    for number in range(20)
)
TEXT = f"{FUNCTIONS}def price_20(it):\n    amount = it.cost_20 * 20\n    return "


def suggest(generator, settings=SETTINGS, text=TEXT, **more):
    """What is suggested at the end, and the texts that were shown."""
    place = Position(text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1)
    document = Document("price.py", text, Path("/shop/price.py"))
    how = {"is_typing": True, "accepts_revision": True, **more}
    request = PipelineRequest(document, place, "python", "never", **how)
    resources = PipelineResources(generator, None, settings, "shop")
    texts: list[str] = []
    return complete(request, resources, texts.append), texts


@pytest.mark.slow
def test_a_cold_place_is_answered_twice_and_a_warm_one_once(default_model):
    """The first text comes after a short prompt; what that read is moved into the whole one."""
    default_model.kv.clear()
    found, texts = suggest(default_model)
    stats = found.receipt.stats
    assert texts == ["amount", "amount"]
    assert found.text == "amount"
    assert 500 < stats.prompt_tokens < 720, "of both prompts"
    assert stats.shifted_tokens > 100
    assert stats.evaluated_tokens + stats.reused_tokens == stats.prompt_tokens
    again, texts = suggest(default_model, text=f"{TEXT}am")
    assert texts == ["ount"]
    assert again.receipt.stats.evaluated_tokens < 8


def test_it_is_only_for_clients_that_replace_a_text_and_models_that_tell():
    """Who waits for one text gets it at once; so does a model whose cache nobody can ask."""
    assert len(suggest(EchoGenerator())[1]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"accepts_revision": False}, {"alternatives": 1}])
def test_who_cannot_replace_a_text_is_shown_one(default_model, more):
    """Nothing provisional where it could not be taken back, or several texts are wanted."""
    default_model.kv.clear()
    found, _ = suggest(default_model, **more)
    assert found.receipt.stats.prompt_tokens < 480
