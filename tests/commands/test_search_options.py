"""What `codebuddy search` can be told: why, near what, how many of a file, with which embedder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.embedder import make_embedder
from tests.support.engine import codebuddy
from tests.support.index import make_repository

pytestmark = pytest.mark.process

FILES: dict[str, str | bytes] = {
    "one/pricing.py": "def discount(x):\n    return x\n",
    "two/pricing.py": "def discount(x):\n    return x\n",
    "app.py": "from two.pricing import discount\n\nprint(discount(1))\n",
    "shelf.py": "from one.pricing import discount\n\nprint(discount(2))\n",
    "tests/test_rates.py": "def test_rates():\n    assert rates_of(3) == 4\n",
    "rates.py": "def rates_of(weight):\n    return weight + 1\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two definitions of one name, a file that imports each of them, and a test."""
    return make_repository(tmp_path / "r", FILES)


def test_explain_says_why_a_result_ranks(root):
    """Each channel's place and score, then every factor; `--json` carries the same."""
    done = codebuddy(root, "search", "rates of", "--explain", "--no-engine")
    reasons = [line for line in done.stdout.splitlines() if line.startswith("    why: ")]
    results = json.loads(codebuddy(root, "search", "rates of", "--json").stdout)["results"]
    assert len(reasons) == len(results) >= 2
    assert "symbol #1 (" in reasons[0]
    assert "path x1.2" in reasons[0]
    (of_test,) = [
        r for r, result in zip(reasons, results, strict=True) if "tests" in result["path"]
    ]
    assert "test x0.85" in of_test
    for result in results:
        assert set(result["explain"]) == {"ranks", "factors"}
        assert set(result["explain"]["ranks"]) == set(result["channels"])
    assert "why:" not in codebuddy(root, "search", "rates of").stdout


@pytest.mark.slow
def test_near_means_what_that_file_imports(root):
    """Of two definitions of the name, the imported one comes first."""
    for near, first in (("app.py", "two/pricing.py"), ("one/new.py", "one/pricing.py")):
        done = codebuddy(root, "search", "discount(4)", "--near", near, "--json")
        assert json.loads(done.stdout)["results"][0]["path"] == first
    for channel in ("hybrid", "symbol"):
        request = ("search", "discount", "--channel", channel, "--json", "--near")
        for near, first in (
            ("app.py", "two/pricing.py"),
            ("shelf.py", "one/pricing.py"),
            ("one/new.py", "one/pricing.py"),
            ("two/new.py", "two/pricing.py"),
        ):
            results = json.loads(codebuddy(root, *request, near).stdout)["results"]
            assert results[0]["path"] == first, (channel, near)
            assert results[0]["score"] > results[1]["score"]
    outside = codebuddy(root, "search", "x", "--near", "/etc/passwd")
    assert outside.returncode == 2
    assert outside.stderr.startswith("error: /etc/passwd is outside the repository")


def test_explain_says_what_near_did(root):
    """Where it led to, what else of the name counts less; nothing where it made no difference."""
    ask = ("search", "discount", "--explain", "--no-engine")
    done = codebuddy(root, *ask, "--near", "app.py")
    titles = [line for line in done.stdout.splitlines() if line.endswith("]")]
    reasons = [line for line in done.stdout.splitlines() if line.startswith("    why: ")]
    of = {title.split(":")[0]: why for title, why in zip(titles, reasons, strict=True)}
    assert of["two/pricing.py"].endswith(", --near: imported there")
    assert of["one/pricing.py"].endswith(", --near: there the name means another definition")
    assert "--near" not in of["shelf.py"]
    results = json.loads(codebuddy(root, *ask, "--near", "app.py", "--json").stdout)["results"]
    assert {each["path"]: each["explain"].get("near") for each in results} == {
        "two/pricing.py": "import",
        "one/pricing.py": "elsewhere",
        "app.py": None,
        "shelf.py": None,
    }
    beside = json.loads(codebuddy(root, *ask, "--near", "one/new.py", "--json").stdout)["results"]
    assert beside[0]["explain"]["near"] == "folder"
    assert "--near" not in codebuddy(root, *ask).stdout


def test_results_of_one_file_can_be_limited(tmp_path):
    """`--per-file 1` gives every file at most one place."""
    body = "".join(f"def price_{i}(cents):\n" + "    cents += 1\n" * 30 + "\n\n" for i in range(4))
    root = make_repository(tmp_path / "r", {"a.py": body, "b.py": "price = 3\n"})
    everything = json.loads(codebuddy(root, "search", "price", "--json").stdout)["results"]
    assert sum(each["path"] == "a.py" for each in everything) > 1
    limited = codebuddy(root, "search", "price", "--per-file", "1", "--json").stdout
    assert sorted(each["path"] for each in json.loads(limited)["results"]) == ["a.py", "b.py"]


def test_the_embedder_is_chosen_on_the_command_line(root, tmp_path):
    """A search with another embedder embeds anew and answers by meaning; a missing one is named."""
    text = "def discount rates of weight return cost test assert print import from"
    name = make_embedder(tmp_path / "model", text, [("weight", "cost")], dim=256)
    ask = ("search", "cost", "--channel", "dense", "--json", "--embedder")
    report = codebuddy(root, "index", "--embedder", "none", "--json")
    assert json.loads(report.stdout)["files"] == len(FILES)
    without = codebuddy(root, *ask, "none")
    assert without.returncode == 1
    assert without.stderr.splitlines() == [
        "error: --embedder none leaves nothing for --channel dense to compare",
        "hint: leave out --embedder, or name another one",
    ]
    found = json.loads(codebuddy(root, *ask, name).stdout)
    assert found["embedder"] == name
    assert found["results"][0]["path"] == "rates.py"
    assert found["results"][0]["channel"] == "dense"


def test_index_and_doctor_name_the_embedder_and_count_its_vectors(root, tmp_path):
    """Of the one that was used in the call; doctor tells of the settings' alone."""
    name = make_embedder(tmp_path / "model", "def discount rates of weight return", dim=256)

    def told(*options: str) -> tuple[object, ...]:
        report = json.loads(codebuddy(root, "index", "--json", *options).stdout)
        return report["embedder"], report["vectors"], report["vectors_made"]

    def doctor() -> tuple[object, ...]:
        facts = json.loads(codebuddy(root, "doctor", "--json").stdout)["repository"]
        return facts["embedder"], facts["vectors"]

    assert told("--embedder", "none") == ("none", 0, 0)
    assert doctor() == ("default", 0)
    assert told() == ("default", 6, 6)
    assert doctor() == ("default", 6)
    assert told("--embedder", "none") == ("none", 0, 0)
    assert told("--embedder", name) == (name, 6, 6)
    assert doctor() == ("default", 0)
    text = codebuddy(root, "index").stdout.splitlines()
    assert text[-1] == "embedder: default, 6 vectors (6 made now)"
    assert told("--embedder", "default") == ("default", 6, 0)


@pytest.mark.parametrize("name", ["nosuch", "./nosuch/model"])
def test_an_embedder_that_is_not_there_is_named_with_what_to_do(root, name):
    """Neither a folder nor a model: two lines, which name folders and the built-in one."""
    for ask in (("search", "cost"), ("index",)):
        missing = codebuddy(root, *ask, "--embedder", name)
        assert missing.returncode == 1
        assert missing.stdout == ""
        assert missing.stderr.splitlines() == [
            f"error: the embedder {name} is neither a folder nor a model that can be had"
            " without the network",
            "hint: name the folder of a sentence-transformers model; 'default' is the built-in"
            " one, 'none' does without",
        ]
