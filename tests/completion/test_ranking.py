"""Pieces of other files: how alike they are to the cursor's code, their windows, their order."""

from __future__ import annotations

import math
import random
from contextlib import contextmanager

import pytest

from codebuddy.completion.lookalikes import aligned_window, cursor_text, likeness
from codebuddy.completion.ranking import Candidate, expected_gain, rank
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import Chunk
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.completion import context_at


def piece(text: str, kind: str = "chunk", path: str = "a.py", first: int = 1) -> Candidate:
    """A candidate with this text."""
    last = first + text.count("\n")
    chunk = Chunk(1, path, "python", kind, "", "", first, last, 0, 0, text)
    return Candidate(kind, chunk, {"lexical": 1.0})


def test_likeness_counts_what_stands_before_the_cursor():
    """The begun line, the last lines' words, and the longest text that is repeated."""
    cursor = cursor_text(context_at("def load(name):\n    shop = open_shop(‸\n"))
    alike = likeness("def save(name):\n\tshop = open_shop(name)\n", cursor)
    assert alike.begun == 1.0
    assert alike.words == pytest.approx(4 / 5)
    assert alike.match == pytest.approx(math.log1p(len("(name):\nshop = open_shop(")))
    other = likeness("class Unrelated:\n    pass\n", cursor)
    assert (other.begun, other.words) == (0.0, 0.0)
    assert other.match < alike.match


def test_line_endings_make_no_text_less_alike():
    """A chunk has those of its file, the code before the cursor has plain ones."""
    cursor = cursor_text(context_at("total = price(1)\nprint_total(total)\n‸"))
    text = "total = price(1)\nprint_total(total)\nreturn total\n"
    assert likeness(text.replace("\n", "\r\n"), cursor) == likeness(text, cursor)


@pytest.mark.parametrize("text", ["‸", "\n‸", "x‸", "\x00\x00‸", " \t‸"])
def test_nothing_to_compare_is_no_error(text):
    """At the beginning of a file every text is as good as any other."""
    alike = likeness("anything\n", cursor_text(context_at(text)))
    assert alike.begun in (0.0, 1.0)
    assert math.isfinite(expected_gain("window", alike))
    assert math.isfinite(expected_gain("window", likeness("", cursor_text(context_at(text)))))


def test_a_window_reaches_past_the_line_that_matches():
    """The continuation is what a window is for."""
    lines = [f"filler_{number} = {number}" for number in range(100)]
    lines[60:62] = ["    reply = client.get(address)", "    reply.raise_for_status()"]
    cursor = cursor_text(
        context_at("    answer = client.get(address)\n    answer.raise_for_status()\n    ‸")
    )
    first, end = aligned_window(lines, 40, 80, cursor)
    assert first <= 60
    assert end > 70
    assert aligned_window(lines, -5, 500, cursor) == (first, end)
    assert aligned_window([], 0, 5, cursor) == (0, 0)


@pytest.mark.parametrize("seed", range(8))
def test_a_window_is_that_of_the_best_line_of_all(seed):
    """Lines that can no longer be the best are passed over; each is scored here."""
    rng = random.Random(seed)
    lines = [" ".join(rng.choices("abcdefg", k=rng.randrange(5))) for _ in range(60)]
    cursor = cursor_text(context_at("\n".join(rng.sample(lines, 14)) + "\n‸"))

    def score(place):
        total = 0.0
        for back, wanted in enumerate(cursor.lines[: place + 1]):
            there = set(lines[place - back].split())
            if union := wanted | there:
                total += 0.8**back * len(wanted) * len(wanted & there) / len(union)
        return total

    scores = [score(place) for place in range(60)]
    first, end = aligned_window(lines, 0, 59, cursor)
    best = max(range(60), key=lambda place: (round(scores[place], 9), -place))
    assert (first, end) == (max(0, best - 5), min(60, best + 15))


def test_pieces_that_say_the_same_are_taken_once():
    """Copies of a text, and windows of the same lines, take no room twice."""
    cursor = cursor_text(context_at("total = price(1)\n‸"))
    text = "total = price(1)\ntotal = price(2)\nprint_total(total)\n"
    same = [piece(text, path=f"copy_{number}.py") for number in range(5)]
    assert len(rank(same, cursor, 10)) == 1
    windows = [piece(f"{text}line {n}\n", "window", first=n) for n in (1, 2)]
    assert [each.candidate.chunk.start_line for each in rank(windows, cursor, 10)] == [1]
    different = [piece(f"value_{n} = {n * 77}\n" * 3, "window", first=10 * n) for n in (1, 2, 3)]
    assert len(rank(different, cursor, 2)) == 2
    assert rank([piece("\n\n  \n")], cursor, 10) == []


def test_the_order_is_that_of_the_expected_gain():
    """What reads like the cursor's code comes first, whatever the order of the candidates."""
    cursor = cursor_text(context_at("with open(path) as file:\n    data = json.load(‸"))
    like = piece("with open(path) as file:\n    data = json.load(file)\n", "window")
    unlike = piece("class Colour:\n    red = 1\n", "window", "b.py")
    for order in ([like, unlike], [unlike, like]):
        ranked = rank(order, cursor, 10)
        assert [each.candidate for each in ranked] == [like, unlike]
        assert ranked[0].gain > ranked[1].gain


PROVIDER = """import client


class {name}Provider:
    def fetch(self, address):
        reply = client.get(address)
        if reply.status != 200:
            raise LookupError(reply.reason)
        rows = reply.json()
        return sorted(rows, key=lambda row: row["created"])
"""


@contextmanager
def indexed(repository, files):
    """The index of a repository with these files."""
    for path, text in files.items():
        file = repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    opened = open_repository(repository)
    update_index(opened, Settings())
    with RepositoryIndex.open(opened, Settings()) as index:
        yield index


OTHER = "".join(f"def f{n}():\n    pass\n" for n in range(50))


@pytest.fixture
def siblings(repository):
    """A repository with a sibling of a provider, copies of the provider, and much else."""
    copies = ("south.py", "south.py.orig", "build/lib/south.py", "vendor/south.py")
    files = {path: PROVIDER.format(name="South") for path in copies}
    files |= {"north.py": PROVIDER.format(name="North"), "other.py": OTHER}
    with indexed(repository, files) as index:
        yield index


def test_a_sibling_shows_what_comes_next_and_copies_show_nothing(siblings):
    """Another provider's next line is found; the same file under another name is not."""
    whole = PROVIDER.format(name="South")
    typed = whole.replace("        return sorted", "        ‸return sorted").partition(
        "return sorted"
    )[0]
    context = context_at(typed + "\n", "south.py")
    results = retrieve(context, siblings, 8)
    assert results[0].chunk.path == "north.py"
    assert 'key=lambda row: row["created"]' in results[0].chunk.text
    assert not any("south" in each.chunk.path for each in results)


@pytest.mark.parametrize(
    "cut", ["client.get(address)", "(reply.reason)", "        rows = reply.json()\n"]
)
def test_a_copy_of_a_short_file_shows_nothing(siblings, cut):
    """The cursor's own line, which is being written, does not tell a file from its copy."""
    context = context_at(PROVIDER.format(name="South").replace(cut, "‸"), "south.py")
    assert not any("south" in each.chunk.path for each in retrieve(context, siblings, 8))


def test_a_copy_of_a_file_of_three_lines_shows_nothing(repository):
    """However short the file is."""
    text = "import client\nlimit = client.get_limit(3)\ntimeout_seconds = 77\n"
    with indexed(repository, {"a.py": text, "build/lib/a.py": text, "other.py": OTHER}) as index:
        results = retrieve(context_at(text.replace("77", "‸"), "a.py"), index, 8)
    assert "build/lib/a.py" not in {each.chunk.path for each in results}


def test_a_copy_of_a_file_of_one_line_shows_nothing(repository):
    """Nor one of which most is being written anew: it is the text that the index has here."""
    text = "timeout_seconds = read_number(path, 77)\n"
    with indexed(repository, {"a.py": text, "build/lib/a.py": text, "other.py": OTHER}) as index:
        results = retrieve(context_at("timeout_seconds = ‸\n", "a.py"), index, 8)
    assert "build/lib/a.py" not in {each.chunk.path for each in results}


def test_many_copies_show_not_even_what_they_define(repository):
    """A copy that shares no word with the cursor's lines is found by what it defines."""
    text = (
        PROVIDER.format(name="South") + "\n\ndef fetch_all():\n    return SouthProvider(address)\n"
    )
    paths = [*(f"copy_{number}/south.py" for number in range(30)), "zoo/south.py", "zoo/a/south.py"]
    with indexed(repository, dict.fromkeys(paths, text) | {"other.py": OTHER}) as index:
        cut = text.replace("SouthProvider(address)", "SouthProvider(‸)")
        results = retrieve(context_at(cut, "zoo/south.py"), index, 8)
    assert not any("south" in each.chunk.path for each in results)


@pytest.mark.parametrize("copied", ["north.py", "south.py"])
def test_many_copies_of_a_file_leave_room_for_others(repository, copied):
    """Copies of what is found best, or of the document, are one place of those looked at."""
    names = {"north.py": "North", "south.py": "South"}
    files = {path: PROVIDER.format(name=name) for path, name in names.items()}
    files |= {f"build/{number}/{copied}": files[copied] for number in range(40)}
    files["east.py"] = (
        "def fetch_east(address):\n    reply = client.get(address)\n    return reply.json()\n"
    )
    with indexed(repository, files | {"other.py": OTHER}) as index:
        cut = files["south.py"].replace("(reply.reason)", "(‸)")
        paths = [each.chunk.path for each in retrieve(context_at(cut, "south.py"), index, 8)]
    assert "east.py" in paths
    assert sum(path.endswith("north.py") for path in paths) == 1
    assert not any(path.endswith("south.py") for path in paths)


def test_copies_of_the_document_cost_few_searches(repository, monkeypatch):
    """What one copy holds, the others hold too: it is not searched for each of them."""
    text = PROVIDER.format(name="South")
    paths = [*(f"build/{number}/south.py" for number in range(40)), "south.py"]
    asked = []
    search = RepositoryIndex.lexical

    def counted(*arguments, **options):
        asked.append(arguments)
        return search(*arguments, **options)

    monkeypatch.setattr(RepositoryIndex, "lexical", counted)
    with indexed(repository, dict.fromkeys(paths, text) | {"other.py": OTHER}) as index:
        retrieve(context_at(text.replace("(reply.reason)", "(‸)"), "south.py"), index, 8)
    assert 1 <= len(asked) <= 3


def test_a_new_file_finds_those_that_begin_like_it(repository):
    """A licence and the same imports are all of it, and little of the others."""
    head = "".join(f"# Line {n} of the licence\n" for n in range(12)) + "import json\n\n"
    body = "".join(f"def load_{n}(path):\n    return json.load({n})\n\n" for n in range(20))
    with indexed(repository, {"old.py": head + body, "other.py": OTHER}) as index:
        results = retrieve(context_at(head + "def ‸", "new.py"), index, 8)
    assert results[0].chunk.path == "old.py"


def test_what_moved_in_the_buffer_does_not_come_back_from_the_index(repository):
    """Unsaved lines above the cursor: the index has its text at other lines."""
    lines = [f"value_{n} = compute_value({n * n}, {n})" for n in range(200)]
    with indexed(repository, {"a.py": "\n".join(lines) + "\n", "other.py": OTHER}) as index:
        note = "# A note that is not saved\n" * 200
        before, after = "\n".join(lines[:100]), "\n".join(lines[101:])
        context = context_at(f"{note}{before}\nvalue_100 = ‸\n{after}\n", "a.py")
        found = [each.chunk.text for each in retrieve(context, index, 8)]
    assert found
    assert not any("value_100 = compute_value(10000" in text for text in found)


def test_a_file_of_endless_lines_gives_no_endless_window(repository):
    """Twenty lines may be a million characters, which no prompt holds."""
    text = "".join(f"shop_{n} = open_shop({n}); " for n in range(20_000))
    with indexed(repository, {"min.py": f"import shop\n{text}\nprint(1)\n"}) as index:
        context = context_at("import shop\nshop_1 = open_shop(‸\n", "new.py")
        found = retrieve(context, index, 8)
    assert found
    assert max(len(each.chunk.text) for each in found) < 10_000


def test_windows_say_which_lines_they_are(siblings):
    """A receipt names the lines that the model read."""
    context = context_at("def get(address):\n    reply = client.get(address)\n    ‸", "new.py")
    found = [each.chunk for each in retrieve(context, siblings, 8)]
    windows = [chunk for chunk in found if chunk.kind == "window"]
    assert windows
    for chunk in windows:
        lines = "".join(each.text for each in siblings.chunks_of(chunk.path)).splitlines(True)
        assert 1 <= chunk.start_line <= chunk.end_line <= len(lines)
        assert chunk.text == "".join(lines[chunk.start_line - 1 : chunk.end_line])
