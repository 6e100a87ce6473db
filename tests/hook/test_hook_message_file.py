"""Which comment character a message file has, if git strips such lines from it."""

from __future__ import annotations

import pytest

from codebuddy.hook import message_file
from codebuddy.hook.message_file import comment_mark

NOTE = (
    "\n# Please enter the commit message for your changes. Lines starting\n"
    "# with '#' will be ignored, and an empty message aborts the commit.\n#\n# On branch main\n"
)
KEPT = NOTE.replace("will be ignored", "will be kept; you may remove them yourself")
GERMAN = (
    "\n# Bitte geben Sie eine Commit-Beschreibung ein. Zeilen,\n"
    "# die mit '#' beginnen, werden ignoriert.\n#\n"
)
PLAIN = ["git", "commit"]


@pytest.mark.parametrize(
    ("text", "mode", "configured", "command", "mark"),
    [
        (NOTE, "", "", PLAIN, "#"),
        (NOTE, "strip", "#", [], "#"),
        (NOTE.replace("#", ";"), "", ";", PLAIN, ";"),
        (NOTE.replace("#", ";"), "", "auto", PLAIN, ";"),
        (NOTE.replace("#", ";"), "", "", PLAIN, ""),
        (NOTE, "whitespace", "", PLAIN, ""),
        (NOTE, "scissors", "", PLAIN, ""),
        (NOTE, "", "", [*PLAIN, "--cleanup=whitespace"], ""),
        (NOTE, "", "", [*PLAIN, "--cl", "verbatim"], ""),
        (KEPT, "", "", PLAIN, ""),
        (NOTE + "- [ ] tests\n", "", "", PLAIN, ""),
        ("Say what\n\n- [ ] tests\n", "", "", PLAIN, ""),
        ("", "", "", PLAIN, ""),
        (NOTE + "# ------------------------ >8 ------------------------\n", "", "", PLAIN, ""),
        (GERMAN, "", "", PLAIN, "#"),
        (GERMAN, "", "", ["git", "ci"], ""),
        (GERMAN, "", "", [], ""),
        (GERMAN.replace("#", ";"), "", "auto", PLAIN, ""),
    ],
)
def test_the_mark_is_gits_own_or_none(tmp_path, monkeypatch, text, mode, configured, command, mark):
    """By the settings, the note of git's in the file, and the command line where it is known."""
    monkeypatch.delenv("GIT_EDITOR", raising=False)
    monkeypatch.setattr(message_file, "_git_command", lambda: command)
    file = tmp_path / "COMMIT_EDITMSG"
    file.write_text(text)
    assert comment_mark(file, mode, configured) == mark


@pytest.mark.parametrize(
    ("name", "value"), [("GIT_EDITOR", ":"), ("GIT_CONFIG_PARAMETERS", "'a.b'='c'")]
)
def test_settings_of_one_call_keep_it_silent(tmp_path, monkeypatch, name, value):
    """Without an editor nothing is stripped; what one call sets is not known."""
    monkeypatch.setattr(message_file, "_git_command", lambda: PLAIN)
    monkeypatch.setenv(name, value)
    file = tmp_path / "COMMIT_EDITMSG"
    file.write_text(GERMAN)
    assert comment_mark(file, "", "") == ""
