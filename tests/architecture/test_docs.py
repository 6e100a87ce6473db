"""The documents are true: what they name exists, and what exists is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from codebuddy.cli import COMMANDS, cli
from codebuddy.config import known_keys

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_in_the_readme_and_has_an_example(name):
    """A command is named in the README, and its help shows an example."""
    assert f"`codebuddy {name}" in README
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert "Example: codebuddy" in (command.epilog or "")


def test_the_table_of_settings_is_the_settings():
    """docs/settings.md lists each key once, with default and whether a repository may set it."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| ([^|]*) \| ([^|]*) \|",
        (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    found = {name: (default.strip(), mark.strip()) for name, default, mark in rows}
    expected = {}
    for name, entry in known_keys().items():
        default = str(entry.default) if entry.default not in ("", ()) else "empty"
        default = default.lower() if isinstance(entry.default, bool) else default
        expected[name] = (default, "yes" if entry.metadata["from_repository"] else "")
    assert found == expected
    assert len(rows) == len(expected)


def test_links_and_folders_of_the_readme_exist():
    """No link of the README is dead, and each folder of the tree is there."""
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    tree = README.partition("## The folders")[2]
    for name in re.findall(r"^  ([a-z_]+/|[a-z_]+\.py)", tree, re.MULTILINE):
        assert (ROOT / "codebuddy" / name).exists(), name


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_files_named_by_a_page_exist(page):
    """No relative link of a page is dead, nor a path below `tests/` that it names."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        assert "://" in link or (page.parent / link).exists(), link
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


def test_only_the_agreed_things_stand_at_the_top():
    """The top level holds what was agreed, and nothing else."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    top = {name.split("/")[0] for name in listed if name and not name.startswith(".")}
    assert top == {
        "pyproject.toml", "README.md", "codebuddy", "tests", "models", "docs", "LICENSE",
        "CHANGELOG.md", "Makefile",
    }  # fmt: skip


@pytest.mark.process
def test_help_is_helpful_for_every_command():
    """`--help` of each command exits with 0 and shows usage and options."""
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "codebuddy", name, "--help"], capture_output=True, text=True
        )
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: codebuddy")
        assert "Example:" in done.stdout


def test_every_command_that_answers_can_answer_in_json():
    """Verbs of groups included; the language server and the editor answer nothing."""

    def without(command: click.Command, path: str) -> list[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            verbs = [(name, command.get_command(context, name)) for name in names]
            return [
                each for name, verb in verbs if verb for each in without(verb, f"{path} {name}")
            ]
        return [] if any("--json" in each.opts for each in command.params) else [path.strip()]

    assert without(cli, "") == ["lsp", "tui"]


def test_every_test_named_in_the_reliability_page_exists():
    """docs/reliability.md names no test that is not there."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    defined = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        source = file.read_text(encoding="utf-8")
        defined.update(re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 60
    assert named - defined == set()
