"""A repository's adapters: which one is used, and what is never used."""

from __future__ import annotations

import json
import re

import pytest

from codebuddy import paths
from codebuddy.errors import ModelError
from codebuddy.inference import own_adapters
from codebuddy.inference.adapter_choice import AdapterChooser, files_behind
from codebuddy.training.adapter.export import write_card
from tests.inference.test_adapter_choice import ship
from tests.support.tiny_model import write_random_adapter

BASE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A shipped adapter of the base."""
    monkeypatch.setattr(paths, "shipped_models_folder", lambda: tmp_path / "models")
    folder = tmp_path / "models" / "adapter"
    folder.mkdir(parents=True)
    ship(folder)
    return folder


def put(folder, name="mine", bases=(BASE,), seed=7, *, is_trusted=True):
    """An adapter with its card in the repository's folder, as a training leaves it."""
    folder.mkdir(exist_ok=True, mode=0o700)
    file = write_random_adapter(folder / f"{name}.gguf", seed=seed)
    card = json.loads(write_card(file, bases, 4, 8.0, {"commit": "c"}, {}).read_text())
    if is_trusted:
        own_adapters.trust(card["sha256"])
    return file


def name_of(header, folder, setting="auto", digest=BASE):
    """Which adapter is chosen there."""
    adapter = AdapterChooser(header, digest).choose(setting, folder).adapter
    return None if adapter is None else adapter.name


def test_the_repositorys_own_goes_before_the_shipped_one(header, shipped, tmp_path):
    """Once it is used there; elsewhere and with other words it is not."""
    folder = tmp_path / "own"
    put(folder)
    assert name_of(header, folder) == "small"
    own_adapters.use(folder, BASE, "mine")
    assert name_of(header, folder) == "mine"
    assert name_of(header, None) == "small"
    assert name_of(header, tmp_path / "other") == "small"
    assert name_of(header, folder, "shipped") == "small"
    assert name_of(header, folder, "none") is None
    assert name_of(header, folder, digest=OTHER) is None
    for word, expected in (("shipped", "small"), ("none", None), ("", "small")):
        own_adapters.use(folder, BASE, word)
        assert name_of(header, folder) == expected


def test_one_chooser_keeps_repositories_apart(header, shipped, tmp_path):
    """Asked in turn for more of them than it keeps."""
    folders = [tmp_path / f"own{n}" for n in range(20)]
    for n, folder in enumerate(folders):
        put(folder, f"mine{n}", seed=n)
        own_adapters.use(folder, BASE, f"mine{n}")
    chooser = AdapterChooser(header, BASE)
    for _ in range(2):
        for n, folder in enumerate(folders):
            chosen = chooser.choose("auto", folder).adapter
            assert chosen is not None
            assert (chosen.name, chosen.path.parent) == (f"mine{n}", folder)
        outside = chooser.choose("auto", None).adapter
        assert outside is not None
        assert outside.name == "small"


def test_what_came_along_with_a_copy_is_not_used(header, shipped, tmp_path):
    """A file that was neither trained nor imported here costs a warning, and the shipped writes."""
    folder = tmp_path / "own"
    put(folder, is_trusted=False)
    own_adapters.use(folder, BASE, "mine")
    chosen = AdapterChooser(header, BASE).choose("auto", folder)
    assert chosen.adapter is not None
    assert chosen.adapter.name == "small"
    [warning] = chosen.warnings
    assert "neither trained nor imported here" in warning
    assert "mine.gguf" in warning


def _cut_short(file):
    file.write_bytes(file.read_bytes()[:-100])


def _of_another_base(file):
    write_card(file, [OTHER], 4, 8.0, {}, {})


def _without_card(file):
    file.with_suffix(".json").unlink()


def _exchanged(file):
    write_random_adapter(file, seed=99)


def _gone(file):
    file.unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut_short, "it is cut short|ends|beyond|SHA-256"),
        (_of_another_base, "another base"),
        (_without_card, "No such file"),
        (_exchanged, "SHA-256 is not that of its card"),
        (_gone, "No such file"),
    ],
)
def test_a_damaged_one_costs_a_warning(header, shipped, tmp_path, damage, said):
    """One sentence that names the file and the remedy; the shipped one writes."""
    folder = tmp_path / "own"
    file = put(folder)
    own_adapters.use(folder, BASE, "mine")
    damage(file)
    chosen = AdapterChooser(header, BASE).choose("auto", folder)
    assert chosen.adapter is not None
    assert chosen.adapter.name == "small"
    [warning] = chosen.warnings
    assert re.search(said, warning)
    assert "codebuddy adapters list" in warning


def test_the_choice_is_made_anew_when_a_file_changes(header, shipped, tmp_path):
    """The same chooser sees a new use, a new file, and trust that is gone."""
    folder = tmp_path / "own"
    put(folder)
    chooser = AdapterChooser(header, BASE)

    def name():
        found = chooser.choose("auto", folder).adapter
        return found and found.name

    assert name() == "small"
    own_adapters.use(folder, BASE, "mine")
    assert name() == "mine"
    paths.trusted_adapters_file().unlink()
    assert name() == "small"
    behind = files_behind("auto", folder)
    assert folder / "mine.gguf" in behind
    assert folder / "mine.gguf" not in files_behind("shipped", folder)


def test_the_lists_survive_damage(tmp_path):
    """A list that is no list means nothing; a name that is a path is none."""
    folder = tmp_path / "own"
    put(folder)
    own_adapters.use(folder, BASE, "mine")
    state = folder / "use.state"
    for content in ("[]", "{", json.dumps({BASE: "../../evil"}), json.dumps({"x": "mine"})):
        state.write_text(content)
        assert own_adapters.used(folder, BASE) == ""
    paths.trusted_adapters_file().write_text('{"a": 1}')
    assert not own_adapters.is_trusted(BASE)
    own_adapters.trust(OTHER)
    assert own_adapters.is_trusted(OTHER)


def test_one_that_is_removed_is_not_used_any_more(tmp_path):
    """File, card and choice go."""
    folder = tmp_path / "own"
    put(folder)
    own_adapters.use(folder, BASE, "mine")
    assert len(own_adapters.remove(folder, "mine")) == 2
    assert own_adapters.stored(folder) == []
    assert own_adapters.used(folder, BASE) == ""
    with pytest.raises(ModelError, match="no adapter 'mine'"):
        own_adapters.find(folder, "mine")


@pytest.mark.parametrize("name", ["", "..", "a/b", "none", "shipped", ".hidden", "x" * 81, "a b"])
def test_some_names_are_refused(name):
    """Paths, words that mean something else."""
    with pytest.raises(ModelError, match="cannot be called"):
        own_adapters.check_name(name)


def test_names_say_repository_and_commit():
    """Whatever the folder is called."""
    assert own_adapters.name_for("shop", "1a2b3c4d5e6f") == "shop-1a2b3c4d5e"
    for odd in ("../..", "a b/c", "Ünïcode", ""):
        assert own_adapters.check_name(own_adapters.name_for(odd, ""))
