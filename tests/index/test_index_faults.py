"""Full disks, folders that cannot be written, crashing parsers: named errors, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from codebuddy import paths
from codebuddy.errors import IndexingError
from codebuddy.index import file_walker
from codebuddy.index import pool as pool_module
from codebuddy.index.batch import Batch, analyze_batch
from codebuddy.index.build import PARSING_NAME
from codebuddy.index.file_walker import FileStat
from codebuddy.index.pool import WorkerPool
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import IndexSettings, Settings
from codebuddy.source_text import as_utf8
from codebuddy.vcs.repository import Repository, open_repository
from tests.support.index import clean_dump, database, dump, index, make_repository, module, write

_PACKAGE_PARENT = str(Path(__file__).parents[2])

# Runs `codebuddy index` where no file may grow beyond so many bytes: writes then fail as on
# a full disk, with the system's own error.
_SMALL_DISK = textwrap.dedent("""
    import resource, signal, sys
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    from codebuddy.cli import run
    sys.exit(run(["index", "--jobs", "1"]))
""")


def _on_small_disk(root: Path, limit_bytes: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", _SMALL_DISK, str(limit_bytes)],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": _PACKAGE_PARENT},
    )


@pytest.mark.process
def test_a_full_disk_is_named_and_the_old_index_stays_usable(tmp_path):
    """Wherever the disk ends, the error is one sentence and the old answers remain."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(8)})
    index(root)
    before = dump(database(root))
    size = database(root).stat().st_size
    write(root, {f"n{i}.py": module(f"more_{i}") * 20 for i in range(40)})
    for limit in (size - 4096, size, size + 4096, size + 20_000):
        done = _on_small_disk(root, limit)
        assert done.returncode == 1, (limit, done.stderr)
        lines = done.stderr.strip().splitlines()
        assert lines[0].startswith("error: "), lines
        assert "cannot be read or written" in lines[0] or "disk is full" in lines[0]
        assert len(lines) == 2, lines
        assert dump(database(root)) == before
    assert index(root).added == 40
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


@pytest.mark.process
def test_a_folder_without_room_leaves_no_half_index(tmp_path):
    """A first build that fails for want of room is told, and the next one succeeds."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(8)})
    done = _on_small_disk(root, 8192)
    assert done.returncode == 1
    assert done.stderr.startswith("error: "), done.stderr
    assert index(root).files == 8
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


@pytest.mark.process
def test_a_git_folder_that_cannot_be_written_sends_the_index_to_the_cache(tmp_path):
    """The user who may only read the repository still searches, and nothing appears in it."""
    # A folder that another user may read, which the test's own is not.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = make_repository(Path(folder) / "r", {"a.py": module("alpha")})
        (Path(folder) / "cache").mkdir()
        (Path(folder) / "cache").chmod(0o777)
        for each in (root, root / ".git"):
            each.chmod(0o555)
        before = sorted(root.rglob("*"))
        warm = make_repository(tmp_path / "warm", {"a.py": module("alpha")})
        code = textwrap.dedent(f"""
            import os
            from pathlib import Path
            from codebuddy import paths
            from codebuddy.settings import Settings
            from codebuddy.index.build import update_index
            from codebuddy.index.search import RepositoryIndex
            from codebuddy.vcs.repository import open_repository

            def found(root):
                repository = open_repository(Path(root))
                report = update_index(repository, Settings())
                with RepositoryIndex.open(repository, Settings()) as index:
                    return repository, report.files, index.search("alpha")[0].chunk.path

            # Loads every library, which the other user may not be able to read.
            found({str(warm)!r})
            if os.geteuid() == 0:
                os.setuid(65534)
            os.environ["XDG_CACHE_HOME"] = {str(Path(folder) / "cache")!r}
            os.environ["HOME"] = "/nonexistent"
            os.environ["GIT_CONFIG_GLOBAL"] = {str(Path(folder) / "gitconfig")!r}
            repository, *answer = found({str(root)!r})
            assert paths.fallback_indexes_folder() in repository.index_folder.parents
            print(*answer)
        """)
        (Path(folder) / "gitconfig").write_text("[safe]\n    directory = *\n")
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": _PACKAGE_PARENT},
        )
        assert done.stdout == "1 a.py\n", done.stderr
        assert sorted(root.rglob("*")) == before
        (root / ".git").chmod(0o755)
        root.chmod(0o755)


def test_a_linked_index_folder_is_not_used(tmp_path):
    """`.git/codebuddy` as a link out of the repository sends the index to the cache."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / ".git" / "codebuddy").symlink_to(elsewhere)
    found = open_repository(root)
    assert found.index_folder.parent == paths.fallback_indexes_folder()
    assert index(root).files == 1
    assert list(elsewhere.iterdir()) == []


# A worker whose parser dies on a file that says so: the real worker, and a real abort.
_CRASHING_WORKER = textwrap.dedent("""
    import os
    from codebuddy.index import analysis, worker
    analyze = analysis.analyze
    def analyze_or_die(path, source):
        if b"kill the parser" in source:
            os.abort()
        return analyze(path, source)
    analysis.analyze = analyze_or_die
    worker.main()
""")


def _batch(root: Path, names: list[str], quarantined: frozenset[bytes] = frozenset()) -> Batch:
    files = tuple((os.fsencode(name), FileStat.of((root / name).stat()), b"") for name in names)
    return Batch(os.fsencode(root), files, 1_000_000, quarantined)


@pytest.mark.process
def test_a_file_that_kills_its_parser_is_quarantined_and_costs_no_other(tmp_path):
    """The batch is tried again file by file; the culprit is skipped, by content, ever after."""
    names = [f"m{i}.py" for i in range(9)]
    write(tmp_path, {name: module(f"name_{name[1]}") for name in names})
    write(tmp_path, {"m4.py": "text = 'kill the parser'\n"})
    batches = [_batch(tmp_path, names[:6]), _batch(tmp_path, names[6:])]
    with WorkerPool(1, [sys.executable, "-P", "-c", _CRASHING_WORKER]) as pool:
        results = list(pool.run(batches))
    analysed = {each.path for result in results for each in result.analysed}
    assert analysed == {os.fsencode(name) for name in names} - {b"m4.py"}
    ((path, skip, digest),) = [each for result in results for each in result.skipped]
    assert (path, skip.reason) == (b"m4.py", "crash")
    again = analyze_batch(_batch(tmp_path, ["m4.py"], frozenset({digest})))
    assert [(each[0], each[1].reason) for each in again.skipped] == [(b"m4.py", "crash")]


@pytest.mark.process
def test_workers_that_cannot_start_are_an_error_and_no_quarantine(tmp_path):
    """A broken installation is told as such instead of skipping every file."""
    write(tmp_path, {"a.py": module("alpha")})
    command = [sys.executable, "-c", "raise ImportError('no numpy')"]
    with (
        WorkerPool(2, command) as pool,
        pytest.raises(IndexingError, match="a process that parses files cannot start"),
    ):
        list(pool.run([_batch(tmp_path, ["a.py"])]))


@pytest.mark.process
def test_workers_that_never_start_are_an_error(tmp_path, monkeypatch):
    """One that hangs in an import does not hold the update and its lock for ever."""
    monkeypatch.setattr(pool_module, "START_TIMEOUT_S", 0.1)
    write(tmp_path, {"a.py": module("alpha")})
    with (
        WorkerPool(1, ["sleep", "600"]) as pool,
        pytest.raises(IndexingError, match="a process that parses files cannot start"),
    ):
        list(pool.run([_batch(tmp_path, ["a.py"])]))


@pytest.mark.process
def test_links_planted_in_the_index_folder_are_not_written_through(tmp_path):
    """A repository unpacked from a hostile archive cannot aim the index's files elsewhere."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    folder = open_repository(root).index_folder
    folder.mkdir()
    for name in ("index.seal", "index.seal.new", "index.new.db", "index.suspect", "index.parsing"):
        (folder / name).symlink_to(victim)
    for force in (False, True):
        index(root, force=force)
        assert victim.read_text() == "precious\n"
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


@pytest.mark.process
def test_results_of_a_repeated_batch_fit_together(tmp_path):
    """Postings that were put together from single files equal those of the whole batch."""
    names = [f"m{i}.py" for i in range(4)]
    write(tmp_path, {name: module(f"name_{name[1]}") for name in names})
    write(tmp_path, {"dies.py": "text = 'kill the parser'\n"})
    with WorkerPool(1, [sys.executable, "-P", "-c", _CRASHING_WORKER]) as pool:
        (pieced,) = pool.run([_batch(tmp_path, ["dies.py", *names])])
    whole = analyze_batch(_batch(tmp_path, names))
    assert pieced.columns is not None
    assert whole.columns is not None
    assert pieced.columns.rows() == whole.columns.rows()
    assert [each.path for each in pieced.analysed] == [each.path for each in whole.analysed]


@pytest.mark.process
def test_after_a_crash_in_this_process_workers_take_over(tmp_path):
    """The word that a dead predecessor left makes even a small update use workers."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    index(root)
    (database(root).parent / PARSING_NAME).touch()
    write(root, {"b.py": module("beta")})
    assert index(root).added == 1
    assert not (database(root).parent / PARSING_NAME).exists()
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


@pytest.mark.process
@pytest.mark.parametrize(
    "content",
    [b"(" * 100_000, b"x = " + b"[" * 50_000, b"a" * 900_000, b"\n" * 500_000, b"\x0c\x1c\x85" * 9],
    ids=["parentheses", "brackets", "one line", "blank lines", "odd line ends"],
)
def test_pathological_content_is_indexed(tmp_path, content):
    """Deep nesting and endless lines become chunks like anything else."""
    root = make_repository(tmp_path / "r", {"bad.py": content, "good.py": module("good")})
    report = index(root)
    assert (report.files, report.skipped) == (2, {})
    entry = dump(database(root))["files"]["b'bad.py'"]
    # 0x85 is no UTF-8, which chunks are kept as.
    text = as_utf8(content) or b""
    assert sum(chunk[1] - chunk[0] for chunk in entry["chunks"]) == len(text)


@pytest.mark.slow
def test_a_line_of_fifty_megabytes_is_indexed_when_it_is_allowed(tmp_path):
    """Beyond the usual size limit too, one endless line falls back to windows."""
    root = make_repository(tmp_path / "r", {"long.txt": b"word " * 10_000_000})
    report = index(root, max_file_bytes=1 << 27)
    assert report.files == 1
    assert report.chunks > 0
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert opened.lexical(["word"], 1)[0].chunk.path == "long.txt"


def test_the_index_is_whole_when_the_cache_folder_is_missing(tmp_path):
    """Folders are made on the way, for their owner alone."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    found = open_repository(root)
    place = tmp_path / "not" / "yet" / "there"
    elsewhere = Repository(found.root, found.git_folder, place, is_shallow=False)
    from codebuddy.index.build import update_index

    report = update_index(elsewhere, Settings(index=IndexSettings(jobs=1)))
    assert report.files == 1
    assert place.stat().st_mode & 0o777 == 0o700


def test_secrets_never_reach_the_index_file(tmp_path):
    """Neither a key's text nor its file's terms stand anywhere in the database."""
    key = "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun"
    pem = f"-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n"
    root = make_repository(tmp_path / "r", {"conf.py": pem, "b.py": module("beta")})
    index(root)
    assert file_walker.has_private_key(pem.encode())
    assert key.encode() not in database(root).read_bytes()
    assert key.lower() not in dump(database(root))["postings"]


def _command_on_small_disk(
    root: Path, limit_bytes: int, *arguments: str
) -> subprocess.CompletedProcess[str]:
    program = _SMALL_DISK.replace('["index", "--jobs", "1"]', repr(list(arguments)))
    return subprocess.run(
        [sys.executable, "-P", "-c", program, str(limit_bytes)],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": _PACKAGE_PARENT},
    )


@pytest.mark.process
@pytest.mark.parametrize("limit", [0, 8192, 60_000])
def test_a_first_build_without_room_leaves_no_index_and_later_commands_say_why_once(
    tmp_path, limit
):
    """Nothing is said to be usable, damaged or to be forced where nothing was indexed."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(40)})
    for arguments in (
        ("index",), ("index",), ("index", "--force"), ("search", "name_1", "--no-engine")
    ):  # fmt: skip
        done = _command_on_small_disk(root, limit, *arguments)
        assert done.returncode == 1, done.stderr
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 2, lines
        assert "cannot be read or written" in lines[0] or "disk is full" in lines[0]
        assert "nothing is indexed yet" in lines[1]
        assert "usable" not in done.stderr
        assert "--force" not in done.stderr
        assert "damaged" not in done.stderr
        left = {each.name for each in database(root).parent.iterdir()}
        assert left <= {"index.lock"}, left
    done = _command_on_small_disk(
        root, limit, "complete", "m1.py:3", "--no-engine", "--model", "echo"
    )
    assert done.returncode == 0
    assert done.stderr.count("warning: ") == 1, done.stderr
    assert index(root).added == 40
    assert dump(database(root)) == clean_dump(root, tmp_path / "clean")


@pytest.mark.process
def test_without_room_the_old_index_is_said_to_be_usable_and_is(tmp_path):
    """An update and a rebuild that find no room leave it, and nothing half done beside it."""
    root = make_repository(tmp_path / "r", {f"m{i}.py": module(f"name_{i}") for i in range(8)})
    index(root)
    before = dump(database(root))
    size = database(root).stat().st_size
    write(root, {f"n{i}.py": module(f"more_{i}") * 20 for i in range(40)})
    for arguments in (("index",), ("index", "--force")):
        done = _command_on_small_disk(root, size, *arguments)
        assert done.returncode == 1
        assert "what was indexed stays usable" in done.stderr.splitlines()[1]
        assert dump(database(root)) == before
        assert not (database(root).parent / "index.new.db").exists()
    done = _command_on_small_disk(root, size, "search", "name_1", "--no-engine")
    assert done.returncode == 0
    (line,) = done.stderr.strip().splitlines()
    assert "using the index as it is" in line
    assert "free" in line
