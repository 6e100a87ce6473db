"""A decision with a price: what a lookup costs here, and what it must gain."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

from codebuddy import heads
from codebuddy.completion.context import build_context
from codebuddy.completion.cost import retrieval_cost
from codebuddy.completion.decision import RetrievalCost, decide
from codebuddy.completion.features import DefinitionCounts
from codebuddy.completion.latency import LatencyModel
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.completion.prompt_history import PromptHistory
from codebuddy.completion.receipt import completion_response
from codebuddy.datatypes import Document, GenerationStats, PackedChunk, Position
from codebuddy.engine.protocol import CompletionCall
from codebuddy.evaluation.session import EvaluationOptions, evaluate, find_holes
from codebuddy.evaluation.store import load_run
from codebuddy.inference.echo import EchoGenerator
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.settings import CompletionSettings, Settings
from codebuddy.training.head.fit import FitConfig, fit_stage, head_content
from codebuddy.tui.backend import SuggestionRequest
from codebuddy.vcs.repository import open_repository
from tests.commands.test_complete import codebuddy
from tests.completion.test_head import FEATURES, synthetic_examples
from tests.completion.test_prompt_history import result
from tests.support.backends import OwnBackend
from tests.support.evaluation import indexed, make_shop

SETTINGS = CompletionSettings()
TEXT = "from shop import price\n\nvalue = price(\n"
KNOWN = DefinitionCounts({"price": 1}, {"price": 1})


@pytest.fixture
def head_file(tmp_path):
    """A head to which a callee that is defined elsewhere is worth a lookup."""
    stage = fit_stage(synthetic_examples(), FEATURES, FitConfig(strength=1.0))
    file = tmp_path / "head.json"
    file.write_text(json.dumps(head_content("test", {"model": "m"}, stage, None)))
    return file


@pytest.fixture
def head(head_file):
    """The head in `head_file`."""
    return heads.load_head_file(head_file)


def context_of(text=TEXT, line=3, column=15):
    """The context of a place in a file of its own."""
    return build_context(
        Document("cart.py", text, Path("cart.py")), Position(line, column), "python"
    )


def test_the_same_gain_pays_or_not_by_its_price(head):
    """What is worth a tenth of a second is not worth a minute, and the reason says both."""
    cheap = decide(context_of(), "auto", KNOWN, head, RetrievalCost(100.0, 1.0))
    dear = decide(context_of(), "auto", KNOWN, head, RetrievalCost(60_000.0, 1.0))
    assert cheap.retrieve
    assert not dear.retrieve
    assert cheap.expected_gain is not None
    assert cheap.expected_gain == dear.expected_gain
    assert cheap.expected_gain > 5
    assert (cheap.expected_ms, dear.expected_ms) == (100.0, 60_000.0)
    assert cheap.probability >= cheap.threshold
    assert dear.probability < dear.threshold
    assert "are worth its 100 ms" in cheap.reason
    assert "are too little for its 60000 ms" in dear.reason
    assert "callee_elsewhere" in dict(cheap.features)
    assert cheap.head == "test"


def test_a_cache_that_holds_the_chunks_makes_a_lookup_cheap():
    """What the cache holds of a prompt's two forms costs little, where the cursor is near."""
    latency, history = LatencyModel(), PromptHistory()
    context = context_of("x = 1\n" * 300 + TEXT, 303)
    cold = retrieval_cost(context, SETTINGS, latency, history).expected_ms
    assert cold > 0
    history.record("cart.py", [], 300)
    dearer = retrieval_cost(context, SETTINGS, latency, history).expected_ms
    chunk = result("a")
    history.record("cart.py", [PackedChunk(chunk, 9)], 303)
    cheaper = retrieval_cost(context, SETTINGS, latency, history).expected_ms
    assert 0 < cheaper < cold < dearer
    assert cheaper < dearer / 2
    elsewhere = dataclasses.replace(context, position=Position(3, 1))
    assert retrieval_cost(elsewhere, SETTINGS, latency, history) == retrieval_cost(
        elsewhere, SETTINGS, latency, None
    )
    held = PromptHistory()
    held.record("cart.py", [PackedChunk(chunk, 9)], 303)
    cost = retrieval_cost(context, SETTINGS, latency, held)
    assert cost.expected_ms < 0 == cost.break_even_gain
    assert 0 < cost.prompt_ms < cold
    assert cost.prompt_ms < retrieval_cost(context, SETTINGS, latency, None).prompt_ms / 2


def test_other_files_push_a_file_out_of_the_cache():
    """After three other files nothing is assumed to be held."""
    history = PromptHistory()
    history.record("cart.py", [], 300)
    for name in "abc":
        history.record(name, [], 1)
    assert not history.is_warm("cart.py", "file", 1)
    assert history.is_warm("c", "file", 1)
    assert not history.is_warm("c", "chunks", 1)


def test_what_is_preferred_sets_the_rate():
    """A second must bring four points at `speed` and a quarter of one at `quality`."""
    rates = {
        prefer: retrieval_cost(
            context_of(), CompletionSettings(prefer=prefer), LatencyModel(), None
        ).points_per_second
        for prefer in ("speed", "balanced", "quality")
    }
    assert rates == {"speed": 4.0, "balanced": 1.0, "quality": 0.25}


def test_the_pace_is_learned_and_kept(tmp_path):
    """A measured prefill replaces the guess, and the next process begins with it."""
    file = tmp_path / "pace.json"
    latency = LatencyModel(file, "model")
    latency.record(GenerationStats(evaluated_tokens=1000, prefill_ms=2000.0), 5.0)
    assert latency.ms_per_token == 2.0
    latency.save()
    assert LatencyModel(file, "model").ms_per_token == 2.0
    assert LatencyModel(file, "other").ms_per_token != 2.0
    for damage in (
        "{",
        '{"model": [1%s, 5]}' % ("0" * 400),
        '{"model": [2]}',
        '{"model": [NaN, 5]}',
    ):
        file.write_text(damage)
        assert LatencyModel(file, "model").ms_per_token == LatencyModel().ms_per_token


def test_the_pipeline_asks_the_head_and_notes_the_pace(tmp_path, head):
    """With a head the receipt has gain, milliseconds and features; without, the rule's words."""
    root = make_shop(tmp_path / "shop")
    text = (root / "shop/cart.py").read_text() + "\nprice = apply_discount("
    line = text.count("\n") + 1
    place = Document("shop/cart.py", text, root / "shop/cart.py")
    request = PipelineRequest(place, Position(line, 24), "python", "auto")
    with indexed(root) as (_, index):
        latency = LatencyModel()
        echo = EchoGenerator()
        judged = complete(
            request, PipelineResources(echo, index, SETTINGS, "shop", None, head, latency)
        )
        ruled = complete(request, PipelineResources(echo, index, SETTINGS, "shop"))
    told = completion_response(judged)["decision"]
    assert told["head"] == "test"
    assert told["expected_gain"] is not None
    assert (told["expected_ms"] or 0) > 0
    assert told["features"]
    assert completion_response(ruled)["decision"]["head"] == ""


def test_a_head_for_another_model_gives_way_to_the_shipped_one(tmp_path, head_file):
    """A personal head must fit model and budgets; otherwise a warning says what differs."""
    repository = open_repository(make_shop(tmp_path / "shop"))
    file = heads.personal_head_file(repository)
    file.parent.mkdir(parents=True, exist_ok=True)
    wanted = heads.trained_for("m", SETTINGS)
    content = json.loads(head_file.read_text())
    file.write_text(json.dumps(content | {"trained_for": wanted}))
    chosen = heads.choose_head(repository, wanted).head
    assert chosen is not None
    assert chosen.name == "test"
    other = heads.choose_head(repository, heads.trained_for("n", SETTINGS))
    assert other.head is None or other.head.name != "test"
    assert "trained for model m, not n" in other.warnings[0]
    file.write_text("{")
    broken = heads.choose_head(repository, wanted)
    assert "damaged" in broken.warnings[0]


@pytest.mark.process
def test_a_damaged_head_is_told_and_the_shipped_one_decides(tmp_path, head_file):
    """At the front door: a sentence on stderr, and a completion all the same."""
    root = make_shop(tmp_path / "shop")
    install_own_head(root, head_file)
    own = heads.personal_head_file(open_repository(root))
    place = ("complete", "shop/cart.py:1:1", "--model", "echo", "--json", "--no-engine")
    fine = codebuddy(root, *place)
    assert json.loads(fine.stdout)["decision"]["head"] == "test"
    content = json.loads(own.read_text())
    content["stages"]["syntax"]["base"] = 10**400
    own.write_text(json.dumps(content))
    done = codebuddy(root, *place)
    assert done.returncode == 0
    assert json.loads(done.stdout)["decision"]["head"] == heads.load_shipped_head().name
    assert "damaged" in done.stderr.decode()
    assert "the shipped one is used" in done.stderr.decode()


def install_own_head(root, head_file, model="echo"):
    """Make the head in `head_file` that of the repository, for a model."""
    repository = open_repository(root)
    file = heads.personal_head_file(repository)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = json.loads(head_file.read_text())
    file.write_text(json.dumps(content | {"trained_for": heads.trained_for(model, SETTINGS)}))


def test_an_evaluation_asks_the_head_and_keeps_its_runs_apart(tmp_path, head):
    """The arm `auto` decides by the head's gain; a run of another head is another run."""
    options = EvaluationOptions(["call"], tasks=3)
    with indexed(make_shop(tmp_path / "shop")) as (repository, index):
        holes = find_holes(repository, index, options)

        def run(head, latency):
            return evaluate(
                repository, index, EchoGenerator(), Settings(), options, holes, head, latency
            )

        judged, ruled = run(head, LatencyModel()), run(None, None)
    assert judged.run.name != ruled.run.name
    assert all("points expected" in each.arms["auto"].reason for each in judged.results)
    assert not any("points expected" in each.arms["auto"].reason for each in ruled.results)


@pytest.mark.process
def test_the_eval_command_asks_the_repositorys_own_head(tmp_path, head_file):
    """`codebuddy eval` decides as `complete` would."""
    root = make_shop(tmp_path / "shop")
    install_own_head(root, head_file)
    done = codebuddy(root, "eval", "--model", "echo", "--tasks", "2", "--json")
    run = load_run(open_repository(root), json.loads(done.stdout)["run"])
    assert run.header["head"] == "test"


@pytest.mark.parametrize("front_door", ["serve", "tui"])
def test_completing_without_the_engine_asks_the_head_too(tmp_path, head_file, front_door):
    """The fallbacks of editors and of the TUI decide as the engine does."""
    root = make_shop(tmp_path / "shop")
    install_own_head(root, head_file)
    with indexed(root):
        pass
    file = root / "shop/cart.py"
    text = file.read_text() + "\nprice = apply_discount("
    line = text.count("\n") + 1
    if front_door == "serve":
        answer = InProcessClient("echo").complete(
            CompletionCall(str(file), line, None, text, client="me"), None
        )
    else:
        backend = OwnBackend(root, "echo")
        answer = asyncio.run(backend.complete(SuggestionRequest(file, text, line, 24)))
        backend.close()
    assert answer["decision"]["head"] == "test"
