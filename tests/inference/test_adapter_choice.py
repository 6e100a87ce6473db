"""Which adapter `model.adapter` means: shipped ones and their cards, a file of one's own, none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codebuddy import paths
from codebuddy.datatypes import Adapter
from codebuddy.errors import ModelError
from codebuddy.inference import adapter_choice
from codebuddy.inference.adapter import read_adapter
from codebuddy.inference.adapter_choice import AdapterChooser
from codebuddy.inference.gguf import GgufHeader
from codebuddy.training.adapter.export import write_card
from tests.support.tiny_model import write_random_adapter

BASE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An empty folder of shipped adapters."""
    monkeypatch.setattr(paths, "shipped_models_folder", lambda: tmp_path / "models")
    folder = tmp_path / "models" / "adapter"
    folder.mkdir(parents=True)
    return folder


def ship(folder, name="small", bases=(BASE,), seed=1):
    """Put an adapter and its card there."""
    file = write_random_adapter(folder / f"{name}.gguf", seed=seed)
    write_card(file, bases, 4, 8.0, {"steps": 1}, {})
    return file


def choose(header, setting="auto", digest=BASE):
    """The choice of a chooser that has seen nothing."""
    return AdapterChooser(header, digest).choose(setting)


def test_the_shipped_adapter_of_the_base_is_taken(header, shipped):
    """By the digests of its card; the others are not even read."""
    ship(shipped, "first", bases=[OTHER], seed=2)
    (shipped / "first.gguf").write_bytes(b"damaged")
    ship(shipped, "second", bases=[OTHER, BASE])
    chosen = choose(header)
    assert chosen.adapter is not None
    assert chosen.adapter.name == "second"
    assert chosen.warnings == ()
    assert adapter_choice.shipped_for(BASE) == "second"
    assert adapter_choice.shipped_for("c" * 64) is None


def test_without_one_the_base_works_alone(header, shipped):
    """No folder, no card for this base, an unknown base, or the word none."""
    assert choose(header).reason == "none is shipped for this model"
    ship(shipped)
    assert choose(header, digest=OTHER).reason == "none is shipped for this model"
    assert choose(header, digest="123-456-7").reason.endswith("is not known")
    assert choose(header, "none").reason == "model.adapter is none"
    for file in shipped.iterdir():
        file.unlink()
    shipped.rmdir()
    chosen = choose(header)
    assert (chosen.adapter, chosen.warnings) == (None, ())


def _without_file(file):
    file.unlink()


def _another_file(file):
    write_random_adapter(file, seed=5)


def _card(**changes):
    def damage(file):
        card_file = file.with_suffix(".json")
        card_file.write_text(json.dumps(json.loads(card_file.read_text()) | changes))

    return damage


DAMAGES = {
    "no file": (_without_file, "No such file"),
    "another file": (_another_file, "SHA-256 is not that of its card"),
    "another rank": (_card(rank=5), "rank or alpha"),
    "another alpha": (_card(alpha=9), "rank or alpha"),
    "every token": (_card(activated=False), "from the middle on"),
    "a foreign card": (_card(format="x"), "no card of an adapter"),
    "a later card": (_card(version=2), "version 1"),
    "digests": (_card(bases="abc"), "does not name the digests"),
    "no digest": (_card(sha256=None), "does not name the digests"),
    "rank a text": (_card(rank="4"), "does not name rank"),
    "facts a text": (_card(made_by="me"), "its made_by is no table"),
    "figures none": (_card(figures=None), "its figures is no table"),
    "gain a text": (_card(figures={"gain": "much"}), "its gain is no number"),
    "privacy a text": (_card(made_by={"privacy": "much"}), "its privacy does not name"),
    "half a privacy": (
        _card(made_by={"privacy": {"epsilon": 8, "delta": 0.01, "unit": "file"}}),
        "its privacy does not name",
    ),
    "no JSON": (lambda file: file.with_suffix(".json").write_text("{"), "no JSON"),
    "huge": (lambda file: file.with_suffix(".json").write_text(" " * 4_200_000), "larger than"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_a_warning_if_shipped_and_an_error_if_named(header, shipped, damage):
    """One sentence that names the file."""
    file = ship(shipped)
    change, said = DAMAGES[damage]
    change(file)
    chosen = choose(header)
    assert chosen.adapter is None
    [warning] = chosen.warnings
    assert said in warning
    assert str(shipped) in warning
    assert warning.endswith("the model works without it")
    with pytest.raises(ModelError, match=said):
        choose(header, str(file))


def test_a_file_of_ones_own_needs_no_card(header, tmp_path):
    """Its shapes are checked; a card beside it must agree."""
    file = write_random_adapter(tmp_path / "mine.gguf")
    adapter = choose(header, str(file), digest="unknown").adapter
    assert adapter is not None
    assert adapter.name == "mine"
    write_card(file, [OTHER], 4, 8.0, {}, {})
    with pytest.raises(ModelError, match="names another base than the model in use"):
        choose(header, str(file))
    assert choose(header, str(file), digest=OTHER).adapter == adapter


@pytest.mark.parametrize("path", ["/", "/..", "~", "/nowhere/at/all.gguf", "/" + "x" * 5000])
def test_what_is_no_file_is_an_error_that_names_it(header, path):
    """A setting may hold any whole path."""
    with pytest.raises(ModelError, match=r"^/|^cannot read the adapter /"):
        choose(header, path)
    assert len(adapter_choice.files_behind(path)) == 2


def test_files_are_read_again_only_when_they_change(header, shipped, monkeypatch):
    """What was chosen stays until card, adapter or folder differ."""
    file = ship(shipped)
    chooser = AdapterChooser(header, BASE)
    read: list[Path] = []

    def watched(path: Path, base: GgufHeader) -> Adapter:
        read.append(path)
        return read_adapter(path, base)

    monkeypatch.setattr(adapter_choice, "read_adapter", watched)
    first = chooser.choose("auto").adapter
    assert chooser.choose("auto").adapter is first
    assert read == [file]
    write_random_adapter(file, seed=7)
    assert "SHA-256" in chooser.choose("auto").warnings[0]
    write_card(file, [BASE], 4, 8.0, {}, {})
    second = chooser.choose("auto").adapter
    assert second is not None
    assert first is not None
    assert second.sha256 != first.sha256
    assert adapter_choice.files_behind("auto") == [shipped, file.with_suffix(".json"), file]
    assert adapter_choice.files_behind("none") == []


def test_what_is_shipped_now_is_sound():
    """Every adapter of this checkout has a card, and every card names its file's digest."""
    for card in sorted(adapter_choice.shipped_folder().glob("*.json")):
        held = json.loads(card.read_text(encoding="utf-8"))
        assert adapter_choice.shipped_for(held["bases"][0]) == card.stem
    for file in sorted(adapter_choice.shipped_folder().glob("*.gguf")):
        assert file.with_suffix(".json").is_file()
