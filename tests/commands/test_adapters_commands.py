"""`codebuddy adapters`: what there is, what is used, what is shared and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from codebuddy.config import load_settings
from codebuddy.inference import own_adapters, stamps
from codebuddy.inference.installed import find_model
from codebuddy.inference.own_adapters import base_of
from codebuddy.training.adapter.export import write_card
from codebuddy.training.own.fitting import Trained
from codebuddy.training.own.judging import Verdict
from codebuddy.training.own.keeping import keep_adapter
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.commands.test_complete import codebuddy
from tests.support.tiny_model import write_base, write_random_adapter

pytestmark = pytest.mark.process

KEYS = json.loads(Path(__file__).with_name("json_keys.json").read_text(encoding="utf-8"))

MADE_BY = {"model": "tiny", "commit": "c" * 40, "groups": {"learned": 9}}
FIGURES = {"kept": True, "gain": 4.5}


@pytest.fixture
def base(tmp_path, monkeypatch):
    """The tiny model in use, its digest known."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    return stamps.digest_of(file)


@pytest.fixture
def folder(repository):
    """Where the repository's adapters lie."""
    found = adapters_folder(open_repository(repository))
    assert found is not None
    found.mkdir(parents=True, mode=0o700)
    return found


def put(folder, base, name="mine", seed=1, *, is_trusted=True):
    """An adapter with its card."""
    file = write_random_adapter(folder / f"{name}.gguf", seed=seed)
    card = json.loads(write_card(file, [base], 4, 8.0, MADE_BY, FIGURES).read_text())
    if is_trusted:
        own_adapters.trust(card["sha256"])
    return file


def told(root, *arguments):
    """The JSON that a verb answers with."""
    done = codebuddy(root, "adapters", *arguments, "--json")
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert sorted(found) == KEYS[f"adapters {arguments[0]}"]
    return found


def refused(root, *arguments):
    """What a call that is refused says."""
    done = codebuddy(root, "adapters", *arguments)
    assert done.returncode in (1, 2)
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()


def test_they_are_listed_shown_used_and_removed(repository, folder, base):
    """By name, with what they are worth; the one in use has a star."""
    assert told(repository, "list") == {"folder": str(folder), "adapters": []}
    file = put(folder, base)
    [item] = told(repository, "list")["adapters"]
    assert item["name"] == "mine"
    assert (item["used"], item["trusted"], item["kept"], item["gain"]) == (False, True, True, 4.5)
    assert told(repository, "use", "mine") == {"used": "mine", "bases": [base]}
    assert own_adapters.used(folder, base) == "mine"
    assert codebuddy(repository, "adapters", "list").stdout.startswith(b"* mine: for tiny")
    shown = told(repository, "show", "mine")
    assert shown["used"]
    assert shown["card"]["made_by"] == MADE_BY
    assert b"made_by: " in codebuddy(repository, "adapters", "show", "mine").stdout
    assert told(repository, "use", "none")["bases"] == [base]
    assert own_adapters.used(folder, base) == "none"
    gone = told(repository, "remove", "mine")["removed"]
    assert gone == [str(file), str(file.with_suffix(".json"))]
    assert "no adapter 'mine'" in refused(repository, "remove", "mine")


@pytest.mark.parametrize("setting", ["none", "shipped", "path"])
def test_a_setting_goes_before_what_is_chosen_here(
    repository, folder, base, tmp_path, monkeypatch, setting
):
    """Both are said: that the choice is kept, and that another adapter writes."""
    file = put(folder, base)
    value = str(put(tmp_path, base, "other", 2)) if setting == "path" else setting
    monkeypatch.setenv("CODEBUDDY_MODEL_ADAPTER", value)
    done = codebuddy(repository, "adapters", "use", "mine")
    assert done.returncode == 0
    assert f"model.adapter is {value}, which goes before it" in done.stderr.decode()
    assert [each["used"] for each in told(repository, "list")["adapters"]] == [False]
    monkeypatch.setenv("CODEBUDDY_MODEL_ADAPTER", str(file))
    assert [each["used"] for each in told(repository, "list")["adapters"]] == [True]
    monkeypatch.delenv("CODEBUDDY_MODEL_ADAPTER")
    assert [each["used"] for each in told(repository, "list")["adapters"]] == [True]
    assert b"goes before" not in codebuddy(repository, "adapters", "use", "mine").stderr


def test_one_is_given_to_another_clone(repository, folder, base, git, tmp_path):
    """Exported for its owner alone; imported only with trust, and never used by itself."""
    put(folder, base)
    shared = tmp_path / "shared"
    shared.mkdir()
    [file, _] = told(repository, "export", "mine", str(shared))["files"]
    assert (shared / "mine.gguf").stat().st_mode & 0o077 == 0
    assert (shared / "mine.json").stat().st_mode & 0o077 == 0
    assert "is there already" in refused(repository, "export", "mine", str(shared))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    assert "--trust" in refused(clone, "import", file)
    item = told(clone, "import", file, "--trust", "--name", "theirs")
    assert (item["name"], item["used"], item["trusted"]) == ("theirs", False, True)
    other = adapters_folder(open_repository(clone))
    assert other is not None
    assert (other / "theirs.gguf").stat().st_mode & 0o077 == 0
    assert "already" in refused(clone, "import", file, "--trust", "--name", "theirs")
    told(clone, "use", "theirs")
    assert own_adapters.used(other, base) == "theirs"


def test_a_private_one_goes_without_names_of_files_and_code(repository, folder, base, tmp_path):
    """Which noise does not hide; counts stay, and the card at home names them still."""
    file = write_random_adapter(folder / "mine.gguf", seed=1)
    told_of = {"watched": ["zqx/a.py"], "judged": ["zqx/b.py"], "deprecated": ["zqx_old"]}
    spent = {"epsilon": 8.0, "delta": 0.01, "unit": "file", "units": 10}
    made_by = {**MADE_BY, **told_of, "left_out": {"short": 2}, "privacy": spent}
    own = write_card(file, [base], 4, 8.0, made_by, FIGURES)
    own_adapters.trust(json.loads(own.read_text())["sha256"])
    told(repository, "export", "mine", str(tmp_path))
    card = (tmp_path / "mine.json").read_text()
    assert "zqx" not in card
    assert json.loads(card)["made_by"]["deprecated"] == 1
    assert json.loads(card)["made_by"]["left_out"] == {"short": 2}
    assert "zqx" in own.read_text()


def test_a_training_takes_nothing_away_that_was_imported(repository, folder, base, tmp_path):
    """Neither where it lies there, nor of the same name, nor where it was used and is followed."""
    whole = base_of(find_model(os.environ["CODEBUDDY_MODEL_NAME"], load_settings().settings))
    better = Verdict(20, {}, "base", 3.0, (1.0, 5.0), 5.0, is_better=True, reason="better")

    def keep(seed):
        file = write_random_adapter(tmp_path / "trained.gguf", seed=seed)
        trained = Trained(file, 8.0, 5, 1.0, False, {}, (), ())
        return keep_adapter(folder, whole, "mine", trained, better, MADE_BY)

    outside = tmp_path / "outside"
    outside.mkdir()
    file = put(outside, base, is_trusted=False)
    for name in ("mine", "theirs"):
        told(repository, "import", str(file), "--trust", "--name", name)
    told(repository, "use", "theirs")
    assert keep(2) == "mine-2"
    assert own_adapters.used(folder, base) == "mine-2"
    assert {each.name for each in own_adapters.stored(folder)} == {"mine", "mine-2", "theirs"}
    put(folder, base, "earlier", 3)
    assert keep(4) == "mine-2"
    assert {each.name for each in own_adapters.stored(folder)} == {"mine", "mine-2", "theirs"}
    assert [each.bases for each in own_adapters.stored(folder)] == [(base,)] * 3


@pytest.mark.parametrize("key", ["made_by", "figures"])
def test_a_card_of_other_types_is_refused_and_breaks_no_list(
    repository, folder, base, tmp_path, key
):
    """Cards come from elsewhere: a text where a table belongs costs a sentence."""
    file = put(tmp_path, base, is_trusted=False)
    card = file.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {key: "x"}))
    assert f"its {key} is no table" in refused(repository, "import", str(file), "--trust")
    for each in (file, card):
        shutil.move(each, folder)
    [item] = told(repository, "list")["adapters"]
    assert "is no table" in item["problem"]


def test_a_card_may_name_many_long_paths(repository, folder, base, tmp_path):
    """As a training writes them: 200 that said when to stop, and 200 that judged."""
    file = write_random_adapter(folder / "mine.gguf", seed=1)
    paths = [f"src/main/java/com/{'deep/' * 40}Module{n}.java" for n in range(200)]
    made_by = {**MADE_BY, "watched": paths, "judged": paths}
    own_adapters.trust(
        json.loads(write_card(file, [base], 4, 8.0, made_by, FIGURES).read_text())["sha256"]
    )
    [item] = told(repository, "list")["adapters"]
    assert item["problem"] is None
    told(repository, "export", "mine", str(tmp_path))


def test_an_export_leaves_nothing_half(repository, folder, base, tmp_path):
    """Where one of the two files is there already, neither is written."""
    put(folder, base)
    (tmp_path / "mine.json").write_text("x")
    assert "is there already" in refused(repository, "export", "mine", str(tmp_path))
    assert not (tmp_path / "mine.gguf").exists()


def _of_another_base(file, base):
    write_card(file, ["b" * 64], 4, 8.0, {}, {})


def _cut_short(file, base):
    file.write_bytes(file.read_bytes()[:-64])


def _exchanged(file, base):
    write_random_adapter(file, seed=9)


def _without_card(file, base):
    file.with_suffix(".json").unlink()


def _no_adapter(file, base):
    file.write_bytes(b"x" * 1000)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_of_another_base, "names another base than"),
        (_cut_short, "is not a usable adapter"),
        (_exchanged, "its SHA-256 is not that of its card"),
        (_without_card, "there is no file"),
        (_no_adapter, "is not a usable adapter"),
    ],
)
def test_what_does_not_fit_is_not_imported(repository, folder, base, tmp_path, damage, said):
    """Base, shape, numbers and card: one sentence, and nothing is taken."""
    file = put(tmp_path, base, is_trusted=False)
    damage(file, base)
    assert said in refused(repository, "import", str(file), "--trust")
    assert own_adapters.stored(folder) == []


def test_what_came_along_with_a_copy_cannot_be_used(repository, folder, base):
    """Neither used nor exported, until it is imported."""
    file = put(folder, base, is_trusted=False)
    assert "neither trained nor imported here" in refused(repository, "use", "mine")
    assert b"not from here" in codebuddy(repository, "adapters", "list").stdout
    outside = folder.parent / "aside"
    outside.mkdir()
    for each in (file, file.with_suffix(".json")):
        shutil.move(each, outside)
    told(repository, "import", str(outside / "mine.gguf"), "--trust")
    assert told(repository, "use", "mine")["used"] == "mine"


def test_a_damaged_card_is_shown_and_can_be_removed(repository, folder, base):
    """It is in the list with what is wrong."""
    file = put(folder, base)
    file.with_suffix(".json").write_text("{")
    [item] = told(repository, "list")["adapters"]
    assert "no JSON" in item["problem"]
    assert "no JSON" in refused(repository, "use", "mine")
    told(repository, "remove", "mine")
    assert own_adapters.stored(folder) == []


def test_a_model_without_a_known_digest_has_none(repository, folder, base, tmp_path, monkeypatch):
    """A file that was never hashed, and the built-in echo."""
    other = write_base(tmp_path / "other.gguf", seed=4)
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(other))
    assert "codebuddy models add" in refused(repository, "use", "none")
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", "echo")
    assert "no weights to adapt" in refused(repository, "use", "none")
