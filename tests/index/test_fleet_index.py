"""Many indexes searched as one: the scores of one index, and no shard that spoils the others."""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from codebuddy.errors import IndexingError
from codebuddy.fleet.listing import named
from codebuddy.fleet.shards import shards_of
from codebuddy.index.fleet_index import FleetIndex
from codebuddy.index.schema import DATABASE_NAME, checksum
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.shards import ShardedStore
from codebuddy.index.store import Store
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.index.test_index_hostile import tampered
from tests.support.index import index, make_repository, module, write

SETTINGS = Settings(index=IndexSettings(embedder="none"))
WORDS = {
    "alpha": ["parse_config", "open_socket", "read_table"],
    "beta": ["parse_arguments", "open_file", "write_table"],
    "gamma": ["draw_table", "config_of", "close_socket"],
}
QUERIES = [
    "parse_config",
    "open socket",
    "parse config file",
    "table",
    "Holder",
    "where is a table written to",
    "return total",
    "write_table.py",
    "lang:python config",
    "path:beta open",
]


def make_fleet(folder: Path, words: dict[str, list[str]]) -> dict[str, Path]:
    """A repository for each name, indexed, its files in a folder of that name's first letter."""
    roots = {}
    for name, modules in words.items():
        files: dict[str, str | bytes] = {f"{each}.py": module(each) for each in modules}
        roots[name] = make_repository(folder / name, files)
        index(roots[name], embedder="none")
    return roots


def opened(roots: dict[str, Path]) -> FleetIndex:
    return FleetIndex(shards_of(named(roots.values())), SETTINGS)


def spoil(root: Path, *, is_damaged: bool = False) -> None:
    """Write postings that no codebuddy writes; with a right checksum, unless damaged."""
    connection = sqlite3.connect(open_repository(root).index_folder / DATABASE_NAME)
    for segment, term in connection.execute("SELECT segment, term FROM postings").fetchall():
        data = b"\xff\xff"
        connection.execute(
            "UPDATE postings SET data = ?, crc = ? WHERE segment = ? AND term = ?",
            (data, checksum(segment, term, data) + is_damaged, segment, term),
        )
    connection.commit()
    connection.close()


def shown(found) -> dict[tuple[str, int], float]:
    return {(each.chunk.path, each.chunk.start_line): each.score for each in found}


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_those_of_one_index_with_all_files(tmp_path, query):
    """Frequencies, lengths, ranks and definitions are counted over all shards."""
    from codebuddy.index.query_filters import split_filters

    roots = make_fleet(tmp_path / "fleet", WORDS)
    files: dict[str, str | bytes] = {
        f"{name}/{each}.py": module(each) for name, m in WORDS.items() for each in m
    }
    one = make_repository(tmp_path / "one", files)
    index(one, embedder="none")
    filters = split_filters(query)
    with (
        opened(roots) as fleet,
        RepositoryIndex.open(open_repository(one), SETTINGS) as single,
    ):
        ours = fleet.search(filters.text, 50, filters=filters)
        theirs = single.search(filters.text, 50, filters=filters)
    assert ours
    assert shown(ours) == pytest.approx(shown(theirs))
    assert [each.score for each in ours] == pytest.approx([each.score for each in theirs])


def test_a_repository_without_an_index_is_named_and_the_others_are_searched(tmp_path):
    """Missing, not a repository, gone: each is said, none is an error."""
    roots = make_fleet(tmp_path, {"alpha": WORDS["alpha"]})
    roots["new"] = make_repository(tmp_path / "new", {"a.py": module("other")})
    roots["plain"] = tmp_path / "plain"
    roots["plain"].mkdir()
    roots["gone"] = tmp_path / "gone"
    with opened(roots) as fleet:
        found = fleet.search("parse_config")
        problems = {each.name: each.problem for each in fleet.shards}
    assert found[0].chunk.path == "alpha/parse_config.py"
    assert problems["alpha"] == ""
    assert "not indexed" in problems["new"]
    assert problems["plain"]
    assert problems["gone"]


def test_an_update_of_a_shard_is_seen_by_the_next_search(tmp_path):
    """The indexes stay open, and are not believed to stay as they were."""
    roots = make_fleet(tmp_path, WORDS)
    with opened(roots) as fleet:
        assert not [f for f in fleet.search("brand_new_thing") if "brand" in f.chunk.path]
        write(roots["beta"], {"brand_new_thing.py": module("brand_new_thing")})
        index(roots["beta"], embedder="none")
        assert fleet.search("brand_new_thing")[0].chunk.path == "beta/brand_new_thing.py"
        index(roots["beta"], embedder="none", force=True)
        assert fleet.search("brand_new_thing")[0].chunk.path == "beta/brand_new_thing.py"


def test_a_damaged_shard_is_left_out_and_marked_for_a_rebuild(tmp_path):
    """Its bytes were changed while it was closed."""
    from codebuddy.index.damage_marker import is_marked_damaged

    roots = make_fleet(tmp_path, WORDS)
    folder = open_repository(roots["alpha"]).index_folder
    file = folder / DATABASE_NAME
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    with opened(roots) as fleet:
        found = fleet.search("table")
        problems = {each.name: each.problem for each in fleet.shards}
    assert found
    assert not [each for each in found if each.chunk.path.startswith("alpha/")]
    assert "damaged" in problems["alpha"]
    assert is_marked_damaged(folder)
    index(roots["alpha"], embedder="none")
    with opened(roots) as fleet:
        assert fleet.search("read_table")[0].chunk.path == "alpha/read_table.py"


def test_a_hostile_shard_costs_nobody_the_search(tmp_path):
    """Postings with a right checksum that no codebuddy wrote."""
    roots = make_fleet(tmp_path, WORDS)
    spoil(roots["beta"])
    with opened(roots) as fleet:
        found = fleet.ask("table", lambda: fleet.search("table"))
    assert found
    assert not [each for each in found if each.chunk.path.startswith("beta/")]


def test_a_shard_with_ids_of_others_costs_nobody_the_search(tmp_path):
    """Ids with right checksums that would be another shard's, or of one that is not there."""
    roots = make_fleet(tmp_path, WORDS)
    for which in range(30):
        tampered(roots["beta"], "definitions", "chunk_id", (1 << 40) * (which % 4 + 1), which)
    with opened(roots) as fleet:
        for query in ("parse_arguments", "write_table", "parse_config", "Holder"):
            found = fleet.ask(query, partial(fleet.search, query))
            assert found
            assert {each.chunk.path.partition("/")[0] for each in found} >= {"alpha"}


def test_more_repositories_than_files_may_be_open_are_searched(tmp_path):
    """The system's soft limit is raised, as far as its hard one allows."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    roots = make_fleet(tmp_path, WORDS)
    with ExitStack() as others:
        # A process may have many open already.
        opened_files = [others.enter_context(Path(os.devnull).open("rb")) for _ in range(300)]
        lowest = opened_files[-1].fileno() + 1
        others.callback(resource.setrlimit, resource.RLIMIT_NOFILE, usual)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 2, usual[1]))
        with opened(roots) as fleet:
            fleet.ask("table", lambda: fleet.search("table"))
            assert [each.problem for each in fleet.shards] == ["", "", ""]


def test_nor_does_one_beside_a_damaged_shard(tmp_path):
    """The first try loses the damaged one, the second meets the hostile one."""
    roots = make_fleet(tmp_path, WORDS)
    spoil(roots["alpha"], is_damaged=True)
    spoil(roots["beta"])
    with opened(roots) as fleet:
        found = fleet.ask("table", lambda: fleet.search("table"))
        problems = {each.name for each in fleet.shards if each.problem}
    assert {each.chunk.path.partition("/")[0] for each in found} == {"gamma"}
    assert problems == {"alpha", "beta"}


def test_every_read_of_a_single_index_is_one_of_many_too_or_of_no_search(tmp_path):
    """What is inherited would look for the one database that many do not have."""
    inherited = {
        name
        for name, method in vars(Store).items()
        if not name.startswith("_") and callable(method) and name not in vars(ShardedStore)
    }
    # Of --near, of usages and imports, of one repository's own files, of updates.
    assert inherited == {
        "all_postings",
        "chunks_of",
        "count_definitions",
        "count_vectors",
        "definitions_in",
        "file_ids",
        "files_with",
        "imports_of",
        "references_of",
        "segments",
    }


def test_what_is_left_out_is_counted_over_all(tmp_path):
    """Of two repositories one file each, and none where nothing is indexed."""
    files: dict[str, str | bytes] = {"a.py": module("other"), "b.py": b"\0\1\2"}
    roots = {name: make_repository(tmp_path / name, files) for name in ("alpha", "beta")}
    with opened(roots) as fleet:
        assert fleet.skipped_by_reason() == {}
    for root in roots.values():
        index(root, embedder="none")
    with opened(roots) as fleet:
        assert fleet.skipped_by_reason() == {"binary": 2}


def test_a_question_s_missing_words_are_those_of_no_shard(tmp_path):
    """A word of one shard alone is there, by its beginning too."""
    with opened(make_fleet(tmp_path, WORDS)) as fleet:
        absent = fleet.absent_words("where are the arguments of a quuxification parsed", [])
    assert absent.nowhere == ("quuxification",)


def test_asking_for_vectors_where_there_are_none_says_so(tmp_path):
    """As of one index."""
    with opened(make_fleet(tmp_path, WORDS)) as fleet, pytest.raises(IndexingError, match="dense"):
        fleet.search("table", channel="dense")


def test_many_of_one_name_are_the_first_that_one_index_would_give(tmp_path):
    """Rows are asked for by shares; which come does not depend on that."""
    spellings = {
        "alpha": "openfile",
        "beta": "open_file",
        "gamma": "OpenFile",
        "delta": "open_file",
    }
    files: dict[str, str | bytes] = {}
    roots = {}
    for name, spelling in spellings.items():
        own: dict[str, str | bytes] = {
            f"m{n}.py": f"def {spelling}():\n    pass\n" for n in range(3)
        }
        own["more.py"] = "def open_file_again():\n    pass\n"
        roots[name] = make_repository(tmp_path / name, own)
        index(roots[name], embedder="none")
        files |= {f"{name}/{path}": text for path, text in own.items()}
    one = make_repository(tmp_path / "one", files)
    index(one, embedder="none")
    with opened(roots) as fleet, RepositoryIndex.open(open_repository(one), SETTINGS) as single:
        for limit, is_prefix in itertools.product((1, 4, 7, 50), (False, True)):
            names = []
            for store in (fleet._store, single._store):
                with store.snapshot():
                    found = store.definitions("openfile", is_prefix=is_prefix, limit=limit)
                names.append([each.name for each in found])
            assert names[0] == names[1]
            assert len(names[0]) == min(limit, 16 if is_prefix else 12)


@pytest.mark.skipif(os.name != "posix", reason="rights are those of files there")
def test_an_index_that_others_can_write_is_not_searched(tmp_path):
    """That is said, and indexing makes another one, which is searched."""
    roots = make_fleet(tmp_path, WORDS)
    open_repository(roots["beta"]).index_folder.chmod(0o777)
    with opened(roots) as fleet:
        fleet.search("parse_config")
        assert "others can write" in {each.name: each.problem for each in fleet.shards}["beta"]
    index(roots["beta"], embedder="none")
    with opened(roots) as fleet:
        fleet.search("parse_config")
        assert {each.problem for each in fleet.shards} == {""}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_index_that_one_may_not_read_is_not_searched(tmp_path):
    """That is said; the others are searched."""
    roots = make_fleet(tmp_path, WORDS)
    file = open_repository(roots["beta"]).index_folder / DATABASE_NAME
    file.chmod(0)
    with opened(roots) as fleet:
        found = fleet.search("parse_config")
        problems = {each.name: each.problem for each in fleet.shards}
    assert found[0].chunk.path == "alpha/parse_config.py"
    assert "beta" in problems
    assert problems["beta"]
