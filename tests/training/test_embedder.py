"""The embedder that is shipped: its size, its vectors, and that it knows what code means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codebuddy.index.encoder import StaticEncoder, open_encoder
from tests.index.test_encoder import N_HUGE, TEXTS

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "embedder"


@pytest.fixture(scope="module")
def shipped():
    """The shipped encoder."""
    encoder = open_encoder("default")
    assert isinstance(encoder, StaticEncoder)
    return encoder


@pytest.mark.slow
def test_shipped_vectors_are_those_of_sentence_transformers(shipped):
    """On this project's own sources and on odd texts the two differ by 1e-5 at most."""
    from sentence_transformers import SentenceTransformer

    sources = [file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("codebuddy/**/*.py"))]
    texts = [*TEXTS, *sources, "\n".join(sources)[:1_000_000]]
    reference = SentenceTransformer(str(MODEL), device="cpu")
    found = shipped.encode(texts)
    short = [index for index, text in enumerate(texts) if len(text) < 50_000]
    assert len(short) > len(TEXTS) - N_HUGE
    np.testing.assert_allclose(
        found[short], reference.encode([texts[index] for index in short]), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(found, reference.double().encode(texts), rtol=0, atol=1e-5)


def test_the_weights_stay_small():
    """The embedder's weights take 15 MB at most, an adapter 20, all trained weights together 40."""
    assert (MODEL / "model.safetensors").stat().st_size <= 15_000_000
    adapters = (ROOT / "models" / "adapter").glob("*.gguf")
    assert all(each.stat().st_size <= 20_000_000 for each in adapters)
    trained = [each for each in (ROOT / "models").rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in trained) <= 40_000_000


def test_the_dimension_is_what_the_documents_say(shipped):
    """256 numbers a vector, in either of its names."""
    assert shipped.dim == 256
    assert open_encoder("").fingerprint == shipped.fingerprint


# One answer a block, in several languages.
ANSWERS = """\
parse a date from text
def to_day(s):
    return datetime.strptime(s, "%Y-%m-%d").date()

delete a directory and everything in it
func wipe(p string) error { return os.RemoveAll(p) }

retry a request when the server does not answer
async function again(f, n) {
  for (let i = 0; i < n; i++) { try { return await f() } catch (e) { await sleep(backoff(i)) } }
}

hash a password
fn digest(secret: &str, salt: &[u8]) -> Vec<u8> { bcrypt(secret, salt) }

sort numbers in descending order
public static void order(int[] a) { Arrays.sort(a); reverse(a); }

read rows of a CSV file
def load(p):
    with open(p) as f:
        return list(csv.reader(f, delimiter=","))

matrix multiplication
def mm(a, b):
    return [[sum(x * y for x, y in zip(r, c)) for c in zip(*b)] for r in a]

send an e-mail
def notify(to, body):
    with smtplib.SMTP(HOST) as s:
        s.sendmail(FROM, to, body)
"""


def test_questions_in_words_find_code_in_any_language(shipped):
    """At least seven of eight questions are nearest to the code that answers them."""
    blocks = [block.partition("\n") for block in ANSWERS.split("\n\n")]
    questions, answers = [each[0] for each in blocks], [each[2] for each in blocks]
    nearest = (shipped.encode(questions) @ shipped.encode(answers).T).argmax(axis=1)
    assert (nearest == np.arange(8)).sum() >= 7


def test_the_case_of_an_identifier_does_not_matter(shipped):
    """The same words in camel case, snake case and capitals have the same vector."""
    one, *others = shipped.encode(["getHttpResponse", "get_http_response", "GET_HTTP_RESPONSE"])
    for other in others:
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_recorded_figures_are_of_these_weights(shipped):
    """models/embedder/figures.json was measured with the weights beside it."""
    figures = json.loads((MODEL / "figures.json").read_text(encoding="utf-8"))
    assert figures["fingerprint"] == shipped.fingerprint
