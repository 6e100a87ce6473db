"""`codebuddy fleet` and `search --fleet`, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from codebuddy.cli import cli, run
from codebuddy.fleet.runners import ProcessRunner
from codebuddy.fleet.tasks import Outcome
from codebuddy.service.fleet_search import FleetSearches
from codebuddy.service.request import SearchRequest, SettingsSources
from tests.support.index import index, make_repository, module, run_git

pytestmark = pytest.mark.filterwarnings("ignore")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """Two repositories on the list, one of them indexed."""
    monkeypatch.setenv("CODEBUDDY_INDEX_EMBEDDER", "none")
    roots = {}
    for name, word in (("alpha", "parse_config"), ("beta", "open_socket")):
        roots[name] = make_repository(tmp_path / name, {f"{word}.py": module(word)})
    index(roots["alpha"], embedder="none")
    assert call("fleet", "add", *map(str, roots.values())).exit_code == 0
    return roots


def test_the_list_says_what_can_be_searched(fleet):
    """By name, path and state."""
    found = json.loads(call("fleet", "list", "--json").stdout)
    states = {each["name"]: each["state"] for each in found["repositories"]}
    assert states == {"alpha": "indexed", "beta": "not indexed"}
    assert call("fleet", "remove", "beta").exit_code == 0
    assert "beta" not in call("fleet", "list").stdout


def test_a_search_over_the_list_names_the_repository_of_each_result(fleet):
    """In text and JSON; what is not searched is said."""
    done = call("search", "--fleet", "--no-engine", "parse_config")
    assert done.stdout.startswith("alpha/parse_config.py:4")
    assert "beta is not searched: it is not indexed yet" in done.stderr
    found = json.loads(call("search", "--fleet", "--no-engine", "parse_config", "--json").stdout)
    first = found["results"][0]
    assert (first["path"], first["name"]) == ("parse_config.py", "alpha")
    assert first["repository"] == str(fleet["alpha"])
    assert found["repositories"]["searched"] == 1
    assert found["repositories"]["listed"] == 2


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"tasks": 0, "arms": {"never": {"edit_similarity": None}}}, "no task"),
        ({"tasks": 1, "arms": {"never": 1}}, "done"),
    ],
)
def test_a_result_without_figures_ends_nothing(fleet, monkeypatch, result, said):
    """An evaluation whose time was up before its first hole; another machine's answer."""

    class Answers(ProcessRunner):
        def run(self, roots, job, retries):
            for root in roots:
                yield Outcome(root, result=result)

    monkeypatch.setattr("codebuddy.fleet.runners.ProcessRunner", Answers)
    done = call("fleet", "eval", "--workers", "1")
    assert done.exit_code == 0, done.output
    assert done.stdout.count(said) == 2


def test_an_empty_search_says_why(fleet):
    """A filter that fits no file of any repository, or words alone."""
    common = ["search", "--fleet", "--no-engine", "--json"]
    found = json.loads(call(*common, "zzz", "lang:go").stdout)
    assert found["reason"] == "no indexed file is go"
    found = json.loads(call(*common, "zzz").stdout)
    assert found["reason"] == "nothing found in 1 repositories"


def test_a_search_where_nothing_is_indexed_says_so(fleet, capsys):
    """In one sentence."""
    assert call("fleet", "remove", "alpha").exit_code == 0
    assert run(["search", "--fleet", "--no-engine", "open_socket"]) == 1
    assert "none of the 1 repositories can be searched" in capsys.readouterr().err


def test_a_list_in_one_s_home_is_found(fleet, capsys):
    """Where no shell has written out the tilde, as in `--fleet-list=~/list.txt`."""
    list_file = Path("~/list.txt")
    list_file.expanduser().write_text(f"{fleet['alpha']}\n")
    assert (
        run(["search", "--fleet", f"--fleet-list={list_file}", "--no-engine", "parse_config"]) == 0
    )
    assert "alpha/" in capsys.readouterr().out


def test_a_repository_that_comes_later_is_searched(fleet, tmp_path):
    """By the same engine, without a change of the list."""
    late = tmp_path / "late"
    file = tmp_path / "list.txt"
    file.write_text(f"{fleet['alpha']}\n{late}\n")
    searches = FleetSearches()
    request = SearchRequest(str(tmp_path), "write_table", fleet=str(file))
    sources = SettingsSources({}, tmp_path / "none.toml")
    first = searches.search(request, sources)["repositories"]
    make_repository(late, {"write_table.py": module("write_table")})
    second = searches.search(request, sources)["repositories"]
    index(late, embedder="none")
    found = searches.search(request, sources)
    searches.close()
    assert list(first["left_out"]) == list(second["left_out"]) == [str(late)]
    assert "not indexed" in second["left_out"][str(late)]
    assert found["results"][0]["name"] == "late"
    assert found["repositories"]["left_out"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--fleet", "--near", "a.py", "x"], "--near"),
        (["search", "--fleet", "--best", "x"], "--best"),
        (["search", "--fleet-list", "a.txt", "x"], "--fleet-list"),
        (["search", "--fleet", "--fleet-list", "none.txt", "x"], "there is no list"),
        (["search", "--fleet", "--fleet-list", "empty.txt", "x"], "names no repository"),
        (["fleet", "index", "--list", "empty.txt"], "names no repository"),
        (["fleet", "add", "ext::sh -c id"], "names a program"),
        (["fleet", "add", "--", "--upload-pack=id"], "is not a folder"),
        (["fleet", "add", "http://example.org/a.git"], "is not fetched"),
        (["fleet", "index", "--send-code"], "for workers of Ray"),
        (["fleet", "add", "."], "git repository"),
        (["fleet", "remove", "gamma"], "not on the list"),
    ],
)
def test_what_cannot_be_is_one_sentence(fleet, tmp_path, monkeypatch, capsys, arguments, said):
    """With exit code 2."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "empty.txt").write_text("# nothing yet\n")
    monkeypatch.chdir(outside)
    extra = ["--no-engine"] if arguments[0] == "search" else []
    assert run([*arguments, *extra]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.process
def test_indexing_the_list_tells_of_the_one_that_failed(fleet, tmp_path, monkeypatch, capsys):
    """The others are done, and the exit code is 1."""
    file = tmp_path / "list.txt"
    file.write_text(f"{fleet['alpha']}\n{fleet['beta']}\n{tmp_path / 'gone'}\n")
    assert run(["fleet", "index", "--list", str(file), "--workers", "2", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    errors = {each["name"]: each["error"] for each in found["repositories"]}
    assert errors["alpha"] == errors["beta"] == ""
    assert "is gone" in errors["gone"]
    assert found["cost"]["repositories"] == 2
    assert run(["search", "--fleet", "--no-engine", "open_socket", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["name"] == "beta"


@pytest.mark.process
@pytest.mark.usefixtures("engine")
def test_the_engine_searches_the_list_too(fleet, capsys):
    """With the answer of this process."""
    assert run(["search", "--fleet", "parse_config", "--json"]) == 0
    by_engine = json.loads(capsys.readouterr().out)
    assert run(["search", "--fleet", "parse_config", "--json", "--no-engine"]) == 0
    here = json.loads(capsys.readouterr().out)
    assert by_engine["results"] == here["results"]
    assert by_engine["repositories"] == here["repositories"]


@pytest.mark.process
def test_what_is_named_by_its_address_is_fetched_indexed_and_searched(fleet, tmp_path, capsys):
    """One that cannot be fetched fails alone, and what is removed is deleted."""
    source = make_repository(tmp_path / "far", {"far.py": module("far_away")})
    run_git(source, "add", "-A")
    run_git(source, "commit", "-qm", "x")
    url = f"file://{source}"
    assert run(["fleet", "add", url, f"file://{tmp_path}/none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == [url, f"file://{tmp_path}/none"]
    assert "not fetched yet" in call("fleet", "list").stdout
    assert run(["fleet", "index", "--workers", "2", "--json"]) == 1
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["repositories"]}
    assert found["far"]["result"]["files"] == 1
    assert found["far"]["url"] == url
    assert found["alpha"]["url"] is None
    assert "cannot be fetched" in found["none"]["error"]
    assert run(["search", "--fleet", "--no-engine", "far_away", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["results"][0]
    assert (first["name"], first["repository"]) == ("far", found["far"]["repository"])
    assert Path(found["far"]["repository"], "far.py").exists()
    assert call("fleet", "remove", "far").exit_code == 0
    assert not Path(found["far"]["repository"]).exists()
