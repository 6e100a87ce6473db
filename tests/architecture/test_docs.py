"""The documents are true: what they name exists, and what exists is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from codebuddy.cli import COMMANDS, cli
from codebuddy.config import known_keys, variable_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_in_the_readme_and_has_an_example(name):
    """A command is named in the README, and its help shows an example."""
    assert f"`codebuddy {name}" in README
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert "Example: codebuddy" in (command.epilog or "")


def test_the_line_that_the_readme_and_the_demo_cut_is_there_once():
    """Both find it by its text: `make demo` completes what the README shows."""
    file = "codebuddy/commands/complete.py"
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    demo = (ROOT / ".ci" / "demo").read_text(encoding="utf-8")
    found = re.search(r"grep -n '(.+)' (\S+) \|", README)
    assert found is not None
    assert found[2] == file
    assert sum(found[1] in line for line in lines) == 1
    assert re.search(r"^file=(.+)$", demo, re.MULTILINE)[1] == file  # type: ignore[index]
    known = re.search(r"^known='(.+)'$", demo, re.MULTILINE)[1]  # type: ignore[index]
    cut = [line for line in lines if line.startswith(f"{known}parse_target")]
    assert "${known}parse_target" in demo
    assert len(cut) == 1
    assert found[1] in cut[0]
    # The same line by its number would be another one after the next change of the file.
    assert not re.search(rf"{re.escape(file)}:\d", README)


def test_the_table_of_settings_is_the_settings():
    """docs/settings.md lists each key once: default, whether a repository may set it, variable."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| ([^|]*) \| ([^|]*) \| .* \| `(\w+)` \|$",
        (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    found = {
        name: (default.strip(), mark.strip(), variable) for name, default, mark, variable in rows
    }
    expected = {}
    for name, entry in known_keys().items():
        default = str(entry.default) if entry.default not in ("", ()) else "empty"
        default = default.lower() if isinstance(entry.default, bool) else default
        mark = "yes" if entry.metadata["from_repository"] else ""
        expected[name] = (default, mark, variable_of(name))
    assert found == expected
    assert len(rows) == len(expected)


def links_of(page: Path) -> list[tuple[Path, str]]:
    """Each link of a page that leads to a file, as that file and the anchor, which may be empty."""
    text = without_code(page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    split = [link.partition("#") for link in links if "://" not in link]
    return [((page.parent / file).resolve() if file else page, anchor) for file, _, anchor in split]


def without_code(text: str) -> str:
    """The text without its fenced code."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = without_code(page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        n_before = sum(re.sub(r"-\d+$", "", each) == anchor for each in found)
        found.add(f"{anchor}-{n_before}" if anchor in found else anchor)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page):
    """Each link of a page leads to a file, and to a heading where it names one."""
    dead = [
        f"{file.name}#{anchor}"
        for file, anchor in links_of(page)
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file))
    ]
    assert dead == []


def test_every_page_is_in_the_table_of_contents():
    """docs/README.md links each page once, and the README links docs/README.md."""
    contents = ROOT / "docs" / "README.md"
    linked = [file for file, _ in links_of(contents)]
    assert sorted(linked) == sorted(set(PAGES) - {ROOT / "README.md", contents})
    assert contents in {file for file, _ in links_of(ROOT / "README.md")}


@pytest.mark.parametrize("name", ["benchmarks", "log"])
def test_a_page_of_history_begins_with_its_contents(name):
    """docs/benchmarks.md and docs/log.md list their sections at the top."""
    page = ROOT / "docs" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    listed = re.findall(r"^- \[([^\]]*)\]\(#", text.partition("\n## ")[0], re.MULTILINE)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert listed == [heading.replace("`", "") for heading in headings]


def test_the_figures_of_today_come_with_their_source():
    """Each row of docs/figures.md that states a figure links where it was measured."""
    page = ROOT / "docs" / "figures.md"
    text = page.read_text(encoding="utf-8")
    assert text.count("\n") <= 50
    rows = text.partition("| what | figure |")[2].split("\n")[2:]
    rows = [row for row in rows if row.startswith("|")]
    assert len(rows) > 5
    for row in rows:
        assert re.search(r"\]\((benchmarks|log)\.md#", row) or row.endswith("| the same |"), row


def test_the_table_of_packages_is_the_packages():
    """docs/architecture.md names every folder and module of the package, and no other."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## The packages")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+/|[a-z_]+\.py)`", row)}
    package = ROOT / "codebuddy"
    folders = {f"{each.parent.name}/" for each in package.glob("*/__init__.py")}
    modules = {each.name for each in package.glob("[a-z]*.py")}
    assert named == folders | modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_by_a_page_exist(page):
    """No path below `tests/` that a page names is missing."""
    if page.stem != "contributing":  # which names files that its reader writes
        for path in re.findall(r"`(tests/[\w/.]+)`", without_code(page.read_text("utf-8"))):
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
