"""A training of a repository's adapter from end to end, on a model that answers in milliseconds."""

from __future__ import annotations

import pytest

from codebuddy.commands.eval_gate import exit_status
from codebuddy.commands.train_adapter import _Report, lines_of
from codebuddy.evaluation.gate import Limit
from codebuddy.inference import stamps
from codebuddy.inference.installed import find_model
from codebuddy.inference.own_adapters import StoredAdapter, base_of
from codebuddy.service.context import repository_context_of_folder
from codebuddy.service.models import open_generator
from codebuddy.service.refresh import with_index
from codebuddy.terminal import StatusLine
from codebuddy.training.adapter.export import write_adapter
from codebuddy.training.own.fitting import Progress, Trained
from codebuddy.training.own.judging import Verdict, pass_gate
from codebuddy.training.own.keeping import alone
from codebuddy.training.own.run import Options, Outcome, OwnTraining, Surroundings, run
from codebuddy.vcs.worktrees import adapters_folder
from tests.support.tiny_model import random_weights, write_base
from tests.support.toy_repository import make_house

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(autouse=True)
def a_small_training(monkeypatch):
    """Of a machine that others use two wait for each other; and a library of few files."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("codebuddy.training.own.cutting._LIBRARY_FILES", 5)


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A repository with the tiny model in use."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    return make_house(tmp_path / "house")


def around_of(context, why_to_wait, shown, told=None):
    """What a training works with, and the base."""
    around = Surroundings(
        repository=context.repository,
        settings=context.settings,
        with_index=lambda ask: with_index(context, ask, should_update=True),
        open_generator=lambda: open_generator(context.settings, StatusLine()),
        show=shown.append,
        on_progress=lambda progress: shown.append("training"),
        why_to_wait=why_to_wait,
        tell=(shown if told is None else told).append,
    )
    return around, base_of(find_model(context.settings.model.name, context.settings))


def make_around(root, told):
    """What a training of a folder's repository works with, the base, and the adapters' folder."""
    context = repository_context_of_folder(root)
    return *around_of(context, lambda: "", [], told), adapters_folder(context.repository)


def train(context, why_to_wait, shown):
    """What comes of six seconds."""
    around, base = around_of(context, why_to_wait, shown)
    return run(around, base, Options(0.1))


@pytest.mark.slow
def test_it_gives_way_in_each_stage_and_goes_on_from_what_the_setting_says(house, tmp_path):
    """Cutting, training and comparing wait; the adapter that `model.adapter` names is the rival."""
    named = tmp_path / "named.gguf"
    write_adapter(named, random_weights(rank=8), "qwen2", 8.0)
    context = repository_context_of_folder(house, {"model.adapter": str(named)})
    shown: list[str] = []
    waited: list[str] = []

    def why_to_wait() -> str:
        stage = next((each.split()[0] for each in shown[::-1] if "waiting" not in each), "")
        if stage not in ("cutting", "training", "comparing:") or stage in waited:
            return ""
        waited.append(stage)
        return "somebody types"

    outcome = train(context, why_to_wait, shown)
    assert waited == ["cutting", "training", "comparing:"]
    assert shown.count("waiting: somebody types") == 3
    assert outcome.started_from == "named"
    assert outcome.verdict is not None
    assert set(outcome.verdict.arms) == {"base", "default", "own"}


@pytest.mark.parametrize(("least", "is_kept"), [(10, False), (-100, True)])
def test_an_adapter_that_does_not_keep_a_gates_limits_is_not_used(least, is_kept):
    """One that is better is used within the limits alone; without limits nothing is judged."""
    verdict = Verdict(20, {"own": {"quality": 1.0}}, "base", 3.0, (1.0, 5.0), 5.0, True, "better")
    limits = [Limit("compared.gain", "minimum", least), Limit("loss.held_out.now", "maximum", 2)]
    loss = {"held_out": {"before": 2.0, "now": 1.5}}
    judged, after = pass_gate(limits, loss, verdict)
    assert judged is not None
    assert judged["passed"] is after.is_better is is_kept
    assert ("limits" in after.reason) is not is_kept
    assert pass_gate([], loss, verdict) == (None, verdict)


@pytest.mark.parametrize("limits", [[], [Limit("compared.gain", "minimum", -100)]])
def test_where_nothing_is_new_to_learn_no_gate_is_passed(house, monkeypatch, tmp_path, limits):
    """Nothing was measured: the adapter in use stays, and the limits are not kept."""
    around, base, folder = make_around(house, [])
    training = OwnTraining(around, base, Options(0.1, limits=limits), folder)
    known = StoredAdapter("mine", tmp_path / "mine.gguf", {})
    monkeypatch.setattr(training, "_start", lambda: known)
    monkeypatch.setattr(training, "samples", lambda start: None)
    outcome = training.run()
    [line] = lines_of(outcome, "auto")
    assert "nothing new to learn: mine" in line
    assert exit_status(outcome.gate) == (1 if limits else 0)
    assert ("the gate judged nothing" in line) is bool(limits)


def test_what_fails_under_the_lock_is_no_other_training(house):
    """A federation's server that does not answer, say."""
    with (
        pytest.raises(TimeoutError, match="no answer"),
        alone(repository_context_of_folder(house).repository),
    ):
        raise TimeoutError("no answer")


def test_a_stopped_training_goes_on_with_no_file_that_is_left_out_since(house, monkeypatch):
    """Marked or deleted, and not committed: it begins anew without, and says so."""
    monkeypatch.setattr("codebuddy.training.own.cutting._LIBRARY_FILES", 5)
    told: list[str] = []
    around, base, folder = make_around(house, told)

    def sources():
        # Under the lock, which keeps an update of the index from deleting what was cut.
        with alone(around.repository):
            found = OwnTraining(around, base, Options(0.1), folder).samples(None)
        assert found is not None
        assert found.facts["learned_from"] == len(found.sources) <= found.facts["files"]
        return found.sources

    first = sources()
    assert sources() == first
    assert told == []
    marked = min(first)
    file = house / marked
    text = file.read_text()
    file.write_text("# codebuddy: no-train\n" + text)
    second = sources()
    assert marked not in second
    assert len(told) == 1
    file.write_text(text)
    gone = min(second)
    (house / gone).unlink()
    assert gone not in sources()
    assert len(told) == 2


def test_the_outcome_says_how_many_files_were_learned_from(house):
    """Of a large repository not each file that may be: there is no time for all."""
    trained = Trained(house, 16.0, 3, 60.0, False, {}, (), ())
    verdict = Verdict(20, {}, "base", 3.0, (1.0, 5.0), 5.0, True, "better")
    facts = {"files": 2400, "learned_from": 380, "left_out": {}}
    assert lines_of(Outcome("a", facts, trained, verdict), "auto")[0].startswith(
        "learned from 380 of 2400 files, 3 steps"
    )
    facts["learned_from"] = 2400
    assert "learned from 2400 files" in lines_of(Outcome("a", facts, trained, verdict), "auto")[0]


def test_progress_of_a_private_training_names_no_held_out_loss(capsys):
    """None is looked at."""
    report = _Report(StatusLine())
    report._noted = float("-inf")
    report.on_progress(Progress(3, 60.0, 1.5, ()))
    said = capsys.readouterr().err
    assert "loss 1.50" in said
    assert "held out" not in said
