"""Robustness and sensitivity are measured on holes: resumable, and nothing counts for nothing."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from codebuddy.completion.head import Classifier, Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.evaluation.holes import KINDS, cut_holes
from codebuddy.evaluation.robust.compare import compare_robustness
from codebuddy.evaluation.robust.results import (
    NOMINAL,
    ArmResult,
    PlaceResult,
    place_from_json,
    places_of,
)
from codebuddy.evaluation.robust.search import search_robustness, search_table
from codebuddy.evaluation.robust.sensitivity import (
    Measured,
    PairResult,
    holm,
    measure,
    pair_from_json,
    sign_test,
    summarize_sensitivity,
)
from codebuddy.evaluation.robust.session import (
    RobustnessOptions,
    evaluate_robustness,
    evaluate_sensitivity,
)
from codebuddy.evaluation.robust.summary import summarize_robustness
from codebuddy.evaluation.robust.tables import robustness_tables, sensitivity_tables
from codebuddy.evaluation.robust.tasks import HoleTask, Variation, variations
from codebuddy.evaluation.runner import make_setup
from codebuddy.evaluation.session import EvaluationOptions, find_holes
from codebuddy.evaluation.store import Run
from codebuddy.inference.echo import EchoGenerator
from codebuddy.robustness.catalog import TRANSFORMATIONS
from codebuddy.robustness.identity import ATTRIBUTES, with_comment
from codebuddy.robustness.place import Place, open_view
from codebuddy.robustness.queries import with_slip
from codebuddy.settings import CompletionSettings, ModelSettings, Settings
from tests.support.evaluation import indexed, make_shop

ECHO = Settings(model=ModelSettings(name="echo"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A repository with its index, without a commit, which would need a home of its own."""
    from tests.support.evaluation import FILES
    from tests.support.index import make_repository

    root = make_repository(tmp_path_factory.mktemp("robust") / "shop", FILES)
    with indexed(root) as opened:
        yield opened


def arm(text: str, exact: float, similar: float, prompt: str, **more: object) -> ArmResult:
    """A completion of an arm."""
    values = {"retrieve": False, "chunks": (), "latency_ms": 1.0} | more
    return ArmResult(
        text=text,
        exact_match=exact,
        edit_similarity=similar,
        prompt=prompt,
        **values,  # type: ignore[arg-type]
    )


def result(hole: str, name: str, seed: int, *arms: ArmResult, reason: str = "") -> PlaceResult:
    """What became of a hole; arms are never and auto."""
    return PlaceResult(
        id=f"{hole}:{name}:{seed}",
        hole=hole,
        transformation=name,
        seed=seed,
        kind="line",
        path="a.py",
        line=1,
        language="python",
        reason=reason,
        reference="x",
        arms=dict(zip(("never", "auto"), arms, strict=False)),
    )


def test_the_worst_version_counts_and_an_unread_one_does_not():
    """By hand: a hole of two versions, one whose prompt stayed the same, and one not changed."""
    results = [
        result("a", NOMINAL, 0, arm("x", 1, 100, "p")),
        result("a", "SwapChar", 0, arm("x", 1, 100, "q")),
        result("a", "SwapChar", 1, arm("y", 0, 40, "r", retrieve=True)),
        result("b", NOMINAL, 0, arm("y", 0, 50, "p")),
        result("b", "SwapChar", 0, arm("y", 0, 50, "p")),
        result("c", NOMINAL, 0, arm("y", 0, 50, "p")),
        result("c", "SwapChar", 0, reason="there is no name"),
        result("d", "SwapChar", 0, arm("y", 0, 50, "never completed as it is")),
    ]
    found = summarize_robustness(results, 0)
    row = found["transformations"]["SwapChar"]
    assert (row["changed"], row["unseen"], row["unchanged"]) == (1, 1, 1)
    assert row["reasons"] == {"there is no name": 1}
    never = row["arms"]["never"]
    assert never["holes"] == 1
    assert (never["exact_match"], never["robust_exact_match"], never["robust_drop"]) == (1, 0, 1)
    assert (never["edit_similarity"], never["robust_edit_similarity"]) == (100, 40)
    assert never["edit_similarity_drop"] == pytest.approx(0.6)
    assert (never["robust_relative"], never["flips"]) == (1, 1)
    assert found["families"]["names"] == found["all"] == row["arms"]
    assert any("SwapChar" in line for line in robustness_tables(found))


def test_a_version_may_be_right_where_the_place_as_it_is_is_not():
    """Robust relative counts both directions; robust drop is negative then."""
    results = [
        result("a", NOMINAL, 0, arm("y", 0, 50, "p", chunks=("a:1-2", "b:1-2"))),
        result("a", "SwapChar", 0, arm("x", 1, 100, "q", chunks=("a:1-2",))),
    ]
    figures = summarize_robustness(results, 0)["all"]["never"]
    assert figures["robust_relative"] == 1
    assert figures["robust_drop"] is None
    assert figures["edit_similarity_drop"] == -1
    assert (figures["stability"], figures["chunks_changed"]) == (0.5, 1)


def test_a_run_goes_on_where_it_stopped(tmp_path):
    """Time that is up ends it; the same work later does only what is left, with the same result."""
    with indexed(make_shop(tmp_path / "r")) as (repository, index):
        options = RobustnessOptions(KINDS, ["never", "auto"], tasks=1, n_seeds=2)
        holes = find_holes(repository, index, options)
        work = (repository, index, EchoGenerator(), ECHO)
        early = evaluate_robustness(*work, dataclasses.replace(options, minutes=1e-9), holes)
        assert (early.ended, early.results) == ("time", [])
        late = evaluate_robustness(*work, options, holes)
        assert (late.ended, late.run.name) == ("done", early.run.name)
        n_versions = len(variations(TRANSFORMATIONS, 2))
        assert n_versions == 1 + 30 + sum(each.is_random for each in TRANSFORMATIONS)
        assert len(late.results) == len(holes) * n_versions == late.run.n_planned
        again = evaluate_robustness(*work, options, holes)
        assert again.run.name != late.run.name
        first = {each.id: without_times(each) for each in late.results}
        assert {each.id: without_times(each) for each in again.results} == first
        compared = compare_robustness(late.results, again.results)
        assert compared["tasks"] > 0
        for arms in compared["families"].values():
            for scores in arms.values():
                assert {each["difference"] for each in scores.values()} == {0}


def test_two_runs_are_compared_on_what_the_model_read_in_both():
    """A version whose prompt stayed as it was counts in neither, as in each run's own figures."""
    first = [
        result("a", NOMINAL, 0, arm("x", 1, 100, "p")),
        result("a", "SwapChar", 0, arm("y", 0, 40, "q")),
        result("b", NOMINAL, 0, arm("x", 1, 100, "p")),
        result("b", "SwapChar", 0, arm("x", 1, 100, "p")),
        result("b", "tab_indent", 0, arm("x", 1, 100, "p")),
    ]
    second = [*first[:1], result("a", "SwapChar", 0, arm("y", 0, 60, "r")), *first[2:]]
    families = compare_robustness(first, second)["families"]
    assert set(families) == {NOMINAL, "names"}
    pair = families["names"]["never"]["robust_edit_similarity"]
    assert (pair["first"], pair["second"], pair["difference"]) == (40, 60, 20)
    assert families[NOMINAL]["never"]["robust_edit_similarity"]["first"] == 100


def without_times(each: PlaceResult) -> PlaceResult:
    """The result as it would be on any machine."""
    arms = {name: dataclasses.replace(arm, latency_ms=0.0) for name, arm in each.arms.items()}
    return dataclasses.replace(each, arms=arms)


def test_what_is_changed_is_the_place_or_what_is_looked_up(shop):
    """Without a lookup, changed chunks reach no prompt; the place does."""
    repository, index = shop
    (hole,) = cut_holes(repository, index, ["call"], 1, 0)
    setup = make_setup(
        repository, index, EchoGenerator(), CompletionSettings(), ["never", "always"], 0
    )
    plain = HoleTask(hole, setup, "place").run(Variation(NOMINAL))
    for target, variation in itertools.product(("place", "chunks", "both"), ("tab_indent",)):
        task = HoleTask(hole, setup, target)  # type: ignore[arg-type]
        changed = task.run(Variation(variation))
        task.close()
        is_same = changed.arms["never"].prompt == plain.arms["never"].prompt
        assert is_same == (target == "chunks")
        assert changed.arms["always"].prompt != plain.arms["always"].prompt


class Writing(EchoGenerator):
    """Writes one text, whatever is asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def generate(self, tokens, settings, stats, cancellation=None):
        """The text in one piece."""
        stats.prompt_tokens = stats.evaluated_tokens = len(tokens)
        stats.generated_tokens, stats.finish_reason = 1, "stop"
        yield self.text


def test_a_name_is_changed_back_before_the_text_is_compared(tmp_path):
    """A model that writes the new name is right where the hole has the old one."""
    text = "def big_thing(a):\n    b = a\n    return big_thing(b)\n"
    with indexed(make_shop(tmp_path / "r", {"a.py": text})) as (repository, index):
        start = text.rindex("big_thing(b)")
        (hole, *_) = cut_holes(repository, index, ["line"], 9, 0)
        hole = dataclasses.replace(hole, start_byte=start, end_byte=len(text) - 1)
        writing = Writing("bigThing(b)\n")
        setup = make_setup(repository, index, writing, CompletionSettings(), ["never"], 0)
        changed = HoleTask(hole, setup, "place").run(Variation("CamelCase")).arms["never"]
        plain = HoleTask(hole, setup, "place").run(Variation(NOMINAL)).arms["never"]
    assert changed.text.strip() == "bigThing(b)"
    assert (changed.exact_match, changed.edit_similarity) == (1, 100)
    assert plain.exact_match == 0


def test_results_come_back_from_their_json():
    """A result read again is what was written; one with a part missing is left out."""
    whole = result("a", "SwapChar", 0, arm("x", 1, 100, "q", chunks=("a:1-2",)))
    assert place_from_json(whole.as_json()) == whole
    halves = [{}, {**whole.as_json(), "arms": 3}, {**whole.as_json(), "extra": 1}]
    run = Run("r", {}, {str(number): half for number, half in enumerate(halves)})
    assert places_of(run) == []
    assert run.n_damaged == len(halves)
    pair = PairResult("a", "author", "a.py", 1, "", {"x": [Measured("", 1.0, 0.5, True, (-1.0,))]})
    assert pair_from_json(pair.as_json()) == pair
    with pytest.raises(ValueError, match="no task"):
        pair_from_json({})


def test_a_slip_changes_one_word_and_a_seed_decides():
    """The first letter stays; a question without a long word stays as it is."""
    query = "the amount after a discount"
    for seed in range(40):
        slipped = with_slip(query, seed)
        assert slipped == with_slip(query, seed)
        changed = [a for a, b in zip(query.split(), slipped.split(), strict=True) if a != b]
        assert len(changed) <= 1
        assert [each[0] for each in slipped.split()] == [each[0] for each in query.split()]
    assert len({with_slip(query, seed) for seed in range(40)}) > 10
    assert with_slip("a b c", 0) == "a b c"


def test_search_is_asked_with_and_without_slips(shop):
    """The same questions; the loss is the difference of both."""
    repository, index = shop
    found = search_robustness(repository, index, Settings(), 10, 0)
    assert found["queries"] == 2
    for each in found["channels"].values():
        assert each["loss"] == pytest.approx(each["ndcg_at_10"] - each["robust_ndcg_at_10"])
    assert len(search_table(found)) == 3 + len(found["channels"])


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda each: each.name)
def test_a_comment_is_a_line_of_its_own_and_changes_no_code(attribute):
    """Above the hole's line, with its indentation, in languages of either sign."""
    for language, source in {
        "python": "def f(x):\n    return x + 1\n",
        "go": "func f(x int) int {\n\treturn x + 1\n}\n",
    }.items():
        code = source.encode()
        start = code.index(b"x + 1")
        place = Place(code, language, start, start + 5)
        view = open_view(place)
        for text in (*attribute.controls, attribute.bare, *(t for _, t in attribute.values)):
            changed = with_comment(view, text)
            assert changed.hole == place.hole
            lines = changed.source.decode().split("\n")
            (at,) = [i for i, line in enumerate(lines) if text in line]
            assert lines[:at] + lines[at + 1 :] == source.split("\n")
            indent = lines[at + 1][: len(lines[at + 1]) - len(lines[at + 1].lstrip())]
            assert lines[at].startswith(indent + view.grammar.spec.line_comment)


def test_names_are_balanced():
    """Twenty names, as many of each group, the same in both attributes."""
    author, origin = ATTRIBUTES[0], ATTRIBUTES[1]
    assert len(author.values) == len(origin.values) == 20
    assert {text for _, text in author.values} == {text for _, text in origin.values}
    counts = [[g for g, _ in each.values].count(group) for each in (author, origin)
              for group in each.groups]  # fmt: skip
    assert counts == [10, 10, 4, 4, 4, 4, 4]


def test_sensitivity_is_what_exceeds_the_control():
    """By hand: one group is worse by 30, the controls differ by 10."""

    def measured(similar: float, logprob: float) -> Measured:
        return Measured(str(similar), similar, 0.5, False, (logprob, logprob))

    rows = [
        PairResult(
            f"{hole}:pronoun",
            "pronoun",
            "a.py",
            1,
            "",
            {
                "control": [measured(80, -1)],
                "other control": [measured(70, -1)],
                "bare": [measured(80, -2)],
                "he": [measured(80, -1)],
                "she": [measured(50, -1.5)],
                "they": [measured(80, -1)],
            },
        )
        for hole in range(12)
    ]
    found = summarize_sensitivity(rows, 0)
    she = found["attributes"]["pronoun"]["she"]
    assert (she["difference"], she["counterfactual"], she["counterfactual_control"]) == (
        *(-30, 30, 10),
    )
    assert (she["sensitivity"], found["worst"], found["largest_sensitivity"]) == (20, -30, 20)
    assert she["logprob_difference"] == pytest.approx(-0.5)
    assert she["accumulated"] == pytest.approx(0.5)
    assert she["p"] is not None
    assert she["p"] < 0.01
    assert found["attributes"]["pronoun"]["he"]["p"] == 1
    assert found["pairs"][0]["group"] == "she"
    lines = sensitivity_tables(found)
    assert any(line == "  80.0    | 50.0" or line.split() == ["80", "|", "50"] for line in lines)


def test_chances_are_right_and_corrected():
    """Of four pairs that all fall, 2 of 16 draws of signs are as far; Holm's steps by hand."""
    assert sign_test([-1.0, -2.0, -3.0, -4.0], 0) == pytest.approx(2 / 16)
    assert sign_test([0.0, 0.0], 0) == 1
    assert sign_test([1.0] * 40, 0) < 0.001
    corrected = holm({("a", "a"): 0.01, ("a", "b"): 0.04, ("a", "c"): 0.03})
    assert corrected == {
        ("a", "a"): pytest.approx(0.03),
        ("a", "c"): pytest.approx(0.06),
        ("a", "b"): pytest.approx(0.06),
    }


def test_sensitivity_is_measured_hole_by_hole(tmp_path):
    """With `echo`, which repeats the comment: resumable, and each comment makes its own text."""
    with indexed(make_shop(tmp_path / "r")) as (repository, index):
        options = EvaluationOptions(["line"], ["auto"], tasks=2, minutes=1e-9)
        holes = find_holes(repository, index, options)
        work = (repository, index, EchoGenerator(), ECHO)
        early = evaluate_sensitivity(*work, options, holes)
        assert early.ended == "time"
        late = evaluate_sensitivity(*work, dataclasses.replace(options, minutes=0), holes)
        assert (late.ended, late.run.name) == ("done", early.run.name)
        assert len(late.results) == len(holes) * len(ATTRIBUTES)
    assert any(each.values for each in late.results)


class Scoring(Writing):
    """Writes with ever worse probabilities, and keeps the prompts read and scored behind."""

    def __init__(self) -> None:
        super().__init__("text\n")
        self.read: list[tuple[int, ...]] = []
        self.scored: list[tuple[int, ...]] = []
        self.has_probabilities = True

    def generate(self, tokens, settings, stats, cancellation=None):
        """The text, each time less likely than before."""
        self.read.append(tuple(tokens))
        stats.token_logprobs = [-0.1 * len(self.read)]
        yield from super().generate(tokens, settings, stats, cancellation)

    def score(self, tokens, text):
        """The same for each token."""
        self.scored.append(tuple(tokens))
        return [-1.0] * len(text)


def test_a_comment_that_two_attributes_have_is_completed_once(shop):
    """Names, controls and the bare comment of authors and origins are the same."""
    repository, index = shop
    (hole,) = cut_holes(repository, index, ["line"], 1, 0)
    scoring = Scoring()
    setup = make_setup(repository, index, scoring, CompletionSettings(), ["never"], 0)
    known: dict[str, Measured] = {}
    author, origin = (measure(hole, each, setup, known) for each in ATTRIBUTES[:2])
    assert len(scoring.read) == len(scoring.scored) == len(known) == 20 + 3
    assert author.values["control"] == origin.values["control"]
    assert sum(len(each) for each in origin.values.values()) == 20 + 3


def test_probabilities_are_behind_the_prompt_of_the_text_that_is_kept(shop):
    """Where the model is asked twice and its first text stays, the first prompt is meant."""
    repository, index = shop
    (hole,) = cut_holes(repository, index, ["line"], 1, 0)
    gains = [Classifier((), 0.0, (), (), (0.0, 1.0), (0.5, 0.6), (g, g + 1e-6)) for g in (-5, 90)]
    head = Head("test", {}, syntax=gains[0], confidence=gains[1])
    scoring = Scoring()
    settings = CompletionSettings()
    setup = make_setup(
        repository, index, scoring, settings, ["auto"], 0, head=head, latency=LatencyModel()
    )
    found = measure(hole, ATTRIBUTES[2], setup, {})
    n_comments = sum(len(each) for each in found.values.values())
    assert len(scoring.read) == 2 * n_comments
    assert scoring.scored == scoring.read[::2]


@pytest.mark.model
def test_probabilities_of_the_true_text_are_the_models_own(shop, small_model):
    """What the model writes itself is at least as likely to it as another text, token by token."""
    tokens = small_model.tokenize("def add(first, second):\n    return first +")
    right = small_model.score(tokens, small_model.tokenize(" second"))
    wrong = small_model.score(tokens, small_model.tokenize(" banana"))
    assert sum(right) / len(right) > sum(wrong) / len(wrong)
    assert all(each <= 0 for each in [*right, *wrong])
    text = small_model.tokenize(" second\n\n\ndef main():\n    pass\n")
    both = small_model.score(tokens, text)
    alone = [small_model.score([*tokens, *text[:at]], text[at : at + 1])[0] for at in range(3)]
    assert both[:3] == pytest.approx(alone, abs=0.05)
    repository, index = shop
    (hole,) = cut_holes(repository, index, ["line"], 1, 0)
    small = CompletionSettings(max_tokens=2, prefix_tokens=32, suffix_tokens=0, context_tokens=40)
    setup = make_setup(repository, index, small_model, small, ["never"], 0)
    found = measure(hole, ATTRIBUTES[2], setup, {})
    assert {len(m.logprobs) for values in found.values.values() for m in values} == {
        len(small_model.tokenize(hole.text))
    }
