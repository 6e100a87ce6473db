"""A repository's adapter writes in that repository, in all of its work trees, and nowhere else."""

from __future__ import annotations

import json

import pytest

from codebuddy.diagnosis import diagnose
from codebuddy.inference import own_adapters, stamps
from codebuddy.training.adapter.export import write_card
from codebuddy.vcs.repository import open_repository
from codebuddy.vcs.worktrees import adapters_folder
from tests.service.test_adapters import FrontDoor
from tests.support.engine import codebuddy, json_of
from tests.support.index import make_repository, run_git
from tests.support.tiny_model import write_base, write_random_adapter

pytestmark = pytest.mark.model

FILES: dict[str, str | bytes] = {"cart.py": "def label(name):\n    return name\n"}


@pytest.fixture
def base(tmp_path, monkeypatch):
    """The tiny model in use, its digest known."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_THREADS", "1")
    monkeypatch.setenv("CODEBUDDY_COMPLETION_MAX_TOKENS", "8")
    return stamps.digest_of(file)


@pytest.fixture
def door():
    """A service, closed afterwards."""
    made = FrontDoor()
    yield made
    made.service.close()


def make(root, base="", name="", seed=0):
    """A repository; with a name, one whose own adapter is in use."""
    make_repository(root, FILES)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    if name:
        give(root, base, name, seed)
    return root


def give(root, base, name, seed):
    """An adapter of the repository's own, as a training leaves it."""
    folder = adapters_folder(open_repository(root))
    assert folder is not None
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    file = write_random_adapter(folder / f"{name}.gguf", seed=seed)
    card = json.loads(write_card(file, [base], 4, 8.0, {}, {}).read_text())
    own_adapters.trust(card["sha256"])
    own_adapters.use(folder, base, name)
    return file


def alone(root):
    """What a process of its own writes there, with a new prompt and with one that it has read.

    The two may differ by themselves, since weights are random and a batch of one token rounds
    otherwise than one of many.
    """
    made = FrontDoor()
    texts = {made.ask(root, None)[1] for _ in range(2)}
    made.service.close()
    return texts


def test_two_repositories_in_one_process_never_mix(base, door, tmp_path):
    """Each with its own adapter, and one without: in any order the texts are those of alone."""
    one = make(tmp_path / "one", base, "first", 1)
    two = make(tmp_path / "two", base, "second", 2)
    bare = make(tmp_path / "bare")
    names = {one: "first", two: "second", bare: None}
    expected = {root: alone(root) for root in names}
    assert len(set.union(*expected.values())) == sum(map(len, expected.values()))
    for root in (one, two, bare, two, one, one, bare, two, bare):
        told, text = door.ask(root, None)
        assert text in expected[root]
        assert (told["adapter"] or {}).get("name") == names[root]
    assert len(door.loaded) == 1


def test_switching_evaluates_one_token_again(base, door, tmp_path):
    """The prompt of both is read once: same folder name, same file, same text."""
    one = make(tmp_path / "one" / "shop", base, "first", 1)
    two = make(tmp_path / "two" / "shop", base, "second", 2)
    door.ask(one, None)
    for root in (two, one, two):
        assert door.ask(root, None)[0]["tokens"]["evaluated"] == 1


def test_work_trees_share_it_and_submodules_do_not(base, door, tmp_path):
    """Wherever the work tree lies; a submodule is a repository of its own."""
    one = make(tmp_path / "one", base, "first", 1)
    run_git(one, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    inner = make(tmp_path / "inner")
    run_git(one, "submodule", "add", "-q", str(inner), "part")
    run_git(one, "commit", "-qam", "Add a part")
    for root, expected in (
        (one, "first"),
        (tmp_path / "tree", "first"),
        (one / "part", None),
        (inner, None),
    ):
        told = door.ask(root, None)[0]["adapter"]
        assert (told and told["name"]) == expected


def test_a_new_adapter_makes_kept_suggestions_stale(base, door, tmp_path):
    """What a suggestion was made from holds the adapter's files."""
    root = make(tmp_path / "one", base, "first", 1)
    told, _ = door.ask(root, None, priority="typing")
    files = {file for file, _ in told["depends_on"]}
    assert any(file.endswith("/adapters/first.gguf") for file in files)
    assert any(file.endswith("/adapters/use.state") for file in files)


def test_doctor_and_the_setting_know_it(base, door, tmp_path, monkeypatch):
    """`doctor` names it where it writes; `shipped` and `none` are without it."""
    root = make(tmp_path / "one", base, "first", 1)
    for word in ("shipped", "none"):
        assert door.ask(root, word)[0]["adapter"] is None
    monkeypatch.chdir(root)
    assert str(diagnose()["model"]["adapter"]).startswith("first, rank 4, SHA-256 ")


@pytest.mark.process
@pytest.mark.usefixtures("engine")
def test_the_engine_says_which_one_wrote(base, tmp_path):
    """In the receipt and in its status; the next repository's request is the base's again."""
    one = make(tmp_path / "one", base, "first", 1)
    bare = make(tmp_path / "bare")
    for root, expected in ((one, "first"), (bare, None), (one, "first")):
        arguments = ("complete", "cart.py:2", "--retrieve", "never", "--json")
        told = json_of(codebuddy(root, *arguments))
        assert (told["adapter"] and told["adapter"]["name"]) == expected
        assert json_of(codebuddy(root, "engine", "status", "--json"))["adapter"] == expected
