"""Arms are compared fairly: the same place and model, nothing reused, nothing leaked."""

from __future__ import annotations

import pytest

from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.evaluation.cold import ColdGenerator
from codebuddy.evaluation.docstrings import docstring_report
from codebuddy.evaluation.holes import KINDS, cut_holes
from codebuddy.evaluation.results import EVALUATED_MODES, results_of, task_from_json
from codebuddy.evaluation.retrieval import COMPLETION, definition_report, first_rank
from codebuddy.evaluation.runner import make_setup, run_task
from codebuddy.evaluation.session import EvaluationOptions, evaluate, find_holes
from codebuddy.evaluation.store import Run
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings, ModelSettings, Settings
from tests.support.evaluation import FILES, indexed, make_shop
from tests.support.index import make_repository

SMALL = CompletionSettings(max_tokens=4, prefix_tokens=32, suffix_tokens=0, context_tokens=40)


def test_a_prompt_that_comes_again_costs_what_it_cost(small_model):
    """The recording gives the same text and figures; another prompt begins with an empty cache."""
    cold = ColdGenerator(small_model)
    tokens = cold.tokenize("def add(first, second):\n    return")
    how = GenerationSettings(max_tokens=3)
    stats = [GenerationStats() for _ in range(3)]
    first = "".join(cold.generate(tokens, how, stats[0]))
    again = "".join(cold.generate(tokens, how, stats[1]))
    assert first == again != ""
    assert stats[0] == stats[1]
    assert cold.saved_ms > 0
    "".join(cold.generate([*tokens, *cold.tokenize(" first")], how, stats[2]))
    assert stats[0].reused_tokens == stats[2].reused_tokens == 0
    assert stats[2].evaluated_tokens == stats[2].prompt_tokens


def test_a_recording_that_was_stopped_goes_on_where_more_is_wanted():
    """Whoever reads further than the first reader did gets the rest, without repetition."""
    cold = ColdGenerator(EchoGenerator())
    tokens = cold.tokenize("some line of text\n")
    how = GenerationSettings(max_tokens=64)
    reading = cold.generate(tokens, how, GenerationStats())
    begun = next(reading) + next(reading)
    reading.close()  # type: ignore[attr-defined]
    whole = "".join(cold.generate(tokens, how, GenerationStats()))
    assert whole == "some line of text\n"
    assert whole.startswith(begun)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_model):
    """A call done by the small model, then a task of each kind done by `echo`."""
    # Without a commit, which would need a home of the test's own.
    root = make_repository(tmp_path_factory.mktemp("eval") / "r", FILES)
    with indexed(root) as (repository, index):
        (call,) = cut_holes(repository, index, ["call"], 1, 0)
        real = make_setup(repository, index, small_model, SMALL, EVALUATED_MODES, 0)
        done = [(call, run_task(call, real))]
        echo = make_setup(
            repository, index, EchoGenerator(), CompletionSettings(), EVALUATED_MODES, 0
        )
        holes = cut_holes(repository, index, KINDS, 2, 0)
        return done + [(hole, run_task(hole, echo)) for hole in holes]


def test_auto_is_one_of_the_other_arms(finished):
    """What `auto` gives is what the arm gives that it chose, at that arm's price."""
    for _, task in finished:
        auto = task.arms["auto"]
        chosen = task.arms["always" if auto.retrieve else "never"]
        assert (auto.text, auto.scores, auto.tokens) == (chosen.text, chosen.scores, chosen.tokens)


def test_no_arm_profits_from_another(finished):
    """Each arm evaluates its whole prompt, and looks up or not as its name says."""
    for _, task in finished:
        for name, arm in task.arms.items():
            assert arm.tokens["reused"] == 0
            assert arm.tokens["evaluated"] == arm.tokens["prompt"] > 0
            assert arm.latency_ms > 0
            mode = name.removeprefix("base_")
            assert mode == "auto" or arm.retrieve == (mode != "never")
        assert task.arms["never"].chunks == []


def test_lookups_never_bring_the_place_of_the_hole(finished):
    """No chunk that went into a prompt is of the lines around the hole."""
    for hole, task in finished:
        for chunk in task.arms["always"].chunks:
            is_near = chunk["start_line"] <= hole.position.line <= chunk["end_line"]
            assert not (chunk["path"] == hole.path and is_near)


def test_results_come_back_from_their_json(finished):
    """A task read again is the task that was written; one with a part missing is left out."""
    for _, task in finished:
        assert task_from_json(task.as_json()) == task
    whole = finished[0][1].as_json()
    halves = [
        {},
        {**whole, "arms": 3},
        {**whole, "arms": {"never": {}}},
        {**whole, "extra": 1},
        {**whole, "arms": {"never": {**whole["arms"]["never"], "latency_ms": "fast"}}},
    ]
    run = Run("r", {}, {str(number): half for number, half in enumerate(halves)})
    assert results_of(run) == []
    assert run.n_damaged == len(halves)


def test_time_that_is_up_ends_a_run_and_the_next_one_goes_on(tmp_path):
    """No task begins after the time; the same work later does only what is left."""
    with indexed(make_shop(tmp_path / "r")) as (repository, index):
        options = EvaluationOptions(KINDS, tasks=3, minutes=1e-9)
        holes = find_holes(repository, index, options)
        settings = Settings(model=ModelSettings(name="echo"))
        early = evaluate(repository, index, EchoGenerator(), settings, options, holes)
        assert (early.ended, early.results) == ("time", [])
        late = evaluate(
            repository, index, EchoGenerator(), settings, EvaluationOptions(KINDS, tasks=3), holes
        )
        assert (late.ended, len(late.results)) == ("done", len(holes))
        assert late.run.name == early.run.name


def test_a_file_that_is_edited_meanwhile_is_left_out(tmp_path):
    """A hole of a file that the index holds no more is not completed in the wrong place."""
    root = make_shop(tmp_path / "r")
    with indexed(root) as (repository, index):
        options = EvaluationOptions(["line"], tasks=50)
        holes = find_holes(repository, index, options)
    (root / "shop/cart.py").write_text("changed = True\n")
    with indexed(root) as (repository, index):
        outcome = evaluate(repository, index, EchoGenerator(), Settings(), options, holes)
    assert outcome.ended == "changed"
    assert {task.path for task in outcome.results} == {"shop/pricing.py"}


def test_retrieval_finds_the_definition_that_a_call_needs(tmp_path):
    """Of a handful of files, each channel and the completion's lookup rank the right one first."""
    with indexed(make_shop(tmp_path / "r")) as (repository, index):
        holes = cut_holes(repository, index, ["call"], 20, 0)
        found = definition_report(holes, repository, index, 0)
    calls = found["calls"]
    assert calls["queries"] == len(holes) == 2
    assert COMPLETION in calls["channels"]
    assert calls["channels"][COMPLETION]["recall_at_10"] == 1.0
    assert calls["channels"]["lexical"]["recall_at_10"] == 1.0
    typed, hidden = found["calls_name_typed"], found["calls_name_hidden"]
    assert typed["queries"] + hidden["queries"] == 2
    for channel in calls["channels"].values():
        assert 0 <= channel["recall_at_1"] <= channel["mrr"] <= channel["ndcg_at_10"] <= 1
        assert channel["ndcg_at_10"] <= channel["recall_at_10"]


def test_functions_are_found_by_words_that_their_code_does_not_hold(tmp_path, monkeypatch):
    """The documentation is gone from what is searched, and so is the copy afterwards."""
    import tempfile

    # Other runs may keep copies in the usual folder.
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with indexed(make_shop(tmp_path / "r")) as (repository, index):
        found = docstring_report(repository, index, Settings(), 10, 0)
        assert list(scratch.iterdir()) == []
    assert found["queries"] == 2
    assert found["channels"]["lexical"]["recall_at_10"] == 1.0


def test_what_is_searched_by_words_holds_no_documentation(tmp_path):
    """Comments and docstrings are cut, code is not."""
    from codebuddy.evaluation.docstrings import _bare
    from codebuddy.syntax.scope import open_tree

    source = str(FILES["shop/pricing.py"]).replace("percent = 100", "percent = 100  # all").encode()
    opened = open_tree(source, "python")
    assert opened is not None
    bare = _bare(source, *opened).decode()
    assert "discount, rounded" not in bare
    assert "# all" not in bare
    assert "def apply_discount(amount_cents: int, percent: int) -> int:" in bare
    assert 'country == "DE"' in bare


def test_the_rank_is_that_of_the_first_right_chunk(tmp_path):
    """Counted from 1, and none behind the tenth."""
    with indexed(make_shop(tmp_path / "r")) as (_, index):
        results = index.search("apply_discount shipping_cost total", 10)
        ids = [result.chunk.id for result in results]
        assert first_rank(results, lambda each: each == ids[1]) == 2
        assert first_rank(results * 6, lambda each: each == -1) is None
