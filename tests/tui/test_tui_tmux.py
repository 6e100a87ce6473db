"""End to end in tmux: the real terminal, engine and model; what is typed, suggested, saved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.conftest import DEFAULT_MODEL

_PATIENCE_S = 600.0


class Tmux:
    """One pane of a tmux server of its own."""

    def __init__(self, folder, command, columns=120, rows=34):
        self._socket = str(folder / "tmux.sock")
        self.run("new-session", "-d", "-x", str(columns), "-y", str(rows), command)

    def run(self, *arguments):
        """A tmux command's output."""
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", os.devnull, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def press(self, *keys):
        """Press keys, by tmux's names."""
        self.run("send-keys", *keys)

    def type(self, text):
        """Type a text letter by letter."""
        for letter in text:
            self.run("send-keys", "-l", letter)

    def screen(self):
        """What the pane shows."""
        return self.run("capture-pane", "-p")

    def until(self, condition, what):
        """Wait for the pane to show something."""
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}; the screen:\n{self.screen()}"
            time.sleep(0.2)

    def close(self):
        """End the server."""
        self.run("kill-server")


@pytest.mark.terminal
@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_real_suggestion_is_taken_and_saved(repository, tmp_path, monkeypatch, engine):
    """The real model completes a call; Tab takes it, Ctrl+S saves it, Ctrl+Q leaves."""
    assert shutil.which("tmux"), "install tmux"
    assert DEFAULT_MODEL.is_file(), "run 'make models' first"
    monkeypatch.chdir(repository)
    monkeypatch.setenv("CODEBUDDY_MODEL_N_CTX", "2048")
    before = (repository / "cart.py").read_text()
    pane = Tmux(
        tmp_path, f"{sys.executable} -m codebuddy tui cart.py:6:27; echo ENDED $?; sleep 60"
    )
    try:
        pane.until(lambda: "apply_discount(" in pane.screen(), "the file is drawn")
        pane.until(lambda: "6:27" in pane.screen(), "the cursor is there")
        pane.type("am")
        pane.until(lambda: "0/1 accepted" in pane.screen(), "a suggestion is shown")
        assert "apply_discount(amount_cents" in pane.screen()
        assert (repository / "cart.py").read_text() == before
        pane.press("Tab")
        pane.until(lambda: "1/1 accepted" in pane.screen(), "the suggestion is taken")
        pane.press("C-s")
        pane.until(lambda: (repository / "cart.py").read_text() != before, "the file is saved")
        line = (repository / "cart.py").read_text().split("\n")[5]
        assert line.startswith("    return apply_discount(amount_cents")
        pane.press("C-q")
        pane.until(lambda: "ENDED 0" in pane.screen(), "the program left")
    finally:
        pane.close()
