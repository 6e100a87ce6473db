"""What befalls a training of a repository's adapter: a full disk, a stop, numbers that are none."""

from __future__ import annotations

import numpy as np
import pytest

from codebuddy.errors import TrainingError
from codebuddy.inference import stamps
from codebuddy.inference.gguf import read_header
from codebuddy.service.context import repository_context_of_folder
from codebuddy.service.refresh import with_index
from codebuddy.settings import TrainSettings
from codebuddy.training.own import choosing
from codebuddy.training.own.choosing import choose_files
from codebuddy.training.own.run import Options, run
from codebuddy.vcs.worktrees import adapters_folder
from tests.support.evaluation import indexed
from tests.support.index import make_repository, run_git
from tests.support.tiny_model import write_base
from tests.support.toy_repository import module_of
from tests.training.test_own_choosing import body
from tests.training.test_own_run import a_small_training as a_small_training
from tests.training.test_own_run import around_of
from tests.training.test_own_run import house as house

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore::FutureWarning")]

SECONDS = Options(0.05)


def surroundings(root, on_progress=None):
    """What a training of the folder's repository works with, and the base."""
    context = repository_context_of_folder(root, {"train.replay": 0})
    around, base = around_of(context, lambda: "", [])
    if on_progress is not None:
        object.__setattr__(around, "on_progress", on_progress)
    return context, around, base


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stop_and_a_full_disk_cost_nothing_that_is_done(house):
    """Stopped while it trains, its files torn, no room left: each time the next call goes on."""
    import resource

    def stop(progress):
        raise KeyboardInterrupt

    context, around, base = surroundings(house, stop)
    with pytest.raises(KeyboardInterrupt):
        run(around, base, SECONDS)
    folder = adapters_folder(context.repository)
    assert folder is not None
    [work] = folder.glob("unfinished-*")
    plan = (work / "plan.json").read_bytes()
    best = work / "best.state"
    best.write_bytes(best.read_bytes()[:-100])
    (work / "training.state").write_bytes(b"torn")

    context, around, base = surroundings(house)
    with_index(context, lambda index: None, should_update=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit of the system on files, which fails as a disk without room does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(TrainingError) as full:
            run(around, base, SECONDS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot keep the training in" in full.value.message
    assert "make room" in (full.value.hint or "")
    assert (work / "plan.json").read_bytes() == plan

    outcome = run(around, base, SECONDS)
    assert outcome.trained is not None
    assert outcome.trained.steps > 0
    assert not work.exists()
    [kept] = folder.glob("*.gguf")
    assert outcome.name == kept.stem


@pytest.mark.slow
def test_a_base_that_computes_no_numbers_is_said_so(house, tmp_path, monkeypatch):
    """Before anything is learned; nothing is kept."""
    file = write_base(tmp_path / "broken.gguf")
    header = read_header(file)
    [norm] = [each for each in header.tensors if each.name == "output_norm.weight"]
    content = bytearray(file.read_bytes())
    size = 4 * int(np.prod(norm.dimensions))
    begin = norm.offset
    content[begin : begin + size] = np.full(size // 4, np.nan, np.float32).tobytes()
    file.write_bytes(content)
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    context, around, base = surroundings(house)
    with pytest.raises(TrainingError, match="gives no numbers"):
        run(around, base, SECONDS)
    folder = adapters_folder(context.repository)
    assert folder is not None
    assert not list(folder.glob("*.gguf"))


@pytest.mark.slow
def test_losses_that_become_no_numbers_end_the_training(house, monkeypatch):
    """A rate that throws the weights away: one sentence, the remedy, and nothing is used."""
    monkeypatch.setattr("codebuddy.training.own.fitting.rate_for", lambda parameters: 1e30)
    context, around, base = surroundings(house)
    with pytest.raises(TrainingError) as failed:
        run(around, base, SECONDS)
    assert "came to no numbers" in failed.value.message
    assert failed.value.hint == "begin anew with --fresh"
    folder = adapters_folder(context.repository)
    assert folder is not None
    assert not list(folder.glob("*.gguf"))


def test_ten_files_of_one_commit_are_enough(tmp_path):
    """Eight to learn from and two to judge by, all of them recent."""
    root = make_repository(tmp_path / "ten", {f"m{n}.py": module_of(f"noun{n}") for n in range(10)})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    with indexed(root) as (repository, index):
        choice = choose_files(repository, index, TrainSettings())
    # Modules made by one pattern are copies of each other, of which none may judge another.
    assert len(choice.learned) + len(choice.held_out) == 10
    files: dict[str, str | bytes] = {f"m{n}.py": body(f"m{n}") for n in range(10)}
    root = make_repository(tmp_path / "own", files)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    with indexed(root) as (repository, index):
        choice = choose_files(repository, index, TrainSettings())
    assert (len(choice.learned), len(choice.held_out)) == (8, 2)
    assert choice.recent == set(files)


def test_of_a_large_repository_a_bounded_part_is_read(tmp_path, monkeypatch):
    """The files that changed last, and no text of the others; how many were left is told."""
    monkeypatch.setattr(choosing, "_MAX_FILES", 6)
    root = make_repository(tmp_path / "large", {f"m{n}.py": body(f"m{n}") for n in range(20)})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    (root / "m7.py").write_text(body("m7", 7))
    run_git(root, "commit", "-qam", "Change m7")
    read = []
    real = choosing._text_of

    def noted(path, index):
        read.append(path)
        return real(path, index)

    monkeypatch.setattr(choosing, "_text_of", noted)
    with indexed(root) as (repository, index):
        choice = choose_files(repository, index, TrainSettings())
    assert len({path for path in read if path.startswith("m")}) == 6
    assert "m7.py" in {*choice.learned, *choice.held_out}
    assert choice.left_out["beyond the first 6"] == 14
