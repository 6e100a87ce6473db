"""Runs survive kills and damage, and go on only with the very same work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.evaluation.session import EvaluationOptions, header_of, weights_of
from codebuddy.evaluation.store import begin_run, list_runs, load_run, runs_folder
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.evaluation import make_shop

HEADER = {
    "commit": "c",
    "model": "echo",
    "settings": {},
    "seed": 0,
    "kinds": ["line"],
    "arms": ["never"],
    "holes": "h",
    "program": "p",
    "mode": "completion",
    "planned": 3,
}


@pytest.fixture
def shop(tmp_path):
    """A repository without runs."""
    return open_repository(make_shop(tmp_path / "r"))


def _file(shop, run):
    return runs_folder(shop) / f"{run.name}.jsonl"


def test_a_run_goes_on_where_it_stopped(shop):
    """Finished tasks are there again; a finished run is not begun again."""
    first = begin_run(shop, HEADER)
    first.add({"id": "a", "value": 1})
    again = begin_run(shop, HEADER)
    assert again.run.name == first.run.name
    assert again.run.tasks == {"a": {"id": "a", "value": 1}}
    again.add({"id": "b"})
    again.add({"id": "c"})
    assert load_run(shop, first.run.name).is_finished
    assert begin_run(shop, HEADER).run.name != first.run.name


@pytest.mark.parametrize("key", ["commit", "model", "seed", "holes", "program", "settings"])
def test_other_work_is_another_run(shop, key):
    """A run of another commit, model, seed, set of holes, program or setting is not mixed in."""
    first = begin_run(shop, HEADER)
    other = begin_run(shop, {**HEADER, key: "other"})
    assert other.run.name != first.run.name
    assert other.run.tasks == {}


def test_another_adapter_or_head_is_another_run(shop):
    """A run goes on with what it was written by; one that does not say it goes on with any."""
    unsaid = begin_run(shop, HEADER)
    said = HEADER | {"adapter": {"name": "a", "sha256": "1"}, "head": "default"}
    assert begin_run(shop, said).run.name == unsaid.run.name
    for number in range(3):
        unsaid.add({"id": str(number)})
    first = begin_run(shop, said)
    assert begin_run(shop, said).run.name == first.run.name
    others = [
        said | {"adapter": None},
        said | {"adapter": {"name": "a", "sha256": "2"}},
        said | {"head": "own"},
    ]
    assert len({begin_run(shop, each).run.name for each in others} | {first.run.name}) == 4


def test_another_file_of_the_same_name_is_another_run(shop):
    """Weights count by their digest; a run that says none goes on with any, as with an adapter."""
    first = begin_run(shop, HEADER | {"weights": "1"})
    assert begin_run(shop, HEADER | {"weights": "1"}).run.name == first.run.name
    assert begin_run(shop, HEADER | {"weights": "2"}).run.name != first.run.name


def test_a_run_says_the_digest_of_the_weights(shop):
    """Of a model of this machine; the echo has none."""
    model = SimpleNamespace(digest="a" * 64)
    options = EvaluationOptions(["call"])
    for generator, expected in ((model, "a" * 64), (EchoGenerator(), "")):
        weights = weights_of(generator)
        header = header_of(shop, "m", Settings(), options, [], None, weights)
        assert header["weights"] == expected


def test_a_cut_off_line_is_dropped_and_its_task_done_again(shop):
    """Whatever byte a kill stopped at, the whole lines count and the file can be written on."""
    first = begin_run(shop, HEADER)
    first.add({"id": "a"})
    first.add({"id": "b"})
    file = _file(shop, first.run)
    content = file.read_bytes()
    begun = content.index(b"\n") + 1
    for size in range(begun, len(content)):
        file.write_bytes(content[:size])
        again = begin_run(shop, HEADER)
        assert again.run.name == first.run.name
        again.add({"id": "z"})
        done = set(load_run(shop, first.run.name).tasks)
        whole = content[:size].count(b"}\n") - 1 + content[:size].endswith(b"}")
        assert done == {"z", *["a", "b"][:whole]}


def test_damaged_lines_are_counted_and_passed_over(shop):
    """Junk between the tasks costs nothing but itself."""
    first = begin_run(shop, HEADER)
    first.add({"id": "a"})
    with _file(shop, first.run).open("ab") as stream:
        stream.write(b'\xff\xfe junk\n[1]\n{"type": "task"}\n' + b"[" * 100_000 + b"\n")
    first.add({"id": "b"})
    run = load_run(shop, first.run.name)
    assert (set(run.tasks), run.n_damaged) == ({"a", "b"}, 4)


def test_a_damaged_first_line_is_told(shop):
    """A file without its first line is no run: it is named when asked for, else passed over."""
    first = begin_run(shop, HEADER)
    _file(shop, first.run).write_bytes(b"\x00\x01\x02\n")
    with pytest.raises(UsageError, match="damaged"):
        load_run(shop, first.run.name)
    assert list_runs(shop) == []


def test_runs_are_found_by_name_beginning_and_last(shop):
    """The latest run is `last`; a beginning must say which one is meant."""
    first = begin_run(shop, HEADER)
    second = begin_run(shop, {**HEADER, "seed": 1})
    assert {run.name for run in list_runs(shop)} == {first.run.name, second.run.name}
    assert load_run(shop, "last").name in {first.run.name, second.run.name}
    with pytest.raises(UsageError, match="several runs"):
        load_run(shop, first.run.name[:4])
    for name in ("nothing", "../../etc/passwd", "", "a" * 5000, "\x1b[31m"):
        if name:
            with pytest.raises(UsageError, match="there is no run"):
                load_run(shop, name)


def test_a_folder_that_cannot_be_written_is_told(shop):
    """Where a file stands in the place of the folder, one sentence names it."""
    shop.index_folder.mkdir(parents=True, exist_ok=True)
    runs_folder(shop).write_text("in the way")
    with pytest.raises(CodebuddyError, match="eval"):
        begin_run(shop, HEADER)
    assert list_runs(shop) == []
