"""Small files in the git folder: no link is followed, no pipe waited for, no absurd number kept."""

from __future__ import annotations

import json
import os
import random
import stat
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from codebuddy import heads
from codebuddy.completion.latency import LatencyModel
from codebuddy.datatypes import GenerationStats
from codebuddy.errors import CodebuddyError, DocumentError, HeadError, TrainingError, UsageError
from codebuddy.evaluation import store
from codebuddy.hook import record
from codebuddy.hook.finding import FileEdit, Finding
from codebuddy.inference import added, stamps
from codebuddy.private_files import (
    append_to,
    make_folder,
    parse_json,
    read_file,
    read_json,
    why_not_private,
    write_file,
)
from codebuddy.training.head.examples import (
    DamagedLabelsError,
    append_example,
    read_examples,
    write_header,
)
from codebuddy.tui.session import OpenFileState, SessionState, load_session, save_session
from codebuddy.tui.text.journal import Journal, Record
from codebuddy.vcs.repository import open_repository
from tests.support.engine import codebuddy
from tests.support.index import index, make_repository, module

HEADER = {"planned": 1, "commit": "c", "model": "m"}


@pytest.fixture
def repository(tmp_path):
    """A repository with an index."""
    root = make_repository(tmp_path / "repo", {"m.py": module("one")})
    index(root)
    return open_repository(root)


def within(seconds: float, work):
    """What `work` returns or raises; a failure where it waits for ever."""
    outcome: list = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, "it waits"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


# What may stand in the place of a file.


def _pipe(place: Path, _outside: Path) -> None:
    os.mkfifo(place)


def _link(place: Path, outside: Path) -> None:
    place.symlink_to(outside)


def _dangling(place: Path, outside: Path) -> None:
    place.symlink_to(outside.with_name("not-there"))


def _device(place: Path, _outside: Path) -> None:
    place.symlink_to("/dev/zero")


def _folder(place: Path, _outside: Path) -> None:
    place.mkdir()


PLANTS = [_pipe, _link, _dangling, _device, _folder]


def planted(plant, place: Path, tmp_path: Path) -> Path:
    """Something else in the place of the file `place`; returns a file that must stay as it is."""
    outside = tmp_path / "outside.json"
    outside.write_text('{"mine": 1}\n')
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    plant(place, outside)
    return outside


def untouched(outside: Path) -> bool:
    """Whether nothing outside was written."""
    return outside.read_text() == '{"mine": 1}\n' and not outside.with_name("not-there").exists()


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_but_a_plain_file_is_read_or_written(tmp_path, plant):
    """The helper itself: an error in words, or the thing exchanged for a file of ours."""
    place = tmp_path / "folder" / "x.json"
    outside = planted(plant, place, tmp_path)
    with pytest.raises(OSError, match="it is"):
        within(20, lambda: read_file(place, 100))
    with pytest.raises(OSError, match="it is"):
        within(20, lambda: append_to(place, b"more\n"))
    if plant is not _folder:
        write_file(place, b"ours")
        assert read_file(place, 100) == b"ours"
        assert stat.S_IMODE(place.lstat().st_mode) == 0o600
    assert untouched(outside)
    assert [each.name for each in place.parent.iterdir()] == ["x.json"]


def test_a_file_with_a_second_name_is_not_added_to(tmp_path):
    """A hard link leads elsewhere as a symbolic one does."""
    (tmp_path / "mine").write_text("mine\n")
    os.link(tmp_path / "mine", tmp_path / "labels")
    with pytest.raises(OSError, match="linked to another file"):
        append_to(tmp_path / "labels", b"more\n")
    assert (tmp_path / "mine").read_text() == "mine\n"


def test_a_file_is_read_up_to_its_limit(tmp_path):
    """A larger one is refused, without reading all of it."""
    place = tmp_path / "x"
    place.write_bytes(b"x" * 100)
    assert read_file(place, 100) == b"x" * 100
    os.truncate(place, 1 << 40)
    with pytest.raises(OSError, match="larger than 100 bytes"):
        read_file(place, 100)


@pytest.mark.parametrize(
    "content",
    [
        b"NaN",
        b"[Infinity]",
        b'{"a": 1e999}',
        b"-1e999",
        b"9" * 5_000,
        b"9223372036854775808",
        b"[" * 100_000,
        b"\xff",
        b"",
    ],
    ids=range(9),
)
def test_numbers_that_no_file_of_ours_holds_are_refused(content):
    """Not finite, beyond 64 bits, nested without end: one kind of error."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


# Folders


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    """With every folder above it that was missing, whatever the umask."""
    before = os.umask(0)
    try:
        folder = make_folder(tmp_path / "a" / "codebuddy" / "tui", levels=2)
    finally:
        os.umask(before)
    for each in (folder, folder.parent, folder.parent.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_a_folder_of_ours_is_closed_to_others(tmp_path):
    """One that others could only look into is kept, and no longer open."""
    folder = tmp_path / "codebuddy"
    folder.mkdir(mode=0o755)
    make_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, mode):
    """Whatever lies in it may be theirs."""
    folder = tmp_path / "codebuddy"
    folder.mkdir()
    folder.chmod(mode)
    assert why_not_private(folder) == "other users may write to it"
    with pytest.raises(OSError, match="other users may write to it"):
        make_folder(folder)
    with pytest.raises(OSError, match="other users may write to it"):
        make_folder(folder / "tui", levels=2)
    assert not (folder / "tui").exists()


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder away"
)
def test_a_folder_of_another_user_is_refused(tmp_path):
    """Even where this user may do anything."""
    folder = tmp_path / "codebuddy"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(OSError, match="belongs to another user"):
        make_folder(folder)


@pytest.mark.process
@pytest.mark.parametrize("case", ["open", "link", "file"])
def test_an_index_folder_that_cannot_be_trusted_is_told_and_passed_over(tmp_path, case):
    """The index lies in the cache folder instead; nothing is read from or written to the place."""
    root = make_repository(tmp_path / "repo", {"m.py": module("one")})
    place, outside = root / ".git" / "codebuddy", tmp_path / "elsewhere"
    outside.mkdir()
    if case == "open":
        place.mkdir()
        place.chmod(0o777)
        (place / "index.db").write_bytes(b"planted")
    elif case == "link":
        place.symlink_to(outside)
    else:
        place.write_text("")
        place.chmod(0o777)
    cache = tmp_path / "cache"
    done = codebuddy(root, "search", "one", XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    assert f"{place} is not used" in done.stderr
    assert "delete it" in done.stderr
    assert "m.py" in done.stdout
    assert list(outside.iterdir()) == []
    if case == "open":
        assert [each.name for each in place.iterdir()] == ["index.db"]
    assert list((cache / "codebuddy" / "indexes").glob("*/index.db"))
    told = json.loads(codebuddy(root, "doctor", "--json", XDG_CACHE_HOME=str(cache)).stdout)
    assert any(str(place) in each["problem"] for each in told["problems"])


# Each file of ours


def test_a_planted_session_is_none_and_is_replaced(repository, tmp_path):
    """`session.json` as a pipe, a link or a device: an empty session, then one of ours."""
    folder = repository.index_folder / "tui"
    state = SessionState([OpenFileState("m.py", 3)])
    for plant in (_pipe, _link, _dangling, _device):
        outside = planted(plant, folder / "session.json", tmp_path)
        assert within(20, lambda: load_session(folder)) == SessionState()
        save_session(folder, state)
        assert load_session(folder) == state
        assert untouched(outside)


@pytest.mark.parametrize("number", ["1e999", "-1", "NaN", "1.5", "true", "9" * 30, '"3"', "null"])
@pytest.mark.parametrize("key", ["line", "column", "top", "active"])
def test_a_session_of_absurd_numbers_is_none(tmp_path, key, number):
    """The whole session is reset, as a damaged one."""
    place = {"path": '"m.py"', "line": "1", "column": "2", "top": "0"}
    active = "0"
    if key == "active":
        active = number
    else:
        place[key] = number
    fields = ", ".join(f'"{name}": {value}' for name, value in place.items())
    (tmp_path / "session.json").write_text(f'{{"files": [{{{fields}}}], "active": {active}}}')
    assert load_session(tmp_path) == SessionState()


@pytest.mark.parametrize("name", ["tui", "tui/unsaved"])
def test_a_linked_folder_takes_no_session_and_no_text(repository, tmp_path, name):
    """`tui` or what lies in it leads elsewhere: nothing is written, read or dropped there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    place = repository.index_folder / name
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside)
    folder = repository.index_folder / "tui"
    journal = Journal(folder / "unsaved")
    old = Record("m.py", "text", 0, 0, "", 0.0)
    kept = outside / ("unsaved" if name == "tui" else ".")
    kept.mkdir(exist_ok=True)
    (kept / "old.json").write_text(json.dumps(asdict(old)))
    before = sorted(each.name for each in outside.rglob("*"))
    with pytest.raises(OSError, match="it is a link"):
        journal.write_record(old)
    if name == "tui":
        with pytest.raises(OSError, match="it is a link"):
            save_session(folder, SessionState())
    assert journal.records() == []
    assert journal.record_of("m.py") is None
    journal.drop("m.py")
    assert sorted(each.name for each in outside.rglob("*")) == before


def test_the_editors_folder_is_for_its_owner_alone(tmp_path):
    """Also where it is the first to make the folder around it."""
    folder = tmp_path / "repo" / ".git" / "codebuddy" / "tui"
    folder.parents[1].mkdir(parents=True)
    save_session(folder, SessionState())
    Journal(folder / "unsaved").write_record(Record("m.py", "text", 0, 0, "", 1.0))
    for each in (folder.parent, folder, folder / "unsaved"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", ["1e999", "NaN", "-5", "true"])
@pytest.mark.parametrize("key", ["line", "saved_at_s"])
def test_a_record_of_absurd_numbers_is_none(tmp_path, key, number):
    """A journal's record is as damaged as one that is no JSON."""
    journal = Journal(tmp_path / "codebuddy" / "tui" / "unsaved")
    journal.write_record(Record("m.py", "text", 1, 2, "", 77.0))
    (file,) = (tmp_path / "codebuddy" / "tui" / "unsaved").glob("*.json")
    values = json.loads(file.read_text())
    values[key] = "X"
    file.write_text(json.dumps(values).replace('"X"', number))
    assert journal.record_of("m.py") is None


def test_unsaved_text_of_the_future_is_kept(tmp_path):
    """A clock that was wrong loses nobody's text, and makes none the newest for ever."""
    journal = Journal(tmp_path / "codebuddy" / "tui" / "unsaved")
    future = Record("m.py", "text", 1, 2, "", time.time() + 1e9)
    journal.write_record(future)
    journal.write_record(Record("old.py", "old", 1, 2, "", time.time() - 1e9))
    assert journal.record_of("m.py") == future
    assert [each.path for each in journal.records()] == ["m.py", "old.py"]


def finding(rule: str = "r") -> Finding:
    """A finding with a patch."""
    return Finding(rule, "m.py", 1, 1, "said", edits=(FileEdit("m.py", 1, 1, "a", "b"),))


def test_planted_patches_are_replaced_and_never_waited_for(repository, tmp_path):
    """`hook.json` as anything but a file."""
    place = repository.index_folder / "hook.json"
    for plant in (_pipe, _link, _dangling, _device):
        outside = planted(plant, place, tmp_path)
        with pytest.raises(DocumentError, match=r"hook\.json cannot be read: it is"):
            within(20, lambda: record.find_finding(repository, "r"))
        assert within(20, lambda: record.save_patches(repository, [finding()]))
        assert record.find_finding(repository, "r")[1][0].new == "b"
        assert untouched(outside)


@pytest.mark.parametrize(
    "change",
    [
        {"age": -1},
        {"age": -(10**30)},
        {"age": 10**6},
        {"age": True},
        {"age": 0.5},
        {"age": None},
        {"id": 7},
        {"rule": ["r"]},
        {"edits": {}},
        {"edits": None},
    ],
    ids=str,
)
def test_patches_that_the_hook_did_not_keep_are_refused_and_replaced(repository, change):
    """A planted age cannot push itself before what was found last."""
    assert record.save_patches(repository, [finding()])
    file = repository.index_folder / "hook.json"
    (row,) = json.loads(file.read_text())
    file.write_text(json.dumps([row, {**row, "id": "other", **change}]))
    with pytest.raises(DocumentError, match=r"hook\.json"):
        record.find_finding(repository, "r")
    assert record.save_patches(repository, [finding()])
    assert record.find_finding(repository, "r")[1][0].new == "b"


@pytest.mark.parametrize(
    "change",
    [
        {"first_line": 0},
        {"first_line": -3},
        {"first_line": True},
        {"first_line": 1.0},
        {"last_line": 10**15},
        {"first_line": 5, "last_line": 2},
        {"path": None},
        {"more": 1},
    ],
    ids=str,
)
def test_an_edit_of_absurd_lines_is_refused(repository, change):
    """Before any file is looked at."""
    assert record.save_patches(repository, [finding()])
    file = repository.index_folder / "hook.json"
    (row,) = json.loads(file.read_text())
    row["edits"][0].update(change)
    file.write_text(json.dumps([row]))
    with pytest.raises(DocumentError, match="cannot be read"):
        record.find_finding(repository, "r")


def test_a_planted_head_is_refused_and_never_waited_for(repository, tmp_path):
    """`head.json` as anything but a file: the shipped one is used, with the reason."""
    place = heads.personal_head_file(repository)
    for plant in (_pipe, _link, _dangling, _device):
        outside = planted(plant, place, tmp_path)
        with pytest.raises(HeadError, match="cannot be read: it is"):
            within(20, lambda: heads.load_head_file(place))
        chosen = within(20, lambda: heads.choose_head(repository, {}))
        assert "the shipped one is used" in chosen.warnings[0]
        content = json.loads(heads.default_head_file().read_text())
        heads.save_head(place, content)
        assert heads.load_head_file(place).name == content["name"]
        assert untouched(outside)


@pytest.mark.parametrize("plant", [_pipe, _link, _dangling, _device])
def test_planted_labels_are_refused_and_never_written_through(repository, tmp_path, plant):
    """`head-labels.jsonl` as anything but a file; a dangling link leads to no new file."""
    place = heads.personal_labels_file(repository)
    outside = planted(plant, place, tmp_path)
    with pytest.raises(TrainingError, match="it is"):
        within(20, lambda: read_examples(place))
    write_header(place, {"model": "m"})
    assert read_examples(place)[0]["model"] == "m"
    assert untouched(outside)
    place.unlink()
    outside = planted(plant, place, tmp_path)
    with pytest.raises(OSError, match="it is"):
        within(20, lambda: append_example(place, _example()))
    assert untouched(outside)


def _example():
    from tests.completion.test_head import example

    return example(1, random.Random(1))


def test_a_planted_pace_is_a_guess_and_is_replaced(tmp_path):
    """`latency.json` as anything but a file, or with numbers that no machine has."""
    place = tmp_path / "cache" / "pace.json"
    guess = LatencyModel().ms_per_token
    stats = GenerationStats(prompt_tokens=100, evaluated_tokens=100, prefill_ms=500.0)
    for plant in (_pipe, _link, _dangling, _device):
        outside = planted(plant, place, tmp_path)
        latency = within(20, lambda: LatencyModel(place, "k"))
        assert latency.ms_per_token == guess
        latency.record(stats, 0.0)
        latency.save()
        assert LatencyModel(place, "k").ms_per_token == 5.0
        assert untouched(outside)
    for pair in ("[1e999, 1]", "[NaN, 1]", "[-1, 1]", "[1, -1]", f"[{'9' * 5000}, 1]", "[1]", "7"):
        place.write_text(f'{{"k": {pair}}}')
        assert LatencyModel(place, "k").ms_per_token == guess


def test_planted_runs_are_told_and_never_written_through(repository, tmp_path):
    """A run's file as anything but a file is passed over; a linked folder takes none."""
    for number, plant in enumerate((_pipe, _link, _dangling, _device)):
        place = store.runs_folder(repository) / f"r{number}.jsonl"
        outside = planted(plant, place, tmp_path)
        with pytest.raises(UsageError):
            within(20, lambda name=f"r{number}": store.load_run(repository, name))
    writer = within(20, lambda: store.begin_run(repository, HEADER))
    writer.add({"id": "t"})
    assert untouched(outside)
    folder = store.runs_folder(repository)
    folder.rename(tmp_path / "eval-before")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    with pytest.raises(CodebuddyError, match="it is a link"):
        store.begin_run(repository, HEADER)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    "header", ['"planned": 1e999', '"planned": -1', '"planned": "x"', '"started": 7']
)
def test_a_run_of_absurd_numbers_is_damaged(repository, header):
    """It is left out of the list, and named when it is asked for."""
    good = store.begin_run(repository, HEADER).run.name
    file = store.runs_folder(repository) / "bad.jsonl"
    file.write_text(f'{{"type": "run", "format": 1, {header}}}\n')
    assert [run.name for run in store.list_runs(repository)] == [good]
    with pytest.raises(UsageError, match="damaged"):
        store.load_run(repository, "bad")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ms":900.0', '"ms":1e999'),
        ('"ms":900.0', '"ms":-5.0'),
        ('"edit_similarity":50.0', '"edit_similarity":5000.0'),
        ('"prompt_tokens":500', '"prompt_tokens":-10'),
        ('"start":', '"start":-'),
    ],
)
def test_labels_of_absurd_numbers_are_damaged(tmp_path, old, new):
    """They would move the head that is learned from them."""
    file = tmp_path / "labels.jsonl"
    write_header(file, {"model": "m"})
    append_example(file, _example())
    text = file.read_text()
    assert old in text, text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DamagedLabelsError):
        read_examples(file)


def test_a_planted_stamp_or_list_of_models_is_never_waited_for(tmp_path):
    """A pipe beside a model, or in the place of the list of added ones."""
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x")
    os.mkfifo(stamps.stamp_file(model))
    assert within(20, lambda: stamps.read_stamp(model)) is None
    assert within(20, lambda: stamps.recorded_digest(model)) is None
    stamps.write_stamp(model, stamps.hash_file(model))
    assert stamps.read_stamp(model) is not None
    os.mkfifo(added.added_file(tmp_path))
    with pytest.raises(CodebuddyError, match="it is no plain file"):
        within(20, lambda: added.load_added(tmp_path))


@pytest.mark.parametrize("change", [{"bytes": -1}, {"n_ctx": 0}, {"n_ctx": 10**18}])
def test_a_list_of_models_with_absurd_numbers_is_damaged(tmp_path, change):
    """It is named, with the remedy."""
    item = {"name": "m", "title": "m", "file": "m.gguf", "bytes": 1, "sha256": "0" * 64}
    rows = [{**item, "n_ctx": 1, "fim": True}]
    added.added_file(tmp_path).write_text(json.dumps(rows))
    assert len(added.load_added(tmp_path)) == 1
    added.added_file(tmp_path).write_text(json.dumps([{**rows[0], **change}]))
    with pytest.raises(CodebuddyError, match="out of bounds"):
        added.load_added(tmp_path)


def test_json_is_read_through_a_link_where_an_installation_makes_one(tmp_path):
    """Package managers link to the files of a wheel."""
    (tmp_path / "real.json").write_text("[1]")
    (tmp_path / "linked.json").symlink_to(tmp_path / "real.json")
    assert read_json(tmp_path / "linked.json", 100, follows_links=True) == [1]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no plain file"):
        within(20, lambda: read_json(tmp_path / "pipe", 100, follows_links=True))
