"""Pulls that are killed or find the disk full: processes of their own, ended midway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codebuddy.inference.download import pull
from tests.support import models as support

pytestmark = pytest.mark.process

MEBIBYTE = 1 << 20


def start_pull(tmp_path: Path, entry, *, limit_kib: int | None = None) -> subprocess.Popen[str]:
    """Pull in a process of its own, with files limited to `limit_kib`."""
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(support.catalog_text(entry))
    limit = f"ulimit -f {limit_kib}; " if limit_kib else ""
    command = [sys.executable, "-m", "tests.support.models", str(catalog), "tiny", "60"]
    return subprocess.Popen(
        ["bash", "-c", f'{limit}exec "$@"', "bash", *command],
        cwd=support.REPOSITORY,
        env={**os.environ, "CODEBUDDY_MODEL_FOLDER": str(tmp_path / "models")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_pull_resumes(how, data, folder, seal, tmp_path):
    """A pull that is killed midway leaves no child and no model; the next one ends it."""
    entry = support.entry_for(data, support.hub_source())
    staged = folder / ".partial" / "tiny.gguf" / "hub" / "tiny.gguf.part"
    with support.serve(support.Hub(data, stops_after=MEBIBYTE)) as hub:
        seal(hub.url)
        process = start_pull(tmp_path, entry)
        while hub.sent_bytes < MEBIBYTE or not staged.exists() or not staged.stat().st_size:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        process.send_signal(how)
        process.communicate()
        assert process.returncode != 0
        # The child ends with its parent: the path of its staged file is in its command line.
        while running_with(str(staged)):
            time.sleep(0.02)
        assert not (folder / "tiny.gguf").exists()
        done = staged.stat().st_size
        hub.stops_after = None
        pull(entry, support.settings_for(folder), limits=support.PATIENT)
        assert hub.gets()[-1] == f"bytes={done}-"
    assert (folder / "tiny.gguf").read_bytes() == data


def running_with(text: str) -> list[str]:
    """Command lines of running processes that hold `text`."""
    import psutil

    lines = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"]
        if line and text in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            lines.append(" ".join(line))
    return lines


@pytest.mark.parametrize("kind", ["hub", "packages"])
def test_full_disk(kind, data, folder, seal, tmp_path):
    """When the system takes no more bytes the error says so, and a later pull goes on."""
    source = support.packages_source(data, 4)
    support.write_wheels(tmp_path / "wheels", data, source)
    entry = support.entry_for(data, source if kind == "packages" else support.hub_source())
    with support.serve(support.Hub(data)) as hub:
        seal(hub.url, tmp_path / "wheels")
        process = start_pull(tmp_path, entry, limit_kib=1024)
        output = process.communicate()[0]
        assert process.returncode == 1
        assert f"there is no room left in {folder} for tiny" in output
        assert "Traceback" not in output
        staged = folder / ".partial" / "tiny.gguf" / kind / "tiny.gguf.part"
        assert 0 < staged.stat().st_size <= MEBIBYTE
        pull(entry, support.settings_for(folder), limits=support.PATIENT)
    assert (folder / "tiny.gguf").read_bytes() == data
