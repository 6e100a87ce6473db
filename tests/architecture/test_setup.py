"""The set-up's build of llama.cpp: which compiler, and which wheel is taken for which.

Compiling it takes minutes: a stand-in plays pip, and writes down what it is asked. The compilers
are real.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from codebuddy.inference.instruction_sets import processor_flags

ROOT = Path(__file__).parents[2]
PROBE = ROOT / ".ci" / "amx_product.cpp"

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the script is Linux's"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="nothing compiles here"),
]

# Plays the environment's Python: `-c` of the script, and pip.
PYTHON = """\
#!/usr/bin/env bash
case "$*" in
    *sys.prefix*) echo "$STAND_IN/prefix" ;;
    *RECORD*) cat "$STAND_IN/record" ;;
    *supports_gpu*) [ -e "$STAND_IN/gpu" ] ;;
    *llama_backend_init*) [ ! -e "$STAND_IN/broken" ] && [ -e "$STAND_IN/complete" ] ;;
    *"cache dir"*) echo "$STAND_IN/cache" ;;
    *" wheel "*)
        while [ "$1" != -w ]; do shift; done
        mkdir -p "$2" && echo "$CXX $CMAKE_ARGS" >"$2/llama_cpp_python-0-py3-none-any.whl"
        echo "compiled with $CXX $CMAKE_ARGS" >>"$STAND_IN/asked"
        rm -f "$STAND_IN/broken" ;;
    *" install "*--no-deps*) date +%N >"$STAND_IN/record"
        echo "installed $(cat "${@: -1}")" >>"$STAND_IN/asked" ;;
    *" install "*) touch "$STAND_IN/complete" ;;
    *) exit 1 ;;
esac
"""


class SetUp:
    """`.ci/llama` with an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "prefix").mkdir()
        self._write("python", PYTHON)

    def compiler(self, version: str) -> str:
        """The system's compiler under another version."""
        body = f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\nexec c++ "$@"\n'
        return self._write(f"c++-{version}", body)

    def run(self, **variables: str) -> list[str]:
        """What pip was asked for by one call."""
        asked = self.folder / "asked"
        asked.write_text("")
        kept = {k: v for k, v in os.environ.items() if k not in ("CMAKE_ARGS", "CC", "CXX")}
        subprocess.run(
            ["bash", str(ROOT / ".ci" / "llama"), str(self.folder / "python")],
            env=kept | {"STAND_IN": str(self.folder)} | variables,
            check=True,
            capture_output=True,
            timeout=300,
        )
        return asked.read_text().splitlines()

    @property
    def wheels(self) -> list[Path]:
        """What is kept."""
        return sorted((self.folder / "cache" / "codebuddy").iterdir())

    def _write(self, name: str, text: str) -> str:
        file = self.folder / name
        file.write_text(text)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return str(file)


@pytest.fixture
def set_up(tmp_path: Path) -> SetUp:
    """Nothing is installed and nothing kept."""
    return SetUp(tmp_path)


def test_it_is_compiled_once_and_then_left_alone(set_up):
    """A second call of the same environment asks pip for nothing; a new environment installs."""
    one = set_up.compiler("one")
    default = "-DLLAVA_BUILD=OFF"
    assert set_up.run(CXX=one) == [
        f"compiled with {one} {default}",
        f"installed {one} {default}",
    ]
    assert set_up.run(CXX=one) == []
    (set_up.folder / "prefix" / ".llama-wheel").unlink()
    assert set_up.run(CXX=one) == [f"installed {one} {default}"]


def test_another_compiler_or_other_flags_mean_another_wheel(set_up):
    """Neither is taken in place of the other, and both stay."""
    one, two = set_up.compiler("one"), set_up.compiler("two")
    set_up.run(CXX=one)
    assert set_up.run(CXX=two)[0].startswith(f"compiled with {two}")
    assert set_up.run(CXX=two, CXXFLAGS="-mno-avx2")[0].startswith("compiled with")
    assert set_up.run(CXX=one) == [f"installed {one} -DLLAVA_BUILD=OFF"]
    assert len(set_up.wheels) == 3


def test_what_cmake_was_told_is_remembered(set_up):
    """A later set-up, which is told nothing, keeps a build for a GPU."""
    one = set_up.compiler("one")
    wanted = "-DGGML_CUDA=on"
    assert set_up.run(CXX=one, CMAKE_ARGS=wanted)[0] == f"compiled with {one} {wanted}"
    assert set_up.run(CXX=one) == []
    two = set_up.compiler("two")
    assert set_up.run(CXX=two)[0] == f"compiled with {two} {wanted}"


def test_a_kept_wheel_that_cannot_be_loaded_is_compiled_anew(set_up):
    """As when a library of its compiler was removed."""
    one = set_up.compiler("one")
    set_up.run(CXX=one)
    (set_up.folder / "broken").touch()
    installed, compiled, again = set_up.run(CXX=one)
    assert installed.startswith("installed")
    assert compiled.startswith("compiled with")
    assert again.startswith("installed")


def test_what_was_installed_by_hand_is_left_alone(set_up):
    """A build for a GPU in the place of ours, or one from before there was a note."""
    set_up.run(CXX=set_up.compiler("one"))
    (set_up.folder / "record").write_text("by hand")
    assert set_up.run(CXX=set_up.compiler("two")) == []
    (set_up.folder / "prefix" / ".llama-wheel").unlink()
    (set_up.folder / "gpu").touch()
    assert set_up.run(CXX=set_up.compiler("two")) == []
    (set_up.folder / "gpu").unlink()
    assert set_up.run(CXX=set_up.compiler("two"))[0].startswith("compiled with")


def test_a_few_wheels_are_kept(set_up):
    """The last four: each has 20 MB."""
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        set_up.run(CXX=set_up.compiler(name))
    kept = [next(each.iterdir()).read_text().split()[0][-1] for each in set_up.wheels]
    assert sorted(kept) == names[1:]


def test_without_a_wish_the_compiler_works_here(set_up):
    """Chosen among those that are there, after a trial."""
    [compiled, _] = set_up.run()
    chosen = compiled.split()[2]
    assert shutil.which(chosen)


@pytest.mark.skipif(
    not {"amx_int8", "avx512_vnni"} <= (processor_flags() or set()), reason="there is no AMX here"
)
@pytest.mark.parametrize(
    ("compiler", "is_right"), [("g++-12", False), ("clang++-19", True), ("clang++-20", True)]
)
def test_the_trial_tells_a_compiler_that_builds_amx_wrong(compiler, is_right, tmp_path):
    """GCC 12 is the known bad one."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not here")
    program = tmp_path / "product"
    flags = ["-O3", "-fPIC", "-march=native", "-fopenmp"]
    subprocess.run([compiler, *flags, str(PROBE), "-o", str(program)], check=True, timeout=120)
    done = subprocess.run([str(program)], timeout=60)
    assert (done.returncode == 0) is is_right
