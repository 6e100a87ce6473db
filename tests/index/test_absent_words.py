"""Which words of a question are missing from an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.index import absent_words
from codebuddy.index.build import update_index
from codebuddy.index.dense import DenseRanker
from codebuddy.index.question_words import informative_words, is_about
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.bench.search_tasks import QUESTIONS
from tests.support.index import make_repository

FILES: dict[str, str | bytes] = {
    "src/retry.py": "def cancel_task(file_name):\n    # Retries, redistributed by PostgreSQL.\n"
    "    return WebSocket(file_name)\n",
    "src/kafka_store.py": "x = 1\n",
    "notes.md": "# Notes\n\nA broker is asked; Redisson and MongoDB are not.\n",
}


@pytest.fixture
def index(tmp_path: Path) -> RepositoryIndex:
    """A few words in their forms."""
    repository = open_repository(make_repository(tmp_path / "r", FILES))
    update_index(repository, Settings())
    return RepositoryIndex.open(repository, Settings())


@pytest.mark.parametrize(
    "word",
    "retry retried cancellation cancelling filename postgres Postgres websocket web_socket brokers"
    " cancelTask kafka stored asks".split(),
)
def test_a_word_is_there_in_any_form(index, word):
    """Inflected, derived, joined, split, a part of a name or of a path."""
    with index:
        assert index.absent_words(f"how is {word} used", []).nowhere == ()


@pytest.mark.parametrize("word", ["Redis", "redis", "shader", "kafka_topic", "brokerage"])
def test_a_word_that_stands_nowhere_is_named(index, word):
    """Also where another word begins alike, or a name has one part of it."""
    with index:
        nowhere = index.absent_words(f"how is {word} used", []).nowhere
    assert nowhere == (word,)


def test_a_name_that_no_result_holds_is_named(index):
    """It stands in the index; what is no name may have other words in the results."""
    with index:
        found = index.absent_words("does MongoDB or a broker retry", ["retry"])
        assert (found.nowhere, found.unseen) == ((), ("MongoDB",))
        assert index.absent_words("does MongoDB retry", ["uses MongoDB"]).unseen == ()


def test_a_removed_text_is_no_longer_there(tmp_path):
    """What an update took away does not make a word known."""
    root = make_repository(tmp_path / "r", FILES)
    repository = open_repository(root)
    update_index(repository, Settings())
    (root / "notes.md").write_text("# Notes\n")
    update_index(repository, Settings())
    with RepositoryIndex.open(repository, Settings()) as opened:
        assert opened.absent_words("which brokers are there", []).nowhere == ("brokers",)


@pytest.mark.parametrize(
    ("question", "missing", "expected"),
    [
        ("how do I configure Kafka as the message broker", ["Kafka"], True),
        ("how do I configure kafka", ["kafka"], True),
        ("where is the stripe webhook handled", ["stripe", "webhook"], True),
        ("collapse consecutive integers to a range string", ["consecutive"], False),
        ("parse Link header for pagination", ["pagination"], False),
        ("wipe the screen", ["wipe"], False),
        ("how are tasks retried", [], False),
        # Of another language each word is missing.
        ("wo werden die Tasks gespeichert", ["werden", "die", "gespeichert"], False),
        ("Kafka", ["Kafka"], False),
        ("", [], False),
    ],
)
def test_a_question_is_about_what_is_missing(question, missing, expected):
    """A name, or many of its words."""
    assert is_about(question, missing, 1_000) is expected


def test_few_chunks_lack_common_words_too():
    """There, and beside a name of the code, only a missing name decides."""
    question = "what does apply_discount do with a percentage"
    assert not is_about(question, ["percentage"], 1_000)
    assert not is_about("how is a percentage computed", ["percentage", "computed"], 10)
    assert is_about("how is Kafka asked for apply_discount", ["Kafka"], 10)


def test_words_of_every_question_do_not_count():
    """Nor digits, other scripts and two letters."""
    assert informative_words("How do I use the s3 API in 何 or ui, or retry?") == ["API", "retry"]
    assert all(
        informative_words(line.split("|")[2])
        for line in QUESTIONS.read_text("utf-8").splitlines()
        if "|" in line and not line.startswith("#")
    )


def test_a_question_that_nothing_is_near_to_is_decided(index, tmp_path, monkeypatch):
    """By the nearest vector, in English without names of code, where there are enough chunks."""
    strange = "where is the orchestra seated for the symphony"
    with index:
        assert not index.absent_words(strange, []).is_far
        monkeypatch.setattr(absent_words, "_MIN_CHUNKS", 3)
        found = index.absent_words(strange, [])
        assert (found.is_far, found.is_decisive) == (True, True)
        assert not index.absent_words("how is a task cancelled", []).is_far
        assert not index.absent_words("wo sitzt das Orchester", []).is_far
        assert not index.absent_words("where is orchestra_seat set", []).is_far
    root = make_repository(tmp_path / "bare", FILES)
    bare = Settings(index=IndexSettings(embedder="none"))
    update_index(open_repository(root), bare)
    with RepositoryIndex.open(open_repository(root), bare) as opened:
        assert not opened.absent_words(strange, []).is_far


def test_a_question_is_compared_with_the_vectors_once(index, monkeypatch):
    """What a search found also judges how near the nearest chunk is; another question is anew."""
    asked: list[int] = []
    plain = DenseRanker.ranked

    def counted(self, query, limit):
        asked.append(limit)
        return plain(self, query, limit)

    monkeypatch.setattr(DenseRanker, "ranked", counted)
    monkeypatch.setattr(absent_words, "_MIN_CHUNKS", 3)
    question = "where is the orchestra seated for the symphony"
    with index:
        index.search(question, is_read=True)
        assert index.absent_words(question, []).is_far
        assert len(asked) == 1
        assert not index.absent_words("how is a task cancelled", []).is_far
        assert len(asked) == 2
        # More of them than were found before.
        index.search("how is a task cancelled", is_read=True)
        assert len(asked) == 3
