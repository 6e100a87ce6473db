"""A text that was written without a lookup is judged, and written again with one where poor."""

from __future__ import annotations

import dataclasses

import pytest

from codebuddy.commands.complete import _StreamPrinter
from codebuddy.completion.context import build_context
from codebuddy.completion.cost import retrieval_cost
from codebuddy.completion.decision import RetrievalCost, has_higher_likelihood
from codebuddy.completion.head import Classifier, Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.completion.receipt import completion_response
from codebuddy.datatypes import Document, GenerationStats, Position
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings
from codebuddy.terminal import StatusLine
from tests.support.evaluation import indexed, make_shop

SETTINGS = CompletionSettings(max_tokens=8, prefix_tokens=64, suffix_tokens=16, context_tokens=96)


def stage_of(gain):
    """A stage that expects the same gain everywhere."""
    gains = (gain, gain + 1e-6)
    return Classifier((), 0.0, (), (), (0.0, 1.0), (0.5, 0.6), gains)


def head_of(before, after, asked_again=0.0):
    """A head whose stages expect these gains."""
    confidence = None if after is None else stage_of(after)
    return Head("test", {}, stage_of(before), confidence, asked_again)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A repository with its index, and a call in it that is being written."""
    root = make_shop(tmp_path_factory.mktemp("second") / "shop")
    text = (root / "shop/cart.py").read_text() + "\nprice = apply_discount("
    place = Document("shop/cart.py", text, root / "shop/cart.py")
    request = PipelineRequest(place, Position(text.count("\n") + 1, 24), "python", "auto")
    with indexed(root) as (_, index):
        yield request, index


def suggest(shop, generator, head, on_text=None, settings=SETTINGS, latency=None, **changes):
    """What the pipeline suggests there."""
    request, index = shop
    latency = latency or LatencyModel()
    resources = PipelineResources(generator, index, settings, "shop", None, head, latency)
    return complete(dataclasses.replace(request, **changes), resources, on_text)


@pytest.mark.slow
def test_a_good_text_stays_without_a_lookup(shop, small_model):
    """Where nothing is to be won the text is that of `never`, and the receipt tells the stage."""
    never = suggest(shop, small_model, None, retrieve="never")
    found = suggest(shop, small_model, head_of(-5.0, -5.0))
    assert found.text == never.text
    decision = found.receipt.decision
    assert (decision.retrieve, decision.stage, decision.kept) == (False, "confidence", "")
    assert decision.first_ms is not None
    assert found.receipt.chunks == ()


@pytest.mark.slow
def test_a_poor_text_is_written_again_and_the_likelier_one_kept(shop, small_model):
    """Where much is to be won both texts are made; the receipt adds up what they cost."""
    texts: list[str] = []
    # A prompt from the cache is rounded in another way than one that is read, which decides ties.
    for _ in range(2):
        never = suggest(shop, small_model, None, retrieve="never")
        always = suggest(shop, small_model, None, retrieve="always")
    found = suggest(shop, small_model, head_of(-5.0, 90.0), texts.append)
    decision, stats = found.receipt.decision, found.receipt.stats
    assert decision.retrieve
    is_second = has_higher_likelihood(always.receipt.stats, never.receipt.stats)
    assert decision.kept == ("second" if is_second else "first")
    assert found.text == (always if is_second else never).text
    assert bool(found.receipt.chunks) == is_second
    both = [each.receipt.stats for each in (never, always)]
    assert stats.prompt_tokens == sum(each.prompt_tokens for each in both)
    assert stats.generated_tokens == sum(each.generated_tokens for each in both)
    # Who cannot take text back hears the last word alone.
    assert texts == [found.text]
    told = completion_response(found)["decision"]
    assert (told["stage"], told["kept"]) == ("confidence", decision.kept)


def test_who_takes_text_back_hears_the_first_one_at_once(shop, small_model):
    """The first suggestion is told whole before the lookup begins, the final one last."""
    texts: list[str] = []
    never = suggest(shop, small_model, None, retrieve="never")
    found = suggest(shop, small_model, head_of(-5.0, 90.0), texts.append, accepts_revision=True)
    assert never.text in texts
    assert texts[-1] == found.text


def test_a_lookup_that_is_cheap_is_made_at_once(shop, small_model):
    """The first stage looks up by itself where a first text would cost as much as it saves."""
    at_once = suggest(shop, small_model, head_of(90.0, -5.0, asked_again=2.0))
    assert at_once.receipt.decision.retrieve
    assert at_once.receipt.decision.stage == "syntax"
    # A first text that is shown meanwhile is worth more: it is there sooner.
    price = retrieval_cost(
        build_context(shop[0].document, shop[0].position, "python"),
        SETTINGS, LatencyModel(), None,
    )  # fmt: skip
    between = 1.5 * price.expected_ms / price.prompt_ms
    waiting = suggest(shop, small_model, head_of(90.0, -5.0, between))
    shown = suggest(shop, small_model, head_of(90.0, -5.0, between), accepts_revision=True)
    assert waiting.receipt.decision.stage == "syntax"
    assert shown.receipt.decision.stage == "confidence"
    dear = suggest(shop, small_model, head_of(90.0, -5.0, asked_again=0.0))
    assert not dear.receipt.decision.retrieve
    assert dear.receipt.decision.stage == "confidence"


def test_without_time_or_probabilities_nothing_is_written_again(shop, small_model):
    """A budget that is used up, and a model that tells no probabilities, keep the first text."""
    unasked = suggest(shop, small_model, head_of(90.0, 90.0), budget_ms=0.01)
    assert not unasked.receipt.decision.retrieve
    assert "only if the text without one is poor" in unasked.receipt.decision.reason
    hasty = suggest(shop, small_model, head_of(-5.0, 90.0), budget_ms=300.0)
    assert hasty.receipt.decision.kept == ""
    assert not hasty.receipt.decision.retrieve
    silent = suggest(shop, EchoGenerator(), head_of(90.0, 90.0))
    assert silent.receipt.decision.stage == "syntax"
    assert silent.receipt.decision.retrieve


def test_a_second_text_takes_no_longer_than_it_is_worth(shop, small_model):
    """Where the estimate was made on an idle machine, the first text stays, with its reason."""
    one_token = dataclasses.replace(SETTINGS, max_tokens=1)
    never = suggest(shop, small_model, None, settings=one_token, retrieve="never")
    small_model.kv.clear()
    idle = LatencyModel()
    idle.ms_per_token = idle.lookup_ms = 0.0001
    # Worth 40 ms; a prompt takes longer than that to read.
    found = suggest(shop, small_model, head_of(-5.0, 0.04), settings=one_token, latency=idle)
    assert found.text == never.text
    decision = found.receipt.decision
    assert (decision.retrieve, decision.stage, decision.kept) == (True, "confidence", "first")
    assert "the second one was not whole after" in decision.reason


@pytest.mark.parametrize("gain", [1.0, 40.0])
def test_an_estimate_may_be_exceeded_twice(gain):
    """Of a lookup that is hardly worth it, half would else be read in vain."""
    cost = RetrievalCost(800.0, 2.0)
    assert cost.longest_ms(gain, 900.0) == max(1800.0, gain * 500)


def test_who_types_and_cannot_take_text_back_is_served_by_the_rule(shop, small_model):
    """Typing waits for no second text, unless the first one is shown meanwhile."""
    typed = suggest(shop, small_model, head_of(-5.0, 90.0), is_typing=True)
    assert (typed.receipt.decision.stage, typed.receipt.decision.head) == ("", "")
    shown = suggest(shop, small_model, head_of(-5.0, 90.0), is_typing=True, accepts_revision=True)
    assert shown.receipt.decision.stage == "confidence"


def test_warming_prepares_both_texts(shop, small_model):
    """A place that is only prepared, with no token wanted, has both its prompts evaluated."""
    small_model.kv.clear()
    head, how = head_of(-5.0, 90.0), {"is_typing": True, "accepts_revision": True}
    unwritten = dataclasses.replace(SETTINGS, max_tokens=0)
    warmed = suggest(shop, small_model, head, settings=unwritten, **how)
    assert (warmed.text, warmed.receipt.stats.generated_tokens) == ("", 0)
    stats = suggest(shop, small_model, head, **how).receipt.stats
    assert stats.prompt_tokens > 100
    assert stats.evaluated_tokens == 2, "the last token of each"


def test_modes_that_are_obeyed_are_not_second_guessed(shop, small_model):
    """`never` stays without a lookup, however poor its text."""
    found = suggest(shop, small_model, head_of(-5.0, 90.0), retrieve="never")
    assert (found.receipt.decision.mode, found.receipt.decision.kept) == ("never", "")


def test_costs_add_up_and_the_rest_is_the_kept_ones():
    """Counts and times are sums; probabilities and the end are those of the text that stays."""
    one = GenerationStats(5, 4, 1, generated_tokens=2, prefill_ms=3.0, token_logprobs=[-1.0])
    two = GenerationStats(9, 9, 0, generated_tokens=3, prefill_ms=4.0, finish_reason="length")
    both = one.with_cost_of(two)
    assert (both.prompt_tokens, both.evaluated_tokens, both.reused_tokens) == (14, 13, 1)
    assert (both.generated_tokens, both.prefill_ms) == (5, 7.0)
    assert (both.token_logprobs, both.finish_reason) == ([-1.0], "stop")


def test_a_replaced_stream_is_printed_behind_a_line(capsys):
    """What was streamed stays; the second text follows behind `---`, and stderr says why."""
    printer = _StreamPrinter(StatusLine())
    printer("first")
    printer("second")
    printer.finish("second", is_replaced=True)
    out, err = capsys.readouterr()
    assert out == "first\n---\nsecond\n"
    assert "replaces the first" in err
