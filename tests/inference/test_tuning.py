"""How a model runs best: measured with real weights, kept for one machine, applied there alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from codebuddy import paths
from codebuddy.cancellation import CancellationToken
from codebuddy.errors import EngineError, GenerationError, SupersededError
from codebuddy.inference import machine, tuning, tuning_run
from codebuddy.inference.llama import LlamaGenerator
from codebuddy.inference.run_options import RunOptions
from codebuddy.inference.tuner import Tuner
from codebuddy.inference.tuning import Tuning
from codebuddy.service.models import ModelCache
from codebuddy.settings import EngineSettings, ModelSettings, Settings
from tests.conftest import SMALL_MODEL
from tests.support.engine import wait_until

OPTIONS = RunOptions(threads=1, batch_tokens=64, gpu_layers=0)
FOUND = Tuning(OPTIONS, is_finished=True, ratio=1.2, seconds=10.0)
SETTINGS = ModelSettings(n_ctx=512)
IDENTITY = {"model": "abc", "machine": {"cores": 4}}


def wish(seconds: float = 8.0, **changes: bool) -> tuning_run.Wish:
    """Measuring of the small model, on a machine that tests keep busy."""
    return tuning_run.Wish(SMALL_MODEL, "small", SETTINGS, seconds=seconds, **changes)


def program(folder: Path, body: str) -> list[str]:
    """A program in the place of the one that measures; `n` counts its starts."""
    script = folder / "measure.py"
    script.write_text(
        "import json, os, pathlib, signal, sys, time\n"
        "task = json.loads(sys.stdin.readline())\n"
        f"count = pathlib.Path({str(folder / 'count')!r})\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(n))\n"
        "def say(**m): print(json.dumps(m), flush=True)\n"
        f"{body}\n"
    )
    return [sys.executable, str(script)]


def test_what_was_found_is_kept_for_exactly_one_machine(tmp_path):
    """A copied home folder or a container with fewer cores finds none, and is told so."""
    file = tmp_path / "tuning.json"
    tuning.keep(IDENTITY, FOUND, file)
    assert tuning.find(IDENTITY, file) == FOUND
    fewer = {**IDENTITY, "machine": {"cores": 2}}
    assert tuning.find(fewer, file) is None
    assert tuning.has_other(fewer, file)
    assert not tuning.has_other({**IDENTITY, "model": "another"}, file)
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\xff",
        b"[]",
        b'{"x": 1}',
        b"[" * 100_000,
        b'{"x": {"model": 1e999}}',
    ],
)
def test_a_damaged_file_is_like_none(tmp_path, content):
    """And is written anew by the next measuring."""
    file = tmp_path / "tuning.json"
    file.write_bytes(content)
    assert tuning.find(IDENTITY, file) is None
    tuning.keep(IDENTITY, FOUND, file)
    assert tuning.find(IDENTITY, file) == FOUND


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("options", {"threads": 1}),
        ("options", {**OPTIONS.to_json(), "threads": 0}),
        ("options", {**OPTIONS.to_json(), "threads": True}),
        ("options", {**OPTIONS.to_json(), "batch_tokens": 10**9}),
        ("options", {**OPTIONS.to_json(), "batch_tokens": 4}),
        ("ratio", -1),
        ("ratio", "fast"),
        ("seconds", None),
        ("tried", {}),
        ("is_finished", 1),
    ],
)
def test_an_entry_that_makes_no_sense_is_not_used(tmp_path, key, value):
    """Each part is checked, since the file may have been written by anybody."""
    file = tmp_path / "tuning.json"
    tuning.keep(IDENTITY, FOUND, file)
    content = json.loads(file.read_text())
    [entry] = content.values()
    entry["tuning"][key] = value
    file.write_text(json.dumps(content))
    assert tuning.find(IDENTITY, file) is None


def test_full_load_and_battery_are_no_time_to_measure():
    """Each is said; else nothing is."""
    assert machine.why_not_now(0.1, on_battery=False) == ""
    assert "battery" in machine.why_not_now(0.1, on_battery=True)
    assert "busy (90%)" in machine.why_not_now(0.9, on_battery=False)


@pytest.mark.model
def test_a_request_ends_the_look_at_the_machine(monkeypatch):
    """However long that look is to take."""
    monkeypatch.setattr(machine, "_LOOK_S", 1e6)
    token = CancellationToken()
    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(SupersededError):
        tuning_run.tune(wish(), token)


@pytest.mark.model
def test_on_battery_nobody_looks_how_busy_the_machine_is(monkeypatch):
    """It is refused without that look, which would never end here."""
    monkeypatch.setattr(machine, "_LOOK_S", 1e6)
    monkeypatch.setattr(machine, "is_on_battery", lambda: True)
    with pytest.raises(EngineError, match="runs on battery"):
        tuning_run.tune(wish(), CancellationToken())


def test_the_limit_of_a_container_is_read(tmp_path):
    """Of the group itself and of those around it the least; none where nothing is limited."""
    own, inner = tmp_path / "own", tmp_path / "groups" / "outer" / "inner"
    inner.mkdir(parents=True)
    own.write_text("0::/outer/inner\n")
    assert machine.allowed_cores(tmp_path / "groups", own) is None
    (inner / "cpu.max").write_text("max 100000\n")
    assert machine.allowed_cores(tmp_path / "groups", own) is None
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert machine.allowed_cores(tmp_path / "groups", own) == 1.5
    (inner / "cpu.max").write_text("50000 100000\n")
    assert machine.allowed_cores(tmp_path / "groups", own) == 0.5


@pytest.mark.model
@pytest.mark.process
@pytest.mark.slow
def test_it_is_refused_under_full_load_and_nothing_is_kept():
    """Other programs keep every core busy."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(psutil.cpu_count() or 1)
    ]
    try:
        with pytest.raises(EngineError, match="no time to measure: other programs"):
            tuning_run.tune(wish(), CancellationToken())
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert not paths.tuning_file().exists()


@pytest.mark.model
@pytest.mark.process
@pytest.mark.slow
def test_real_weights_are_measured_and_run_so_from_then_on():
    """Options that a model can be loaded with; the text is the same, or it says so."""
    steps: list[dict[str, object]] = []
    found, is_new = tuning_run.tune(wish(is_forced=True), CancellationToken(), steps.append)
    assert is_new
    assert found.is_finished
    assert found.ratio >= 0.98
    assert found.texts["changed"] == 0 or "other texts" in found.note
    assert {step["type"] for step in steps} <= {"trying", "step", "crashed"}
    assert [step["option"] for step in found.tried]
    options, told = tuning_run.apply(SMALL_MODEL, SETTINGS)
    assert options == found.options
    assert told["state"] == "tuned"
    # A second call measures nothing.
    assert tuning_run.tune(wish(), CancellationToken()) == (found, False)


class _LateTuner(Tuner):
    """One whose first step takes all the time; batches of 16 tokens are what holds untuned."""

    def __init__(self) -> None:
        task = {"path": SMALL_MODEL, "settings": asdict(SETTINGS), "crashed": True}
        super().__init__({**task, "is_busy": True, "seconds": 1e6}, lambda _: None)
        self.usual = replace(self.usual, batch_tokens=16)

    def _options(self) -> Any:
        yield "larger batches", lambda best: replace(best, batch_tokens=128)
        yield "no flash attention", lambda best: replace(best, may_flash=False)

    def _step(self, *arguments: Any) -> Any:
        better = super()._step(*arguments)
        self._started -= 1e6
        return better


@pytest.mark.model
@pytest.mark.slow
def test_what_won_is_compared_again_though_the_steps_took_all_the_time(monkeypatch):
    """A busy machine loads weights slowly: half as much again is no reason to give it up."""
    monkeypatch.setattr("codebuddy.inference.tuner._PROMPT_TOKENS", 128)
    monkeypatch.setattr("codebuddy.inference.tuner._RUN_S", 1e6)
    found = _LateTuner().run()
    assert [step["is_kept"] for step in found["tried"]] == [True, False]
    assert found["tried"][1]["note"] == "no time was left"
    assert found["options"]["batch_tokens"] == 128
    assert found["ratio"] >= 0.98


@pytest.mark.model
@pytest.mark.process
@pytest.mark.slow
def test_a_request_ends_it_at_once_and_leaves_nothing_behind():
    """No process, and no file."""
    token, me = CancellationToken(), psutil.Process()
    timer = threading.Timer(2.5, token.cancel)
    timer.start()
    with pytest.raises(SupersededError):
        tuning_run.tune(wish(60.0, is_forced=True), token)
    assert wait_until(lambda: not me.children())
    assert not paths.tuning_file().exists()


@pytest.mark.model
@pytest.mark.process
@pytest.mark.slow
def test_a_build_that_crashes_with_rearranged_weights_is_remembered(tmp_path):
    """The program is ended by a signal, runs again without, and is never tried so again."""
    body = (
        "if not task['crashed']:\n"
        "    say(type='trying', option='rearranged weights')\n"
        "    os.kill(os.getpid(), signal.SIGILL)\n"
        f"say(type='result', tuning={replace(FOUND, crashed=True).to_json()!r})\n"
    )
    command = program(tmp_path, body)
    found, _ = tuning_run.tune(wish(is_forced=True), CancellationToken(), command=command)
    assert found.crashed
    assert (tmp_path / "count").read_text() == "2"
    again, _ = tuning_run.tune(wish(is_forced=True), CancellationToken(), command=command)
    assert again.crashed
    assert (tmp_path / "count").read_text() == "3"
    told = tuning_run.apply(SMALL_MODEL, SETTINGS)[1]
    assert "crashes with rearranged weights" in tuning.in_words(told)


@pytest.mark.model
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "sys.exit('no such thing')",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "print('what?', flush=True); time.sleep(60)",
        "say(type='result', tuning={})",
        "say(type='result', tuning=None)",
        "say(type='trying', option='x'); os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_a_program_that_fails_in_another_way_is_no_crash_of_the_build(tmp_path, body):
    """As when memory ran out: it is said, and nothing is remembered."""
    with pytest.raises(GenerationError):
        tuning_run.tune(wish(is_forced=True), CancellationToken(), command=program(tmp_path, body))
    assert not paths.tuning_file().exists()


@pytest.mark.model
def test_what_is_kept_holds_when_a_model_is_loaded_and_can_be_switched_off():
    """And a number of threads that a person sets wins."""
    tuning.keep(tuning.identity_of(SMALL_MODEL, SETTINGS), FOUND)
    for settings, expected, state in (
        (Settings(), OPTIONS, "tuned"),
        (Settings(engine=EngineSettings(tune="off")), None, "off"),
    ):
        model = replace(SETTINGS, name=str(SMALL_MODEL))
        models = ModelCache()
        generator = cast("LlamaGenerator", models.generator(replace(settings, model=model)))
        assert (generator.options == OPTIONS) is (expected is not None)
        assert generator.tuning["state"] == state
        models.close()
    threads = replace(SETTINGS, name=str(SMALL_MODEL), threads=2)
    models = ModelCache()
    generator = cast("LlamaGenerator", models.generator(Settings(model=threads)))
    assert generator.options.threads == 2
    assert generator.tuning["state"] == "none of this machine and build"
    models.close()


@pytest.mark.model
@pytest.mark.process
@pytest.mark.slow
def test_measuring_ends_with_the_process_that_wanted_it():
    """Nothing goes on in the background of a machine that nobody uses."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a child of its parent's end")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from codebuddy.cancellation import CancellationToken\n"
        "from codebuddy.inference import tuning_run\n"
        "from codebuddy.settings import ModelSettings\n"
        "tuning_run.tune(tuning_run.Wish(Path(sys.argv[1]), 'm', ModelSettings(n_ctx=512),"
        " is_forced=True), CancellationToken())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(SMALL_MODEL)])
    seen = psutil.Process(parent.pid)
    assert wait_until(lambda: seen.children())
    [child] = seen.children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert wait_until(lambda: not child.is_running() or child.status() == "zombie")
