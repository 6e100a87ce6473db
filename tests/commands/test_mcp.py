"""`codebuddy mcp`, the words of its command line; what it serves is tested in tests/serve."""

from __future__ import annotations

import subprocess
import sys

import pytest

from codebuddy import cli

# As if the package were not installed: a finder that knows nothing of it comes first.
_WITHOUT_MCP = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mcp", "mcp_types"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Without())
from codebuddy.cli import main
main(["mcp"])
"""


@pytest.mark.process
def test_a_missing_package_is_told_in_a_sentence(repository):
    """With the command that installs it, and without a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_MCP], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "error: the package mcp is not installed\nhint: pip install 'codebuddy[mcp]'\n"
    )


def test_outside_of_a_repository_there_is_nothing_to_serve(tmp_path, monkeypatch, capsys):
    """It is said at the start, where a person sees it."""
    monkeypatch.chdir(tmp_path)
    assert cli.run(["mcp"]) == 2
    assert "is not inside a git repository" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--json"], ["--token-file", "token"]])
def test_flags_of_http_need_it(repository, monkeypatch, capsys, flags):
    """A token file without --http is a mistake."""
    monkeypatch.chdir(repository)
    assert cli.run(["mcp", *flags]) == 2
    assert "--token-file and --json go with --http" in capsys.readouterr().err


def test_a_port_is_one(repository, monkeypatch, capsys):
    """Anything else is a wrong call."""
    monkeypatch.chdir(repository)
    assert cli.run(["mcp", "--http", "65536"]) == 2
    assert "--http" in capsys.readouterr().err
