"""Labels without people, and a head of one's own: what is asked, kept and refused."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest

from codebuddy import heads
from codebuddy.completion.confidence import NAMES as TEXT_NAMES
from codebuddy.completion.head import Head
from codebuddy.datatypes import Adapter
from codebuddy.errors import TrainingError
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings
from codebuddy.training.adapter.export import write_card
from codebuddy.training.head import personal
from codebuddy.training.head.adapt import GainThresholds, adapt, as_json
from codebuddy.training.head.examples import append_example, read_examples, write_header
from codebuddy.training.head.fit import fit_stage
from codebuddy.training.head.labels import Labelling, label_holes
from codebuddy.training.head.on_repository import unseen_files
from codebuddy.training.head.personal import train_personal
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.commands.test_complete import codebuddy
from tests.completion.test_head import FEATURES, example, synthetic_examples
from tests.support.evaluation import CART, indexed, make_shop
from tests.support.index import run_git
from tests.support.tiny_model import write_random_adapter

SETTINGS = CompletionSettings()
PRICES = GainThresholds(at_once=1.0, again=3.0)


class Listener(EchoGenerator):
    """An echo that keeps what it was asked: text of chunks, and text of the file."""

    def __init__(self):
        self.asked = []

    def generate(self, tokens, settings, stats, cancellation=None):
        """As the echo's own."""
        file_from = len(tokens) - 1 - list(reversed(tokens)).index(self.fim.prefix)
        parts = (tokens[:file_from], tokens[file_from:])
        self.asked.append(tuple(bytes(t for t in part if t < 256).decode() for part in parts))
        return super().generate(tokens, settings, stats, cancellation)


@pytest.fixture
def labelling(tmp_path):
    """What labels of the shop come from."""
    with indexed(make_shop(tmp_path / "shop")) as (repository, index):
        yield Labelling(repository, index, Listener(), SETTINGS, "shop")


def places(examples):
    """Which holes they are."""
    return [(each.path, each.start, each.end) for each in examples]


def test_both_texts_see_the_same_file_and_neither_sees_the_hole(labelling, tmp_path):
    """Each hole is asked for twice: what was cut out is in no prompt, nor in a chunk."""
    found = label_holes(labelling, tmp_path / "labels.jsonl", 4)
    assert len(found) > 4
    root, asked = labelling.repository.root, labelling.generator.asked
    assert len(asked) == 2 * len(found)
    n_told = 0
    for each, never, always in zip(found, asked[::2], asked[1::2], strict=True):
        assert never[1] == always[1]
        assert "def " not in never[0]
        source = (root / each.path).read_bytes()
        hole = source[each.start : each.end].decode()
        if source.decode().count(hole) > 1:
            continue
        n_told += 1
        assert hole not in never[1]
        # A definition may stand in another file's chunk, the hole itself may not.
        assert hole not in always[0]
    assert n_told > 2
    assert any("def " in always[0] for always in asked[1::2])


def test_labelling_goes_on_where_it_stopped(labelling, tmp_path):
    """Rows stay, a row that a kill cut short is made again, and the order is the same."""
    whole = label_holes(labelling, tmp_path / "whole.jsonl", 4)
    file = tmp_path / "labels.jsonl"
    assert label_holes(labelling, file, 4, deadline=0.0) == []
    first = label_holes(labelling, file, 2)
    assert 0 < len(first) < len(whole)
    file.write_text(file.read_text()[:-20])
    asked = len(labelling.generator.asked)
    again = label_holes(labelling, file, 4)
    assert sorted(places(again)) == sorted(places(whole))
    assert len(labelling.generator.asked) - asked == 2 * (len(whole) - len(first) + 1)
    assert sorted(places(read_examples(file)[1])) == sorted(places(whole))


def test_labels_for_another_model_are_put_aside(labelling, tmp_path, capsys):
    """They do not mix, and are not lost."""
    file = tmp_path / "labels.jsonl"
    before = label_holes(labelling, file, 1)
    other = Listener()
    other.name = "other"
    label_holes(dataclasses.replace(labelling, generator=other), file, 1)
    assert read_examples(file)[0]["model"] == "other"
    (aside,) = tmp_path.glob("labels.*-*.old")
    assert "put aside" in capsys.readouterr().err
    assert places(read_examples(aside)[1]) == places(before)


def test_labels_that_were_put_aside_are_gone_on_with(labelling, tmp_path, capsys):
    """Whoever tries another model and comes back has the labels of the first one: hours of work."""
    file = tmp_path / "labels.jsonl"
    before = label_holes(labelling, file, 1)
    other = Listener()
    other.name = "other"
    label_holes(dataclasses.replace(labelling, generator=other), file, 1)
    asked = len(labelling.generator.asked)
    assert "are for model echo, not other" in capsys.readouterr().err
    assert places(label_holes(labelling, file, 1)) == places(before)
    assert len(labelling.generator.asked) == asked
    assert f"{len(before)} labels that were put aside go on" in capsys.readouterr().err
    (aside,) = tmp_path.glob("labels.*-*.old")
    assert read_examples(aside)[0]["model"] == "other"


def test_no_hole_is_cut_into_what_the_adapter_learned_from(labelling, tmp_path):
    """It knows that by heart, and labels of it would say that lookups help little."""
    whole = label_holes(labelling, tmp_path / "all.jsonl", 4)
    path = min(each.path for each in whole)
    assert {each.path for each in whole} > {path}
    unseen = dataclasses.replace(labelling, unseen=frozenset({path}))
    assert {each.path for each in label_holes(unseen, tmp_path / "some.jsonl", 4)} == {path}
    assert unseen.header() != labelling.header()


def test_the_card_says_what_an_adapter_never_saw(labelling, tmp_path, capsys):
    """Of an adapter of the repository alone; one that does not say it is warned of."""
    repository = labelling.repository
    folder = adapters_folder(repository)
    assert folder is not None
    folder.mkdir(parents=True)
    file = write_random_adapter(folder / "mine.gguf", seed=1)
    write_card(file, ["b" * 64], 4, 8.0, {"watched": ["a.py"], "judged": ["b.py"]}, {})
    mine = Adapter("mine", "a" * 64, file, (0, 0, 0, 0), 1, 4, 8.0)
    assert unseen_files(mine, repository) == frozenset({"a.py", "b.py"})
    assert unseen_files(None, repository) is None
    elsewhere = dataclasses.replace(mine, path=tmp_path / "mine.gguf")
    assert unseen_files(elsewhere, repository) is None
    assert capsys.readouterr().err == ""
    write_card(file, ["b" * 64], 4, 8.0, {"watched": 1, "judged": 1}, {})
    assert unseen_files(mine, repository) is None
    assert "does not say from which" in capsys.readouterr().err


def test_a_repository_without_code_is_told_so(tmp_path):
    """There is nothing to cut holes into."""
    with indexed(make_shop(tmp_path / "empty", {"README.md": "# Nothing\n"})) as (repo, index):
        labelling = Labelling(repo, index, EchoGenerator(), SETTINGS, "empty")
        with pytest.raises(TrainingError, match="no code to learn from"):
            label_holes(labelling, tmp_path / "labels.jsonl", 4)


def one_repository(count, *, is_odd):
    """Holes of one repository; an odd one's lookups help where elsewhere they do not."""
    rng = random.Random(3)
    found = [dataclasses.replace(example(n, rng), repository="own") for n in range(count)]
    if not is_odd:
        return found
    return [
        dataclasses.replace(
            each,
            features={
                **each.features,
                "callee_elsewhere": 1.0 - each.features["callee_elsewhere"],
            },
        )
        for each in found
    ]


def default_head(shared, has_confidence):
    """A head fitted on the shared holes."""
    stage = fit_stage(shared, FEATURES)
    after = fit_stage(shared, ("first_logprob",)) if has_confidence else None
    return Head("default", {}, stage, after, 0.4)


def test_an_odd_repository_keeps_what_it_learned():
    """Where the default is wrong the adapted stage predicts better on files left out."""
    shared = synthetic_examples()
    found = adapt(
        default_head(shared, has_confidence=False), shared, one_repository(200, is_odd=True), PRICES
    )
    assert found.is_better
    assert found.confidence is None
    assert found.syntax.adapted.gain_error < found.syntax.default.gain_error - 1
    assert found.syntax.adapted.net_gain > found.syntax.default.net_gain
    assert found.syntax.kept is found.syntax.adapted_stage
    told = as_json(found)
    assert told["syntax"]["is_better"]
    assert "confidence" not in told


def test_each_stage_is_kept_by_itself():
    """What is learned of the place says nothing for the stage that judges texts."""
    shared = synthetic_examples()
    own = one_repository(200, is_odd=True)
    found = adapt(default_head(shared, has_confidence=True), shared, own, PRICES)
    assert found.syntax.is_better
    assert found.confidence is not None
    assert found.confidence.kept in (found.confidence.default_stage, found.confidence.adapted_stage)
    assert set(as_json(found)) == {"syntax", "confidence"}
    again = adapt(default_head(shared, has_confidence=True), shared, own, PRICES)
    assert as_json(again) == as_json(found)


@pytest.mark.slow
def test_a_kept_head_decides_and_lies_beside_the_index(labelling):
    """Enough labels adapt the shipped head; whether it is kept is what the comparison says."""
    file = heads.personal_labels_file(labelling.repository)
    write_header(file, labelling.header())
    rng = random.Random(5)
    for each in one_repository(120, is_odd=True):
        sure = {name: -rng.random() for name in TEXT_NAMES}
        after = dict.fromkeys(TEXT_NAMES, 0.0)
        row = dataclasses.replace(each, confidence=sure, confidence_after=after)
        append_example(file, dataclasses.replace(row, repository="shop"))
    training = train_personal(labelling, 2, 1.0)
    told = training.as_json()
    assert told["holes"] > 120
    assert told["missing"] == 0
    assert told["kept"] == any(told[name]["is_better"] for name in ("syntax", "confidence"))
    own = heads.personal_head_file(labelling.repository)
    assert own.exists() == told["kept"]
    chosen = heads.choose_head(labelling.repository, heads.trained_for("echo", SETTINGS)).head
    assert chosen is not None
    assert (chosen.name == f"shop, {told['holes']} holes") == told["kept"]
    assert run_git(labelling.repository.root, "status", "--porcelain") == ""


def test_a_head_of_another_model_is_no_matter_of_these_labels(tmp_path):
    """It stays where they speak for the shipped head; a damaged one goes."""
    file = tmp_path / "head.json"
    assert not personal.is_of(file, "echo")
    shipped = json.loads(heads.default_head_file().read_text())
    heads.save_head(file, shipped | {"trained_for": {"model": "other"}})
    assert not personal.is_of(file, "echo")
    assert personal.is_of(file, "other")
    file.write_text("{")
    assert personal.is_of(file, "echo")


@pytest.mark.process
def test_the_command_says_how_much_is_missing_and_resets(tmp_path):
    """Too little code: a sentence with numbers; the labels stay until they are reset."""
    root = make_shop(tmp_path / "shop")
    arguments = ("train", "head", "--model", "echo", "--per-kind", "3", "--minutes", "1")
    done = codebuddy(root, *arguments, "--json")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["holes"] > 2
    assert (told["missing"], told["kept"]) == (60 - told["holes"], False)
    assert told["exhausted"]
    done = codebuddy(root, *arguments)
    needed = f"holes labelled: {told['holes']}; {told['missing']} more are needed"
    assert needed in done.stdout.decode()
    file = heads.personal_labels_file(open_repository(root))
    assert len(read_examples(file)[1]) == told["holes"]
    assert "--per-kind 20 or more" in done.stderr.decode()
    done = codebuddy(root, "train", "head", "--model", "echo", "--minutes", "1")
    assert "no more holes can be cut" in done.stderr.decode()
    done = codebuddy(root, "train", "head", "--model", "echo", "--minutes", "1e-9", "--seed", "1")
    assert "put aside" in done.stderr.decode()
    assert "goes on where it stopped" in done.stderr.decode()
    assert (root / "shop/cart.py").read_text() == CART
    gone = codebuddy(root, "train", "head", "--reset", "--json")
    first, *others = json.loads(gone.stdout)["removed"]
    assert first == file.name
    assert others
    assert not list(file.parent.glob("head*"))
