"""Forms of words, words in a row, and the searches that they change."""

from __future__ import annotations

import pytest

from codebuddy.index.build import update_index
from codebuddy.index.forms import other_forms
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.verbatim import verbatim_shares
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("retry", "retries"),
        ("retries", "retry"),
        ("parsing", "parse"),
        ("stopped", "stop"),
        ("matches", "match"),
        ("cached", "cache"),
        ("cfg", "config"),
        ("configs", "cfg"),
        ("directory", "dir"),
    ],
)
def test_forms_of_a_word(word, form):
    """Plurals, participles and abbreviations, in both directions."""
    assert form in other_forms(word)
    assert word not in other_forms(word)


@pytest.mark.parametrize("word", ["", "a", "x1", "价格", "s", "ed", "x" * 1000 + "!"])
def test_what_is_no_word_has_no_forms(word):
    """Nor has what is too short, or no letters."""
    assert other_forms(word) == ()


def test_a_word_that_ends_like_a_plural_keeps_its_end():
    """`status` is none of `statu`."""
    assert "statu" not in other_forms("status")
    assert "clas" not in other_forms("class")


def test_the_share_of_pairs_that_stand_in_a_row():
    """Without regard to case and what stands between; nothing of one or two words."""
    texts = {1: "raise E('Cannot read: nil body')", 2: "body nil read cannot", 3: "cannot read it"}
    shares = verbatim_shares("cannot read nil body", texts, texts.__getitem__)
    assert shares == {1: 1.0, 2: 0.0, 3: pytest.approx(1 / 3)}
    assert verbatim_shares("nil body", texts, texts.__getitem__) == {}


@pytest.fixture
def index(tmp_path, git):
    """A small module of names in one form and messages."""
    git(tmp_path, "init", "-q")
    (tmp_path / "src").mkdir()
    files = {
        "again.py": "def retry_request(job):\n    return job\n",
        "jobs.py": "def load_config(path):\n    if not path:\n"
        "        raise ValueError(f'no settings file {path} can be read')\n    return path\n",
        "other.py": "def read_settings(file):\n    return 'file settings read: can be'\n",
    }
    for name, text in files.items():
        (tmp_path / "src" / name).write_text(text)
    opened = open_repository(tmp_path)
    update_index(opened, Settings())
    with RepositoryIndex.open(opened, Settings()) as found:
        yield found


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("retries request", "src/again.py"),
        ("retrying requests", "src/again.py"),
        ("load cfg", "src/jobs.py"),
        ("loading config", "src/jobs.py"),
        ("ValueError: no settings file /x/y can be read", "src/jobs.py"),
        # One word alone, which stands nowhere as it is written.
        ("retries", "src/again.py"),
        ("cfg", "src/jobs.py"),
    ],
)
def test_other_forms_and_messages_find_the_definition(index, query, path):
    """Also where one word is another form and the other is as written."""
    assert index.search(query, 1)[0].chunk.path == path


@pytest.mark.parametrize(
    "query",
    [
        "/home/ann/elsewhere/src/jobs.py:7",
        "C:\\work\\src\\jobs.py",
        'File "/usr/lib/src/jobs.py", line 7, in load_config',
    ],
)
def test_a_path_from_elsewhere_finds_the_file(index, query):
    """Of another root, and as a traceback prints it."""
    found = index.search(query, 1)[0]
    assert (found.chunk.path, found.channel) == ("src/jobs.py", "path")


def test_the_last_name_alone_makes_no_path_from_elsewhere(index):
    """Two names at least must agree, or every `__init__.py` would be meant."""
    assert all(each.channel != "path" for each in index.search("other/lib/jobs.py", 5))


def test_a_pasted_line_is_found_where_it_stands_or_right_behind_what_it_calls(tmp_path, git):
    """Without `--near`, which an editor gives; with it the definition alone is looked for."""
    git(tmp_path, "init", "-q")
    filler = "".join(
        f"def user_{n}(job):\n    found = load_config(job)\n    return sorted(found)[: {n}]\n\n\n"
        for n in range(12)
    )
    files = {
        "config.py": "def load_config(path):\n    return path\n",
        "many.py": filler,
        "one.py": "def start(job):\n    given = load_config(job.settings_path)\n    return given\n",
        "two.py": "def stop(job):\n    if len(job.rest[1:]) == 7 and job.ok:\n        return 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    opened = open_repository(tmp_path)
    update_index(opened, Settings())
    with RepositoryIndex.open(opened, Settings()) as found:
        line = "given = load_config(job.settings_path)"
        pasted = found.search(line, 3)
        assert [each.chunk.path for each in pasted[:2]] == ["config.py", "one.py"]
        assert pasted[0].score > pasted[1].score > pasted[2].score
        plain = found.search("if len(job.rest[1:]) == 7 and job.ok:", 1)
        assert plain[0].chunk.path == "two.py"
        near = found.search(line, 3, near="many.py")
        assert near[0].chunk.path == "config.py"
        assert "verbatim" not in near[1].factors
