"""A damaged embedder is refused in one sentence, and never gives a wrong vector."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from codebuddy.errors import ModelError
from codebuddy.index.encoder import StaticEncoder, open_encoder
from tests.support.embedder import save_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model's folder, not to be changed."""
    return save_model(tmp_path_factory.mktemp("whole") / "embedder", [])


@pytest.fixture
def folder(whole, tmp_path):
    """A copy that may be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "embedder"))


def rewritten(folder: Path, **changes) -> None:
    """Replace tensors of the model; `None` takes one away."""
    tensors = load_file(folder / "model.safetensors")
    for name, value in changes.items():
        tensors.pop(name)
        if value is not None:
            tensors[name] = value
    save_file(tensors, folder / "model.safetensors")


def refused(folder: Path) -> str:
    """The sentence with which the model is refused."""
    with pytest.raises(ModelError) as caught:
        StaticEncoder.open(folder)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, share):
    """However much is missing, the file is named."""
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert "model.safetensors is damaged" in refused(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_tokenizer_is_refused(folder, share):
    """Half a vocabulary is no vocabulary."""
    file = folder / "tokenizer.json"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert "tokenizer.json is damaged" in refused(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    """The file that is not there is in the sentence."""
    (folder / name).unlink()
    assert name in refused(folder)


def test_values_that_are_no_numbers_are_refused(folder):
    """One NaN among the scales, or one infinity among the vectors, is enough."""
    scales = load_file(folder / "model.safetensors")["weights"].copy()
    scales[7] = np.nan
    rewritten(folder, weights=scales)
    assert "no numbers" in refused(folder)
    rows = load_file(folder / "model.safetensors")["embeddings"].astype("f4")
    rows[3, 3] = np.inf
    rewritten(folder, embeddings=rows, weights=None)
    assert "no numbers" in refused(folder)


def test_shapes_that_do_not_fit_are_refused(folder):
    """Too few rows, rows without columns, scales of another length, and no table at all."""
    tensors = load_file(folder / "model.safetensors")
    rows, scales = tensors["embeddings"], tensors["weights"]
    for changes, words in (
        ({"embeddings": rows[:-1].copy()}, f"{len(rows) - 1} vectors for the {len(rows)} tokens"),
        ({"embeddings": rows[:, :0].copy()}, "no table of vectors"),
        ({"embeddings": rows[0].copy()}, "no table of vectors"),
        ({"embeddings": rows.astype("i4")}, "type int32"),
        ({"weights": scales[:-1].copy()}, "scales that do not fit"),
        ({"embeddings": None}, "no table of vectors"),
    ):
        save_file(tensors, folder / "model.safetensors")
        rewritten(folder, **changes)
        assert words in refused(folder)


def test_the_tokenizer_of_another_model_is_refused(folder):
    """A vocabulary of another size cannot belong to these vectors."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["anothertoken"] = len(tokenizer["model"]["vocab"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "tokens of its tokenizer" in refused(folder)


@pytest.mark.parametrize(
    "content", ["", "{}", "[1, 2]", '[{"type": "x.Transformer"}]', "[" * 10**5]
)
def test_a_folder_that_lists_no_static_model_is_refused(folder, content):
    """`modules.json` decides what a folder holds, and nothing is guessed."""
    (folder / "modules.json").write_text(content)
    assert "no static embedding" in refused(folder)


def test_a_damaged_transformer_is_refused(tmp_path):
    """Another kind of model is given to sentence-transformers, whose complaint is translated."""
    (tmp_path / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]'
    )
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_encoder(str(tmp_path))
