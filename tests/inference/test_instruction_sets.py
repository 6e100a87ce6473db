"""A build of llama.cpp for another processor is refused in a sentence, before any of it runs."""

from __future__ import annotations

import ctypes
import re
import subprocess

import pytest

from codebuddy import platforms
from codebuddy.errors import ModelError
from codebuddy.inference import llama_library
from codebuddy.inference.instruction_sets import check_processor, missing_sets, processor_flags

CPU_INFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
flags\t\t: fpu ssse3 avx avx2 fma f16c bmi2
bugs\t\t: some
"""


def _ggml() -> object:
    llama_library.load_library()
    from llama_cpp import _ggml

    return _ggml.libggml


def test_the_flags_are_read_from_the_first_processor(tmp_path):
    """As Linux writes them."""
    file = tmp_path / "cpuinfo"
    file.write_text(CPU_INFO)
    flags = {"fpu", "ssse3", "avx", "avx2", "fma", "f16c", "bmi2"}
    assert processor_flags(file) == frozenset(flags)


@pytest.mark.parametrize("text", ["", "Features\t: fp asimd\n", "\0\xff"])
def test_where_nothing_is_said_nothing_is_refused(tmp_path, text):
    """Other processors and other systems have no such line."""
    file = tmp_path / "cpuinfo"
    file.write_text(text, encoding="latin-1")
    assert processor_flags(file) is None
    assert processor_flags(tmp_path / "none") is None
    assert missing_sets(_ggml(), None) == []


def test_this_build_fits_this_processor():
    """It was compiled here."""
    assert missing_sets(_ggml(), processor_flags()) == []


def test_a_library_that_chooses_as_it_starts_fits():
    """It has no functions that say what it was compiled for."""
    assert missing_sets(ctypes.CDLL(None), frozenset()) == []


@pytest.mark.skipif(processor_flags() is None, reason="the system names no instruction sets")
def test_a_build_for_another_processor_is_refused_by_what_is_missing():
    """The real library, asked on a processor of twenty years ago."""
    with pytest.raises(ModelError, match=r"another processor: this one has no .*avx2") as error:
        check_processor(_ggml(), frozenset({"fpu", "sse"}))
    assert "make setup" in error.value.hint


@pytest.mark.process
@pytest.mark.skipif(processor_flags() is None, reason="the system names no instruction sets")
def test_doctor_says_so_and_goes_on(tmp_path):
    """The whole report, with the remedy, where loading the library would have ended it."""
    (tmp_path / "cpuinfo").write_text(CPU_INFO.replace("avx2", ""))
    program = (
        "import sys, pathlib\n"
        "from codebuddy.inference import instruction_sets, llama_library\n"
        f"flags = instruction_sets.processor_flags(pathlib.Path({str(tmp_path / 'cpuinfo')!r}))\n"
        "llama_library.processor_flags = lambda: flags\n"
        "from codebuddy.cli import main\n"
        "sys.argv = ['codebuddy', 'doctor']\n"
        "main()\n"
    )
    script = tmp_path / "doctor.py"
    script.write_text(program)
    done = subprocess.run(
        platforms.python_command(script),
        env=platforms.child_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = re.search(r"compiled for another processor: this one has no (.*)", done.stdout)
    assert said is not None, done.stdout
    assert "avx2" in said[1].split(", ")
    assert "make setup, in the checkout, compiles it for this one" in done.stdout
