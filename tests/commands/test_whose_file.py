"""A file is completed with its own repository, wherever the command stands; with none, without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from codebuddy.errors import UsageError
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.vcs.location import real_folder, repository_around
from tests.support.engine import call, codebuddy, json_of
from tests.support.index import make_repository, run_git
from tests.support.lsp import editing
from tests.support.serve import serving
from tests.support.tui import TerminalProgram, plain

# The last line calls what only `wanted.py` of the same repository defines.
CALLER = "from wanted import {name}\n\n\ndef use(first):\n    value = {name}("


def files(name: str) -> dict[str, str | bytes]:
    """A repository in which one file calls what another defines."""
    body = "\n".join(f"    total = first * {number}" for number in range(12))
    return {
        "wanted.py": f"def {name}(first, {name}_second):\n{body}\n    return total\n",
        "caller.py": CALLER.format(name=name),
    }


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """A repository with a submodule, a linked worktree, a nested clone and links."""
    library = make_repository(tmp_path / "library", files("from_library"))
    run_git(library, "add", ".")
    run_git(library, "commit", "--quiet", "-m", "all")
    outer = make_repository(tmp_path / "outer", files("from_outer"))
    run_git(outer, "add", ".")
    run_git(outer, "submodule", "--quiet", "add", str(library), "sub")
    run_git(outer, "commit", "--quiet", "-m", "all")
    run_git(outer, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    for path, text in files("from_linked").items():
        (tmp_path / "linked" / path).write_text(str(text))
    make_repository(outer / "nested", files("from_nested"))
    (outer / "link.py").symlink_to(outer / "sub" / "caller.py")
    (outer / "folder").symlink_to(outer / "nested", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    return outer


PLACES = [
    ("outer", "sub/caller.py", "from_library"),
    ("elsewhere", "{outer}/caller.py", "from_outer"),
    ("elsewhere", "{outer}/sub/caller.py", "from_library"),
    ("library", "../outer/caller.py", "from_outer"),
    ("outer", "../linked/caller.py", "from_linked"),
    ("outer", "nested/caller.py", "from_nested"),
    ("outer", "link.py", "from_library"),
    ("outer", "folder/caller.py", "from_nested"),
    ("outer/sub", "../caller.py", "from_outer"),
]
ALWAYS = ["--model", "echo", "--retrieve", "always", "--json"]


def looked_up(answer: dict) -> str:
    """The symbols of the chunks that were looked up."""
    return " ".join(chunk["symbol"] for chunk in answer["chunks"])


@pytest.mark.process
@pytest.mark.parametrize("way", [[], ["--stdin"]], ids=["disk", "stdin"])
def test_complete_asks_the_repository_of_the_file(outer, way):
    """Not that of the folder where the command stands."""
    for folder, file, wanted in PLACES:
        text = CALLER.format(name=wanted).encode() if way else None
        target = f"{file.format(outer=outer)}:5"
        done = codebuddy(outer.parent / folder, "complete", target, *ALWAYS, *way, stdin=text)
        answer = json_of(done)
        assert (looked_up(answer), answer["file"]) == (wanted, "caller.py"), (folder, file)


@pytest.mark.usefixtures("engine")
def test_the_engine_asks_the_same_repository(outer):
    """The client's folder travels no more: the file says enough."""
    for folder, file, wanted in PLACES:
        target = f"{file.format(outer=outer)}:5"
        answer = json_of(codebuddy(outer.parent / folder, "complete", target, *ALWAYS))
        assert answer["engine"] is not None
        assert looked_up(answer) == wanted, (folder, file)


@pytest.mark.process
def test_apply_writes_the_file_of_the_submodule(outer):
    """From the outer repository, and nothing else changes."""
    before = (outer / "sub" / "caller.py").read_text()
    done = codebuddy(outer, "complete", "sub/caller.py:5", "--model", "echo", "--apply")
    assert done.returncode == 0, done.stderr
    assert (outer / "sub" / "caller.py").read_text().startswith(before)
    assert run_git(outer / "sub", "status", "--short").split() == ["M", "caller.py"]


@pytest.mark.process
def test_search_near_a_file_asks_its_repository(outer):
    """Results are those of the submodule, and a person is told whose they are."""
    arguments = ["search", "total", "--near", "sub/caller.py"]
    found = json_of(codebuddy(outer, *arguments, "--json"))
    assert found["repository"] == str(outer / "sub")
    assert any("from_library" in each["text"] for each in found["results"])
    told = codebuddy(outer, *arguments)
    assert f"searched {outer / 'sub'}, the repository of sub/caller.py" in told.stderr
    own = codebuddy(outer, "search", "total", "--near", "caller.py")
    assert "searched" not in own.stderr


@pytest.mark.usefixtures("engine")
def test_search_near_a_file_asks_its_repository_through_the_engine(outer):
    """The same with the engine."""
    found = json_of(codebuddy(outer, "search", "total", "--near", "nested/caller.py", "--json"))
    assert found["repository"] == str(outer / "nested")
    assert any("from_nested" in each["text"] for each in found["results"])


OUTSIDE = "the file is in no git repository"


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    """A file in no repository."""
    folder = tmp_path / "loose"
    folder.mkdir()
    (folder / "x.py").write_text("def total(items):\n    amount = 1\n    amount = ")
    return folder / "x.py"


@pytest.mark.process
@pytest.mark.parametrize("mode", ["auto", "always"])
@pytest.mark.parametrize("from_repository", [True, False])
def test_outside_of_any_repository_a_file_is_completed(loose, repository, from_repository, mode):
    """Without lookups, which the decision says, on the screen and in JSON."""
    folder = repository if from_repository else loose.parent.parent
    arguments = ["complete", f"{loose}:3", "--model", "echo", "--retrieve", mode]
    answer = json_of(codebuddy(folder, *arguments, "--json"))
    assert answer["text"]
    assert answer["chunks"] == []
    assert not answer["decision"]["retrieve"]
    assert (answer["decision"]["reason"], answer["decision"]["mode"]) == (OUTSIDE, mode)
    assert OUTSIDE in codebuddy(folder, *arguments).stderr
    assert sorted(each.name for each in loose.parent.iterdir()) == ["x.py"]


@pytest.mark.usefixtures("engine")
def test_outside_of_any_repository_the_engine_completes_too(loose):
    """The same answer, and no warning about an index that cannot be."""
    done = codebuddy(loose.parent, "complete", "x.py:3", "--model", "echo", "--json")
    answer = json_of(done)
    assert answer["engine"] is not None
    assert answer["decision"]["reason"] == OUTSIDE
    assert "warning" not in done.stderr


@pytest.mark.process
def test_outside_of_any_repository_a_text_is_completed_and_applied(loose):
    """A new file's text from stdin, in a folder that is not there yet; and `--apply`."""
    done = codebuddy(
        loose.parent, "complete", "new/y.py:1", "--stdin", "--model", "echo", "--json",
        stdin=b"value = ",
    )  # fmt: skip
    assert json_of(done)["file"] == "new/y.py"
    applied = codebuddy(loose.parent, "complete", "x.py:3", "--apply", "--model", "echo")
    assert applied.returncode == 0, applied.stderr
    assert len(loose.read_text()) > len("def total(items):\n    amount = 1\n    amount = ")


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments", [["index"], ["search", "x"], ["hook", "status"], ["hook", "run"], ["eval"]]
)
def test_what_needs_a_repository_says_so(loose, arguments):
    """Exit code 2 and one sentence."""
    done = codebuddy(loose.parent, *arguments)
    assert done.returncode == 2
    assert "is not inside a git repository" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_settings_of_a_folder_without_a_repository_are_not_read(loose):
    """A file of settings counts only in a repository, whose person chose it."""
    (loose.parent / ".codebuddy.toml").write_text("[completion]\nmax_tokens = 1\nnonsense = 1\n")
    answer = json_of(codebuddy(loose.parent, "complete", "x.py:3", "--model", "echo", "--json"))
    assert answer["tokens"]["generated"] > 1


@pytest.mark.process
def test_files_of_git_are_refused(outer):
    """By any path, with one sentence."""
    for path in (".git/config", ".git/modules/sub/config", "sub/.git"):
        done = codebuddy(outer, "complete", f"{path}:1", "--model", "echo")
        assert done.returncode == 2
        assert f"{path} belongs to git itself" in done.stderr


@pytest.mark.process
def test_a_worktree_within_the_folder_of_git_is_one(outer):
    """Some keep theirs there; its files are no files of git's own."""
    run_git(outer, "worktree", "add", "--quiet", str(outer / ".git" / "trees" / "one"))
    target = ".git/trees/one/caller.py:5"
    answer = json_of(codebuddy(outer, "complete", target, *ALWAYS))
    assert looked_up(answer) == "from_outer"


def test_without_the_engine_an_editor_completes_outside_too(loose):
    """The path of `lsp` and `serve` in their own process."""
    completer = InProcessClient("echo")
    found = completer.complete(call(loose.parent, "x.py", 3, retrieve=None))
    assert found["decision"]["reason"] == OUTSIDE


@pytest.mark.process
def test_lsp_completes_a_file_outside_of_any_repository(loose, own_home):
    """The receipt says that nothing could be looked up."""
    with editing(loose.parent, own_home) as client:
        client.initialize()
        uri = client.open("x.py", loose.read_text())
        assert client.suggested(uri, 2, 13)
        receipt = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
        assert receipt["result"]["decision"]["reason"] == OUTSIDE


@pytest.mark.process
def test_serve_starts_outside_of_any_repository(loose, repository, own_home):
    """It completes there without lookups, and a repository below with its own."""
    shutil.copytree(repository, loose.parent / "shop", symlinks=True)
    with serving(loose.parent, own_home) as server:
        body = {"input_prefix": "value = ", "input_suffix": "", "prompt": ""}
        answer = json.loads(server.request("POST", "/infill", body | {"filename": "x.py"}).body)
        assert answer["codebuddy"]["decision"]["reason"] == OUTSIDE
        inside = json.loads(
            server.request("POST", "/infill", body | {"filename": "shop/cart.py"}).body
        )
        assert inside["codebuddy"]["file"] == "cart.py"
        assert inside["codebuddy"]["decision"]["reason"] != OUTSIDE
        refused = server.request("POST", "/infill", body | {"filename": "../x.py"})
        assert refused.status == 400
        assert "outside the folder" in json.loads(refused.body)["error"]["message"]


@pytest.mark.process
def test_serve_completes_a_submodule_with_its_own_repository(outer, own_home):
    """A link that leads out of the repository is refused as before."""
    (outer / "out.py").symlink_to(outer.parent / "library" / "caller.py")
    with serving(outer, own_home) as server:
        prefix, _, prompt = CALLER.format(name="from_library").rpartition("\n")
        body = {"input_prefix": prefix + "\n", "input_suffix": "", "prompt": prompt}
        answer = json.loads(
            server.request("POST", "/infill", body | {"filename": "sub/caller.py"}).body
        )
        assert answer["codebuddy"]["file"] == "caller.py"
        refused = server.request("POST", "/infill", body | {"filename": "out.py"})
        assert refused.status == 400
        assert "outside the repository" in json.loads(refused.body)["error"]["message"]


@pytest.mark.terminal
def test_the_editor_in_the_terminal_opens_a_file_outside(loose):
    """It shows the file and leaves nothing beside it."""
    program = TerminalProgram(loose.parent, "tui", "x.py", "--model", "echo", "--no-engine")
    try:
        program.wait_for("amount")
        program.send("\x11")
        assert program.end() == 0
    finally:
        program.close()
    assert sorted(each.name for each in loose.parent.iterdir()) == ["x.py"]
    assert b"is not inside a git repository" not in plain(program.output)


def test_a_real_folder_is_found_for_any_path(tmp_path, outer):
    """New files, broken links and loops have one too."""
    assert real_folder(str(outer / "new" / "deep" / "file.py")) == outer
    (outer / "loop").symlink_to(outer / "loop")
    (outer / "broken.py").symlink_to(outer / "sub" / "missing" / "x.py")
    assert real_folder(str(outer / "broken.py")) == outer / "sub"
    assert real_folder(str(outer / "loop")) == outer
    assert repository_around(outer / "sub").root == outer / "sub"  # type: ignore[union-attr]
    assert repository_around(tmp_path) is None
    with pytest.raises(UsageError, match="cannot be resolved"):
        real_folder("a\0b")
