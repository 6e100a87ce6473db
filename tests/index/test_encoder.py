"""The query-time encoder reads what sentence-transformers reads, and gives the same vectors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from codebuddy.errors import ModelError
from codebuddy.index.embedder_names import is_missing
from codebuddy.index.encoder import StaticEncoder, open_encoder
from tests.support.embedder import DIM, save_model

TEXTS = [
    "",
    "   \n\t",
    "{}()[];:=+-",
    "def getHTTPResponse2(self, url): return self.session.get(url)",
    "read_file_into_buffer READ_FILE ReadFile __init__ 0xFF",
    "größe = länge * 2  # Переменная, 変数を読む, متغير, 🙂🙂",
    "İstanbul K ǅ ﬁ \u0301combining e\u0301 a\u200db",
    "[UNK] [CLS] <pad> ##ing",
    "\x00\x01\x07\x1b[31mred\x1b[0m\x7f",
    "a" * 5000,
    "line one\r\nline two\rline three",
    "word " * 20_000,
    "xY9" * 350_000,
]
N_HUGE = 2
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model's folder, not to be changed."""
    return save_model(tmp_path_factory.mktemp("embedder"), TEXTS[:8])


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers(folder):
    """On empty, foreign, control and huge texts the two differ by 1e-5 at most.

    Over some 10,000 tokens torch's own sums in single precision are off by more than that,
    so that huge texts are compared with its sums in double precision.
    """
    from sentence_transformers import SentenceTransformer

    encoder = open_encoder(str(folder))
    assert isinstance(encoder, StaticEncoder)
    reference = SentenceTransformer(str(folder), device="cpu")
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), encoder.dim)
    np.testing.assert_allclose(
        found[:-N_HUGE], reference.encode(TEXTS[:-N_HUGE]), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(found, reference.double().encode(TEXTS), rtol=0, atol=1e-5)


def test_a_text_without_words_is_zeros_and_others_have_unit_length(folder):
    """Nothing to say gives zeros; anything else a vector of length 1."""
    lengths = np.linalg.norm(StaticEncoder.open(folder).encode(TEXTS), axis=1)
    assert lengths[:3].tolist() == [0, 0, 0]
    np.testing.assert_allclose(lengths[3:], 1, atol=1e-6)


def test_the_word_wise_way_and_the_tokenizer_itself_agree(folder):
    """Tokenizing run by run changes no vector, whatever the text."""
    word_wise, plain = StaticEncoder.open(folder), StaticEncoder.open(folder)
    plain._runs = None
    np.testing.assert_allclose(word_wise.encode(TEXTS), plain.encode(TEXTS), rtol=0, atol=1e-5)


def test_the_fingerprint_tells_weights_apart(folder, tmp_path):
    """Other weights have another fingerprint, the same weights the same."""
    assert StaticEncoder.open(folder).fingerprint == StaticEncoder.open(folder).fingerprint
    assert StaticEncoder.open(save_model(tmp_path, TEXTS[:8], seed=1)).fingerprint != (
        StaticEncoder.open(folder).fingerprint
    )


@pytest.mark.process
def test_encoding_imports_no_torch(folder):
    """Neither a query nor a name of nothing imports torch or its libraries."""
    program = (
        "import sys\n"
        "from codebuddy.errors import ModelError\n"
        "from codebuddy.index.encoder import open_encoder\n"
        f"print(open_encoder({str(folder)!r}).encode(['read a file']).shape)\n"
        "for name in ('nosuch', 'no/such', './no/such', '/no/such'):\n"
        "    try:\n"
        "        open_encoder(name)\n"
        "    except ModelError as error:\n"
        "        assert 'neither a folder' in error.message\n"
        "print(' '.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    shape, modules = done.stdout.splitlines()
    assert shape == f"(1, {DIM})"
    assert not {"torch", "sentence_transformers", "transformers"} & set(modules.split())


def test_an_embedder_that_is_not_there_is_named(tmp_path):
    """A folder or name without a model is refused with the name in one sentence."""
    for name in (str(tmp_path / "absent"), "nobody/has-this-model"):
        with pytest.raises(ModelError, match=name.rpartition("/")[2]):
            open_encoder(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acme/model", "model"])
def test_a_model_in_a_cache_of_the_hub_is_found_by_its_name(tmp_path, monkeypatch, name):
    """Where the libraries find it, it is not missing; one word is of their own organisation."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    assert is_missing(name)
    owner, _, word = name.rpartition("/")
    kept = tmp_path / f"models--{owner or 'sentence-transformers'}--{word}"
    save_model(kept / "snapshots" / COMMIT, TEXTS[:8])
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    assert not is_missing(name)
    assert open_encoder(name).dim == DIM
