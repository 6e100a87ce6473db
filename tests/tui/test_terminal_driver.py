"""The terminal's driver beside a shell that has the terminal back."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import termios
import threading
import tty

import pytest
from textual.app import App

from codebuddy import platforms
from codebuddy.tui.terminal_driver import TerminalDriver


async def made() -> TerminalDriver:
    """A driver, for which there must be a loop."""
    return TerminalDriver(App())


@pytest.mark.terminal
def test_modes_that_a_shell_sets_while_the_reading_thread_ends_stay(monkeypatch):
    """Waiting for that thread takes long enough for a shell to come in between."""
    master, slave = pty.openpty()
    guard, its_end = os.pipe()
    os.close(its_end)
    monkeypatch.setattr(platforms, "_guard", [guard])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    driver = asyncio.run(made())
    driver.fileno = slave
    monkeypatch.setattr(driver, "write", lambda _: None)
    driver.attrs_before = before = termios.tcgetattr(slave)
    assert before[3] & termios.ECHO
    tty.setraw(slave)
    driver._own_modes = termios.tcgetattr(slave)

    def shell_comes() -> None:
        driver.exit_event.wait()
        modes = list(before)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, modes)

    driver._key_thread = threading.Thread(target=shell_comes, daemon=True)
    driver._key_thread.start()
    driver.stop_application_mode()
    local = termios.tcgetattr(slave)[3]
    assert not local & termios.ECHO
    assert local & termios.ICANON
    for descriptor in (master, slave, guard):
        os.close(descriptor)
