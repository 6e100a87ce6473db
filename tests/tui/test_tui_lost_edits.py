"""What was typed is in a buffer, its undo history, a file or the journal, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from textual.widgets import Input, OptionList

from codebuddy.errors import DocumentError
from codebuddy.tui import document_store
from codebuddy.tui.app import CodebuddyApp
from codebuddy.tui.controllers.documents import DocumentController
from codebuddy.tui.screens.dialogs import ChoiceScreen, EntryScreen
from codebuddy.tui.text.buffer import Location, TextBuffer
from codebuddy.tui.text.files import open_file, save_file
from codebuddy.tui.text.journal import Journal, Record
from tests.support.tui_pilot import journey


class SlowDisk:
    """Writes files for real, but not before it may."""

    def __init__(self, monkeypatch):
        self.may_write = threading.Event()
        self.may_write.set()
        self.begun = 0

        def save(*arguments, **options):
            self.begun += 1
            assert self.may_write.wait(60)
            return save_file(*arguments, **options)

        monkeypatch.setattr(document_store, "save_file", save)

    def stop(self):
        """Writes wait from now on."""
        self.may_write.clear()

    def go_on(self):
        """Writes are done, those that wait as well."""
        self.may_write.set()


@pytest.fixture
def slow_disk(monkeypatch):
    """A disk that can be made to wait."""
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.go_on()


async def answer(one, label):
    """Wait for a question that has this answer, and give it."""
    await one.until(lambda: isinstance(one.app.screen, ChoiceScreen) and one.shows(label))
    options = one.app.screen.query_one(OptionList)
    labels = [each.label for each in one.app.screen._choices]
    options.highlighted = labels.index(label)
    await one.press("enter")


def store_of(one: Any) -> Any:
    """The document store of a running app."""
    return one.workspace.store


def said(one, words):
    """Whether a message holds these words."""
    return any(words in each.message for each in one.app._notifications)


def journal_of(root):
    """The repository's records of unsaved text, as another program sees them."""
    return Journal(root / ".git" / "codebuddy" / "tui" / "unsaved")


TAKE_THEIRS = "Take the file's text (undo brings mine back)"


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("key", "choice"),
    [("ctrl+w", "Save it"), ("ctrl+q", "Save all and leave")],
    ids=["close", "leave"],
)
async def test_taking_the_files_text_closes_nothing(repository, key, choice):
    """Whoever takes the file's text while closing or leaving stays, and undo brings theirs back."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        await one.type("precious ")
        path.write_text("# theirs\n")
        await one.press(key)
        await answer(one, choice)
        await answer(one, TAKE_THEIRS)
        await one.until(lambda: one.text == "# theirs\n")
        await one.pilot.pause(0.2)
        assert one.app.is_running
        assert [each.name for each in one.workspace.documents] == ["cart.py"]
        await one.until(lambda: not one.document.is_modified)
        await one.press("ctrl+z")
        assert one.text.startswith("precious ")
        assert one.document.is_modified
        await one.until(lambda: journal_of(repository).records())


def made_read_only(path):
    """Another program writes other text and takes the right to write away."""
    path.write_text("# theirs\n")
    path.chmod(0o444)


def made_binary(path):
    """Another program writes what is no text."""
    path.write_bytes(b"\x81\xff\x00\x90\n")


@pytest.mark.asyncio
@pytest.mark.parametrize("change", [made_read_only, made_binary])
async def test_undo_brings_ones_text_back_where_the_file_is_read_only_now(repository, change):
    """What was unsaved when the file's text was taken comes back, counts as unsaved, is kept."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        await one.type("precious ")
        change(path)
        theirs = path.read_bytes()
        await one.press("ctrl+s")
        await answer(one, TAKE_THEIRS)
        await one.until(lambda: one.editor.is_read_only)
        await one.until(lambda: said(one, "read-only; Ctrl+Z brings yours back"))
        shown = one.text
        await one.type("x")
        assert one.text == shown
        await one.press("ctrl+z")
        assert one.text.startswith("precious ")
        await one.press("ctrl+y")
        assert one.text == shown
        assert not one.document.is_modified
        await one.press("ctrl+z")
        await one.until(lambda: journal_of(repository).records())
        await one.press("ctrl+s")
        await one.until(lambda: said(one, "save it under another name"))
        await one.press("ctrl+w")
        await one.until(lambda: isinstance(one.app.screen, ChoiceScreen))
        await one.press("escape")
        await ask_for_name(one, "alt+s", "mine.py")
        await one.until(lambda: not one.document.is_modified)
        assert (repository / "mine.py").read_text().startswith("precious ")
        assert path.read_bytes() == theirs


@pytest.mark.asyncio
async def test_a_name_from_home_leads_there(repository, tmp_path, monkeypatch):
    """`~/` is the home folder for "save as", as for a shell, and no folder of that name."""
    home = tmp_path / "somebody"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    async with journey(repository, is_automatic=False) as one:
        await one.type("mine ")
        await ask_for_name(one, "alt+s", "~/kept.py")
        await one.until(lambda: not one.document.is_modified)
        assert (home / "kept.py").read_text().startswith("mine ")
        assert not (repository / "~").exists()


@pytest.mark.asyncio
async def test_an_undone_text_survives_a_file_that_becomes_read_only(repository):
    """A file that is read again by itself, and is read-only now, leaves undo as it was."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        await one.type("undone")
        await one.press("ctrl+z")
        made_read_only(path)
        await one.until(lambda: one.text == "# theirs\n")
        assert one.editor.is_read_only
        await one.press("ctrl+z")
        assert one.text.startswith("undone")


@pytest.mark.asyncio
async def test_undo_brings_the_files_text_back_where_it_is_read_only(repository):
    """Text of the last time that is restored over a read-only file is undone like any other."""
    path = repository / "cart.py"
    before = path.read_text()
    journal = journal_of(repository)
    journal.write_record(Record("cart.py", "older", 0, 0, "", 1.0))
    journal.close()
    path.chmod(0o444)
    async with journey(repository, is_automatic=False) as one:
        await answer(one, "Restore it (undo brings the file's text back)")
        await one.until(lambda: one.text == "older")
        await one.press("ctrl+z")
        assert one.text == before
        assert not one.document.is_modified


@pytest.mark.asyncio
async def test_what_came_after_the_question_is_not_overwritten(repository):
    """Save-as asks again where the file that is there became another one, and not where it went."""
    path = repository / "other.py"
    path.write_text("old\n")
    async with journey(repository, is_automatic=False) as one:
        await one.type("mine ")
        await ask_for_name(one, "alt+s", "other.py")
        await one.until(lambda: one.shows("other.py exists"))
        path.write_text("precious of another program\n")
        await answer(one, "Overwrite it")
        await one.until(lambda: one.shows("was changed by another program"))
        assert path.read_text() == "precious of another program\n"
        await one.press("escape")
        assert one.name == "cart.py"
        await ask_for_name(one, "alt+s", "other.py")
        await one.until(lambda: one.shows("other.py exists"))
        path.unlink()
        await answer(one, "Overwrite it")
        await one.until(lambda: one.name == "other.py")
        assert path.read_text().startswith("mine ")


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["ctrl+s", "alt+s"])
async def test_what_comes_in_the_place_of_what_could_not_be_read_is_not_overwritten(
    repository, key
):
    """A file too large to be read was there at the question; a text is there at the answer."""
    path = repository / ("cart.py" if key == "ctrl+s" else "other.py")
    async with journey(repository, is_automatic=False) as one:
        await one.type("mine ")
        with path.open("wb") as stream:
            stream.truncate(33 << 20)
        label = "Overwrite it with mine" if key == "ctrl+s" else "Overwrite it"
        if key == "ctrl+s":
            await one.press(key)
        else:
            await ask_for_name(one, key, "other.py")
        await one.until(lambda: isinstance(one.app.screen, ChoiceScreen))
        path.write_text("precious of another program\n")
        asked = one.app.screen
        await answer(one, label)
        await one.until(lambda: isinstance(one.app.screen, ChoiceScreen))
        await one.until(lambda: one.app.screen is not asked)
        assert path.read_text() == "precious of another program\n"
        await answer(one, label)
        await one.until(lambda: not one.document.is_modified)
        assert path.read_text().startswith("mine ")


async def ask_for_name(one, key, name):
    """Press a key that asks for a file's name, and answer."""
    await one.press(key)
    await one.until(lambda: isinstance(one.app.screen, EntryScreen))
    one.app.screen.query_one(Input).value = name
    await one.press("enter")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["cart.py", "other.py"], ids=["save", "save as"])
async def test_what_is_typed_while_it_is_saved_is_not_saved(repository, slow_disk, name):
    """Save and save-as: what came after the text was read stays unsaved and reaches the journal."""
    path = repository / name
    async with journey(repository, is_automatic=False) as one:
        await one.type("early ")
        slow_disk.stop()
        if name == "cart.py":
            await one.press("ctrl+s")
        else:
            await ask_for_name(one, "alt+s", name)
        await one.until(lambda: slow_disk.begun)
        await one.until(lambda: one.editor.has_focus)
        await one.type("late")
        slow_disk.go_on()
        await one.until(lambda: path.exists() and path.read_text().startswith("early "))
        await one.until(lambda: one.name == name and not store_of(one)._saving.locked())
        assert one.document.is_modified
        assert "late" not in path.read_text()

        def kept():
            found = journal_of(repository).records()
            return [each.path for each in found if "late" in each.text] == [name]

        await one.until(kept)
        await one.press("ctrl+s")
        await one.until(lambda: not one.document.is_modified)
        assert path.read_text().startswith("early late")


@pytest.mark.asyncio
async def test_what_is_typed_while_it_is_saved_as_is_never_without_a_record(
    repository, slow_disk, monkeypatch
):
    """The record under the old name goes when there is one under the new name."""
    kept = []
    drop = Journal.drop

    def watched(journal, path, turn=None):
        drop(journal, path, turn)
        kept.append([each.path for each in journal.records() if "late" in each.text])

    monkeypatch.setattr(Journal, "drop", watched)
    async with journey(repository, is_automatic=False) as one:
        await one.type("early ")
        slow_disk.stop()
        await ask_for_name(one, "alt+s", "other.py")
        await one.until(lambda: slow_disk.begun)
        await one.until(lambda: one.editor.has_focus)
        await one.type("late")
        await store_of(one).write_journal()
        slow_disk.go_on()
        await one.until(lambda: one.name == "other.py" and kept)
        assert all("other.py" in each for each in kept)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("key", "choice"),
    [("ctrl+w", "Save it"), ("ctrl+q", "Save all and leave")],
    ids=["close", "leave"],
)
async def test_what_is_typed_while_it_is_saved_to_be_closed_is_saved_too(
    repository, slow_disk, key, choice
):
    """Closing and leaving look again after the save."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        await one.type("a")
        slow_disk.stop()
        await one.press(key)
        await answer(one, choice)
        await one.until(lambda: slow_disk.begun)
        await one.until(lambda: one.editor.has_focus)
        await one.type("late")
        slow_disk.go_on()
        if key == "ctrl+w":
            await answer(one, "Save it")
            await one.until(lambda: not one.workspace.documents)
        else:
            await one.until(lambda: not one.app.is_running)
    assert path.read_text().startswith("alate")


@pytest.mark.asyncio
async def test_undo_while_it_is_saved_leaves_a_text_that_differs_from_the_disk(
    repository, slow_disk
):
    """The file gets what was there when the save began; the undone text counts as unsaved."""
    path = repository / "cart.py"
    before = path.read_text()
    async with journey(repository, is_automatic=False) as one:
        await one.type("x")
        slow_disk.stop()
        await one.press("ctrl+s")
        await one.until(lambda: slow_disk.begun)
        await one.press("ctrl+z")
        slow_disk.go_on()
        await one.until(lambda: path.read_text() == "x" + before)
        await one.until(lambda: not store_of(one)._saving.locked())
        assert one.text == before
        assert one.document.is_modified
        await one.press("ctrl+y")
        assert not one.document.is_modified


@pytest.mark.asyncio
async def test_what_is_typed_while_the_file_is_read_again_stays(repository, monkeypatch):
    """A foreign change is read; a key comes meanwhile: the typed text is not replaced unasked."""
    may_read, begun = threading.Event(), threading.Event()
    may_read.set()

    def slow(path):
        begun.set()
        assert may_read.wait(60)
        return open_file(path)

    monkeypatch.setattr(document_store, "open_file", slow)
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        may_read.clear()
        begun.clear()
        path.write_text("# theirs\n")
        await one.until(begun.is_set)
        await one.type("mine ")
        may_read.set()
        await one.until(lambda: one.document.has_changed_on_disk)
        assert one.text.startswith("mine ")
        assert one.document.is_modified


@pytest.mark.asyncio
async def test_an_undone_text_survives_a_foreign_change(repository):
    """What was undone before the file was read again comes back with undo."""
    path = repository / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        await one.type("undone")
        await one.press("ctrl+z")
        path.write_text("# theirs\n")
        await one.until(lambda: one.text == "# theirs\n")
        await one.press("ctrl+z")
        assert one.text.startswith("undone")


def test_no_other_text_counts_as_the_saved_one():
    """However steps of undo come and go, a text that differs from the saved one is modified."""
    buffer = TextBuffer("first")

    def put(text):
        buffer.close_step()
        buffer.replace(Location(0, 0), Location(0, 0), text, Location(0, 0))

    put("a")
    buffer.mark_saved()
    for number in range(50):
        # A step that was undone is freed, and its place in memory taken by another one.
        buffer.undo()
        put(f"other {number} ")
        assert buffer.is_modified
    long = TextBuffer("start")
    for _ in range(6000):
        long.close_step()
        long.replace(Location(0, 0), Location(0, 0), "x", Location(0, 0))
    while long.undo() is not None:
        pass
    # The oldest steps are forgotten: the text is not the one that was loaded.
    assert long.text != "start"
    assert long.is_modified


@pytest.mark.asyncio
async def test_replacing_everything_can_be_undone(repository):
    """Ten thousand replacements are one step; what was typed before is still to be undone."""
    (repository / "many.txt").write_text("a\n" * 9000)
    async with journey(repository, "many.txt", is_automatic=False) as one:
        await one.type("typed")
        before = one.text
        await one.press("ctrl+r")
        await one.type("a")
        await one.until(lambda: len(one.editor.matches) == 9000)
        await one.press("tab")
        await one.type("b")
        await one.press("alt+a")
        await one.until(lambda: "a" not in one.text)
        await one.press("escape", "ctrl+z")
        assert one.text == before
        await one.press("ctrl+z")
        assert "typed" not in one.text


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["link", "hard link", "same name"])
async def test_one_file_is_one_document(repository, kind):
    """A file that is open under another name is gone to; its text exists once."""
    path = repository / "cart.py"
    other = repository / "other.py"
    if kind == "link":
        other.symlink_to("cart.py")
    elif kind == "hard link":
        other.hardlink_to(path)
    else:
        (repository / "sub").mkdir()
        other = repository / "sub" / ".." / "cart.py"
    async with journey(repository, is_automatic=False) as one:
        await one.type("precious ")
        assert await one.workspace.document_controller.open(other) is one.document
        assert len(one.workspace.documents) == 1
        await one.press("ctrl+s")
        await one.until(lambda: not one.document.is_modified)
        assert other.read_text().startswith("precious ")


@pytest.mark.asyncio
async def test_saving_over_a_file_that_is_open_is_refused(repository):
    """Two tabs never become one file; both texts stay."""
    async with journey(repository, is_automatic=False) as one:
        await one.type("first ")
        await one.workspace.document_controller.open(repository / "pricing.py")
        await one.type("second ")
        await ask_for_name(one, "alt+s", "./cart.py")
        await one.until(lambda: one.shows("is open in another tab"))
        assert [each.name for each in one.workspace.documents] == ["cart.py", "pricing.py"]
        assert all(each.is_modified for each in one.workspace.documents)


@pytest.mark.asyncio
async def test_leaving_stays_where_the_text_cannot_be_kept(repository, own_home):
    """Where the journal can be written nowhere, `keep for the next time` says so and stays."""
    async with journey(repository, is_automatic=False) as one:
        folder = repository / ".git" / "codebuddy" / "tui"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "unsaved").write_text("in the way")
        (own_home / "state").write_text("in the way")
        await one.type("precious ")
        await one.press("ctrl+q")
        await answer(one, "Leave; keep the unsaved text for the next time")
        await one.until(lambda: one.shows("cannot be kept"))
        assert one.app.is_running
        assert one.text.startswith("precious ")
        (own_home / "state").unlink()
        await one.press("ctrl+q")
        await answer(one, "Leave; keep the unsaved text for the next time")
        await one.until(lambda: not one.app.is_running)
    async with journey(repository, is_automatic=False) as one:
        await answer(one, "Restore it (undo brings the file's text back)")
        await one.until(lambda: one.text.startswith("precious "))


@pytest.mark.asyncio
async def test_text_that_an_end_from_outside_loses_is_told(repository, own_home):
    """A hang-up with no place for the text ends, and the command has a sentence about it."""
    folder = repository / ".git" / "codebuddy" / "tui"

    async def hang_up():
        async with journey(repository, is_automatic=False) as one:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "unsaved").write_text("in the way")
            (own_home / "state").write_text("in the way")
            await one.type("precious ")
            one.app.exit_now()
            await one.until(lambda: not one.app.is_running)

    with pytest.raises(DocumentError, match=r"unsaved text is lost: cart\.py"):
        await hang_up()


@pytest.mark.asyncio
async def test_one_record_that_fails_does_not_cost_the_others(repository):
    """A document whose record cannot be written leaves the next one's to be written."""
    async with journey(repository, is_automatic=False) as one:
        await one.type("one ")
        await one.workspace.document_controller.open(repository / "pricing.py")
        await one.type("two ")
        store = store_of(one)
        names = [each.name for each in one.workspace.documents]
        for folder in store.journal._folders:
            for file in store.journal._own_files(names[0]):
                if file.parent == folder:
                    file.unlink(missing_ok=True)
                    file.mkdir(parents=True)
        with pytest.raises(OSError, match="directory"):
            await store.write_journal()
        assert "cart.py" in store.write_journal_now()[0]
        assert any("two " in each.text for each in journal_of(repository).records())


@pytest.mark.process
def test_two_editors_keep_their_own_records(tmp_path):
    """What one saves or throws away leaves the other's; only what is left behind is offered."""
    folder = tmp_path / "unsaved"
    child = subprocess.Popen(
        [
            sys.executable, "-P", "-c",
            "import sys; from pathlib import Path\n"
            "from codebuddy.tui.text.journal import Journal, Record\n"
            "journal = Journal(Path(sys.argv[1]))\n"
            "journal.write_record(Record('a', 'theirs', 0, 0, '', 1.0)) or print('ok')\n"
            "sys.stdout.flush(); sys.stdin.read()",
            str(folder),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ok\n"
        mine = Journal(folder)
        assert mine.leftovers("a") == []
        assert mine.is_kept_elsewhere("a")
        mine.write_record(Record("a", "mine", 0, 0, "", 2.0))
        mine.drop("a")
        assert [each.text for each in mine.records()] == ["theirs"]
    finally:
        child.kill()
        child.communicate()
    (left,) = mine.leftovers("a")
    assert left.record.text == "theirs"
    assert not mine.is_kept_elsewhere("a")
    assert mine.waiting() == ["a"]
    mine.write_record(Record("a", "mine", 0, 0, "", 2.0))
    mine.delete_leftover(left)
    assert [each.text for each in mine.records()] == ["mine"]
    mine.close()
    assert [each.record.text for each in Journal(folder).leftovers("a")] == ["mine"]
    # Marks of editors that ended go with the next start.
    assert Journal(folder).waiting() == ["a"]
    assert list((tmp_path / "running").iterdir()) == []


def test_a_record_that_cannot_be_read_is_put_aside(tmp_path):
    """A damaged one is offered to nobody, and its bytes stay."""
    folder = tmp_path / "unsaved"
    old = Journal(folder)
    old.write_record(Record("a", "text", 0, 0, "", 1.0))
    (file,) = folder.iterdir()
    file.write_bytes(b'{"path": "a", "text": "half of wha')
    journal = Journal(folder)
    assert journal.leftovers("a") == []
    (aside,) = journal.put_aside("a")
    assert aside.read_bytes().endswith(b"half of wha")
    assert journal.put_aside("a") == []


def test_every_text_that_can_be_typed_can_be_recovered(tmp_path):
    """Lone surrogates, control characters and a text above the limit for files come back."""
    folder = tmp_path / "unsaved"
    for text in ("\ud800 \x00 \x85 \u2028", "é" * (17 << 20)):
        journal = Journal(folder)
        journal.write_record(Record("a", text, 0, 0, "", 1.0))
        journal.close()
        (left,) = Journal(folder).leftovers("a")
        assert left.record.text == text
        journal.delete_leftover(left)


@pytest.mark.asyncio
async def test_several_leftovers_are_offered_one_after_the_other(repository):
    """Throwing one away offers the older one; nothing can be typed before the answer."""
    folder = repository / ".git" / "codebuddy" / "tui" / "unsaved"
    for number, text in enumerate(("older", "newer")):
        journal = Journal(folder)
        journal.write_record(Record("cart.py", text, 0, 0, "", float(number)))
        journal.close()
    async with journey(repository, is_automatic=False) as one:
        await one.until(lambda: one.shows("newer"))
        assert one.editor.is_read_only
        await answer(one, "Throw it away")
        await one.until(lambda: one.shows("older"))
        assert [each.text for each in journal_of(repository).records()] == ["older"]
        await answer(one, "Restore it (undo brings the file's text back)")
        await one.until(lambda: one.text == "older")
        await one.until(lambda: not one.editor.is_read_only)
        await one.type("x")
        await one.until(lambda: [e.text for e in journal_of(repository).records()] == ["xolder"])


@pytest.mark.asyncio
async def test_a_comparison_inserts_nothing_into_another_text(repository):
    """The file is read again while arms are compared: what was chosen does not fit any more."""
    path = repository / "cart.py"
    async with journey(repository, at=(8, 23), size=(150, 36), is_automatic=False) as one:
        await one.press("enter")
        await one.type("abc")
        await one.press("ctrl+s")
        await one.until(lambda: not one.document.is_modified)
        await one.press("f5")
        await one.until(lambda: len(getattr(one.app.screen, "answers", ())) == 3)
        path.write_text("# theirs\n")
        await one.until(lambda: one.text == "# theirs\n")
        await one.press("2")
        await one.until(lambda: said(one, "nothing was inserted"))
        assert one.text == "# theirs\n"


@pytest.mark.asyncio
async def test_text_that_waits_is_told_at_the_start(repository):
    """Files that are not opened and have unsaved text are named."""
    journal = journal_of(repository)
    journal.write_record(Record("pricing.py", "waits", 0, 0, "", 1.0))
    journal.close()
    async with journey(repository, is_automatic=False) as one:
        await one.until(lambda: said(one, "is offered when you open pricing.py"))


@pytest.mark.asyncio
async def test_a_read_only_file_is_told_and_its_text_goes_elsewhere(repository):
    """Mode 0444 is respected, whoever asks; save-as writes the text to another file."""
    path = repository / "cart.py"
    before = path.read_text()
    async with journey(repository, is_automatic=False) as one:
        await one.type("mine ")
        path.chmod(0o444)
        await one.press("ctrl+s")
        await one.until(lambda: one.shows("read-only"))
        assert one.document.is_modified
        assert path.read_text() == before
        await ask_for_name(one, "alt+s", "copy.py")
        await one.until(lambda: not one.document.is_modified)
        assert (repository / "copy.py").read_text() == "mine " + before
    async with journey(repository, is_automatic=False) as one:
        await one.until(lambda: one.shows("is marked as read-only"))
        await one.type("x")
        assert one.text == before


@pytest.mark.asyncio
async def test_what_the_encoding_cannot_hold_is_told(repository):
    """A character that UTF-8 cannot hold keeps the text open, and is named with its line."""
    async with journey(repository, is_automatic=False) as one:
        one.editor.put("a\nb\ud800")
        await one.press("ctrl+s")
        await one.until(lambda: one.shows("U+D800 of line 2"))
        assert one.document.is_modified


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["pipe", "device", "huge", "folder", "x" * 300])
async def test_what_is_no_text_file_is_refused_at_once(repository, name):
    """A pipe, a device, 2 GB, a folder or an impossible name: a sentence, and typing goes on."""
    os.mkfifo(repository / "pipe")
    (repository / "folder").mkdir()
    (repository / "device").symlink_to("/dev/zero")
    with (repository / "huge").open("wb") as stream:
        stream.truncate(2 << 30)
    async with journey(repository, is_automatic=False) as one:
        await ask_for_name(one, "ctrl+n", name)
        reasons = ("not a regular", "larger than", "is a folder", "cannot be read")
        await one.until(lambda: any(said(one, each) for each in reasons))
        await ask_for_name(one, "alt+s", name)
        if name in ("pipe", "device", "huge", "folder"):
            await one.until(lambda: isinstance(one.app.screen, ChoiceScreen))
            if name == "huge":
                await one.press("escape")
            else:
                await answer(one, "Overwrite it")
        await one.until(lambda: len(one.app.screen_stack) == 1)
        await one.type("y")
        assert one.text.startswith("y")
        assert one.name == "cart.py"
    assert not (repository / "pipe").is_file()


# Whatever the order


class Person:
    """Types marked words and presses keys, and knows which words it gave up itself."""

    def __init__(self, root, disk):
        self.root = root
        self.disk = disk
        self.words: set[str] = set()
        self.count = 0
        self.took_theirs = False
        self.overwritten: set[str] = set()
        self.one: Any = None

    # Where text can be

    def documents(self):
        """What is open."""
        return self.one.workspace.documents if self.one.app.is_running else []

    def on_disk(self):
        """Every file's text."""
        files = [each for each in self.root.rglob("*") if ".git" not in each.parts]
        return "\0".join(each.read_text() for each in files if each.is_file())

    def in_journal(self):
        """Every record's text, but the editor's own of what is open: it follows that text later."""
        mirrored = set()
        if self.documents():
            journal = store_of(self.one).journal
            mirrored = {file for each in self.documents() for file in journal._own_files(each.name)}
        records = journal_of(self.root)._all()
        return "\0".join(each.record.text for each in records if each.file not in mirrored)

    def in_history(self, document):
        """Every text that undo and redo bring back."""
        buffer = copy.copy(document.editor.buffer)
        buffer.lines, buffer.listeners = list(buffer.lines), []
        buffer._undo, buffer._redo = list(buffer._undo), list(buffer._redo)
        texts = []
        for step in (buffer.undo, buffer.redo):
            while step() is not None:
                texts.append(buffer.text)
        return "\0".join(texts)

    def found(self, *, but_history_of=(), but_text_of=()):
        """Every text there is, apart from the history or the text of some documents."""
        texts = [self.on_disk(), self.in_journal()]
        for document in self.documents():
            if document not in but_text_of:
                texts.append(document.editor.buffer.text)
            if document not in but_history_of:
                texts.append(self.in_history(document))
        return "\0".join(texts)

    def give_up_history(self, documents):
        """The person wants to have no more of what undo would bring back."""
        kept = self.found(but_history_of=documents)
        self.words &= {word for word in self.words if word in kept}
        # What was saved and then overwritten by another program is that one's.
        saved = [each for each in documents if not each.is_modified]
        kept = self.found(but_history_of=documents, but_text_of=saved)
        self.words -= {word for word in self.overwritten if word not in kept}

    def check(self):
        """Nothing that was typed is missing."""
        text = self.found()
        missing = {word for word in self.words if word not in text}
        assert not missing, f"lost: {missing}"

    def give_up(self, text):
        """The person wants these words gone; where else they stand does not matter any more."""
        self.words -= {word for word in self.words if word in text}

    # What is done

    async def settle(self):
        """Let what was begun go on."""
        for _ in range(4):
            await self.one.pilot.pause(0.005)

    async def type(self):
        """A word that occurs once in the world."""
        if not self.is_editing():
            return
        document = self.one.document
        if document.editor.is_read_only:
            return
        self.count += 1
        word = f"q{self.count}z"
        async with self.editing():
            await self.one.type(word)
        if word in self.found():
            # Else a question came up between its letters.
            self.words.add(word)

    @contextlib.asynccontextmanager
    async def editing(self):
        """A key that changes a text takes what could be done again away: the person's wish."""
        kept = self.found(but_history_of=[self.one.document])
        undone = {each for each in self.words if each not in kept}
        yield
        found = self.found()
        self.words -= {each for each in undone if each not in found}

    def is_editing(self):
        """Whether keys go into a text."""
        app = self.one.app
        return app.is_running and len(app.screen_stack) == 1 and bool(self.documents())

    async def press(self, key):
        """A key, wherever it leads."""
        if self.one.app.is_running:
            if key in ("ctrl+w", "ctrl+q"):
                self.took_theirs = False
            changes = key == "enter" and self.is_editing()
            async with self.editing() if changes else contextlib.nullcontext():
                await self.one.press(key)
            # A question may follow; the next key is for it.
            await self.one.pilot.pause(0.1)

    def answered(self, label):
        """A question got this answer."""
        if label == TAKE_THEIRS:
            self.took_theirs = True
        elif label in ("Close without saving", "Leave without saving"):
            documents = [self.one.document] if label.startswith("Close") else self.documents()
            for each in documents:
                self.give_up(each.editor.buffer.text + "\0" + self.in_history(each))
        elif label == "Throw it away":
            for each in journal_of(self.root).records():
                self.give_up(each.text)

    def closes(self, documents):
        """Documents are closed: what undo alone would bring back goes too, by the person's wish.

        Whoever took the file's text was promised that undo brings theirs back, and has not
        pressed a key to close since.
        """
        unmodified = [each for each in documents if not each.is_modified]
        if not self.took_theirs:
            self.give_up_history(unmodified)

    async def write_outside(self, name, text):
        """Another program writes a file, or deletes it; what only it held is that one's."""
        path = self.root / name
        kept = "\0".join(
            [self.in_journal(), *(each.editor.buffer.text for each in self.documents())]
            + [self.in_history(each) for each in self.documents()]
        )
        if path.is_file():
            held = path.read_text()
            self.overwritten |= {word for word in self.words if word in held}
            self.words -= {word for word in self.words if word in held and word not in kept}
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text)

    async def look(self):
        """The watch looks now."""
        store = self.one.workspace.store
        if self.one.app.is_running and store is not None:
            workspace = self.one.workspace
            workspace.start_worker(workspace.watcher.check_disk)
            await self.settle()

    async def save_as(self, name):
        """Alt+S and a name."""
        if not self.is_editing():
            return
        await self.one.press("alt+s")
        if isinstance(self.one.app.screen, EntryScreen):
            self.one.app.screen.query_one(Input).value = name
            await self.one.press("enter")


def listen(person, monkeypatch):
    """Let the person know at once what was answered and what is closed."""
    selected, discard, leave = (
        ChoiceScreen.on_option_list_option_selected,
        DocumentController.discard,
        CodebuddyApp.exit_now,
    )

    def on_selected(screen, event):
        person.answered(screen._choices[event.option_index].label)
        selected(screen, event)

    async def on_discard(controller, document):
        if document in controller.documents:
            person.closes([document])
        await discard(controller, document)

    def on_leave(app):
        person.closes(app.workspace.documents)
        leave(app)

    monkeypatch.setattr(ChoiceScreen, "on_option_list_option_selected", on_selected)
    monkeypatch.setattr(DocumentController, "discard", on_discard)
    monkeypatch.setattr(CodebuddyApp, "exit_now", on_leave)


async def live(person, actions):
    """Run the app again and again until all actions are done."""
    rest = [*actions, ("kill",)]
    is_first = True
    while rest or is_first:
        async with journey(
            person.root,
            "cart.py" if is_first else None,
            should_restore=not is_first,
            is_automatic=False,
        ) as one:
            person.one = one
            is_first = False
            await person.settle()
            while rest and one.app.is_running:
                name, *arguments = rest.pop(0)
                if name in ("kill", "hang up"):
                    if name == "kill":
                        # What was typed within the last moment is lost with a kill.
                        await store_of(one).write_journal()
                    person.give_up_history(person.documents())
                    if name == "hang up":
                        one.app.exit_now()
                    break
                if name == "stop disk":
                    person.disk.stop()
                elif name == "write journal":
                    await store_of(one).write_journal()
                elif name == "disk goes on":
                    person.disk.go_on()
                else:
                    await getattr(person, name)(*arguments)
                await person.settle()
                person.check()
            person.disk.go_on()
            await person.settle()
            person.check()
        person.check()


KEYS = [
    "ctrl+s", "ctrl+s", "ctrl+w", "ctrl+q", "enter", "enter", "down", "escape", "ctrl+z",
    "ctrl+z", "ctrl+y", "ctrl+pagedown",
]  # fmt: skip
FILES = ["cart.py", "pricing.py", "link.py", "hard.py"]
ACTIONS = st.one_of(
    st.just(("type",)),
    st.just(("type",)),
    st.tuples(st.just("press"), st.sampled_from(KEYS)),
    st.tuples(st.just("press"), st.sampled_from(KEYS)),
    st.tuples(st.just("press"), st.sampled_from(KEYS)),
    st.tuples(
        st.just("write_outside"),
        st.sampled_from(FILES[:2]),
        st.sampled_from(["# theirs\n", "# others\n", None]),
    ),
    st.tuples(st.just("look")),
    st.tuples(st.just("save_as"), st.sampled_from([*FILES, "new.py"])),
    st.sampled_from(
        [("stop disk",), ("disk goes on",), ("write journal",), ("kill",), ("hang up",)]
    ),
)


def presses(*keys):
    """Key after key."""
    return [("press", key) for key in keys]


def closing(*keys):
    """Closing a document that another program wrote meanwhile."""
    return [("type",), ("write_outside", "cart.py", "# theirs\n"), *presses(*keys)]


@pytest.mark.slow
@pytest.mark.timeout(900)
# Each costs more than a second; every run makes new ones.
@settings(max_examples=12)
@example(closing("ctrl+w", "enter", "enter"))
@example(closing("ctrl+q", "enter", "enter"))
@example([("type",), ("stop disk",), *presses("ctrl+w", "enter"), ("type",), ("disk goes on",)])
@example([("type",), ("stop disk",), ("save_as", "new.py"), ("type",), ("disk goes on",)])
@example([("type",), ("write journal",), *presses("ctrl+z"), ("type",), ("write journal",)])
@example([("type",), *presses("ctrl+z", "enter"), ("type",)])
@given(st.lists(ACTIONS, min_size=4, max_size=24))
def test_no_order_of_keys_and_disk_changes_loses_what_was_typed(actions):
    """Saves that wait, foreign writes, links, questions, kills: every typed word is somewhere."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        root = Path(folder) / "shop"
        root.mkdir()
        subprocess.run(["git", "-C", str(root), "init", "-q"], check=True)
        (root / "cart.py").write_text("one\ntwo\n")
        (root / "pricing.py").write_text("three\n")
        (root / "link.py").symlink_to("cart.py")
        (root / "hard.py").hardlink_to(root / "cart.py")
        disk = SlowDisk(monkeypatch)
        try:
            person = Person(root, disk)
            listen(person, monkeypatch)
            asyncio.run(live(person, actions))
        finally:
            disk.go_on()
