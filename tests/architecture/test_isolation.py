"""No code of a repository runs in codebuddy's processes, whatever the environment says."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy import isolation, platforms
from codebuddy.hook import stub
from codebuddy.isolation import clean_environment, dropped_entries

PACKAGE = Path(__file__).parents[2] / "codebuddy"
PACKAGE_PARENT = str(PACKAGE.parent)
# Modules that codebuddy or a library of its imports, and that Python does not before it.
NAMES = """json tomllib typing dataclasses click re numpy git sqlite3 asyncio platformdirs textual
tree_sitter llama_cpp subprocess logging tempfile pickle psutil rich safetensors""".split()
# Programs that a careless look-up in PATH would find.
PROGRAMS = (
    "git sh python python3 nvidia-smi llama-server ollama pip tmux ldconfig gcc sleep".split()
)


class Trap:
    """A repository that leaves a line in `ran` for each of its files that anybody runs."""

    def __init__(self, folder: Path) -> None:
        self.ran = folder / "ran"
        self.root = folder / "trap"
        (self.root / "codebuddy").mkdir(parents=True)
        for name in NAMES:
            (self.root / f"{name}.py").write_text(self._python(name))
        for program in PROGRAMS:
            file = self.root / program
            file.write_text(f"#!/bin/sh\necho {program} >>'{self.ran}'\n")
            file.chmod(0o755)
        git = shutil.which("git")
        assert git is not None
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run([git, "-C", str(self.root), *arguments], check=True)
        (self.root / "new.py").write_text("def f():\n    breakpoint()\n")
        subprocess.run([git, "-C", str(self.root), "add", "new.py"], check=True)

    def _python(self, name: str) -> str:
        # The system's own calls: the trap must not need what it stands in for.
        return (
            "import os\n"
            f"f = os.open({str(self.ran)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
            f"os.write(f, b'{name}\\n')\n"
            "raise ImportError('planted')\n"
        )

    def plant(self, name: str) -> None:
        """One more module, that Python itself imports as it starts."""
        (self.root / f"{name}.py").write_text(self._python(name))

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the repository's root."""
        return subprocess.run(
            command,
            cwd=self.root,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=120,
        )

    @property
    def told(self) -> str:
        """What ran."""
        return self.ran.read_text() if self.ran.exists() else ""


@pytest.fixture
def trap(tmp_path) -> Trap:
    return Trap(tmp_path)


UNSAFE = {
    "PYTHONPATH": f":{PACKAGE_PARENT}",
    "PATH": f".:{os.environ['PATH']}:",
    "LD_LIBRARY_PATH": "/usr/lib::.",
    "GGML_BACKEND_PATH": "x.so",
    "LLAMA_CPP_LIB_PATH": ".",
    "PIP_CONFIG_FILE": "pip.conf",
    "XDG_DATA_HOME": ".",
}


@pytest.mark.process
def test_the_trap_itself_works(trap):
    """Both roads are open to a Python program that does not care."""
    trap.run(sys.executable, "-c", "import tomllib", PYTHONPATH=":/x")
    trap.run("/bin/sh", "-c", "git --version", PATH=UNSAFE["PATH"])
    assert trap.told.split() == ["tomllib", "git"]


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "f"],
        ["index", "--jobs", "2"],
        ["hook", "run", "--staged", "--json"],
        ["hook", "run", "--from-git", "pre-commit"],
        ["hook", "install"],
        ["complete", "new.py:2", "--model", "echo"],
        ["models", "list"],
        ["doctor"],
    ],
    ids=lambda arguments: "_".join(arguments[:2]),
)
def test_no_command_runs_what_lies_in_the_repository(trap, arguments):
    """`python -m codebuddy` in a repository's root, with every variable unsafe."""
    done = trap.run(sys.executable, "-m", "codebuddy", *arguments, **UNSAFE)
    assert (done.returncode, trap.told) == (0, ""), done.stderr


@pytest.mark.process
def test_dash_m_alone_puts_the_repository_on_no_module_path(trap):
    """The common start, with nothing wrong in the environment."""
    done = trap.run(sys.executable, "-m", "codebuddy", "search", "f", PYTHONPATH=PACKAGE_PARENT)
    assert (done.returncode, trap.told) == (0, ""), done.stderr


def test_the_engine_and_its_workers_run_nothing_of_the_repository(trap, engine):
    """The engine is started from the repository, and completes and searches there."""
    for arguments in (["search", "f"], ["complete", "new.py:2", "--model", "echo"]):
        done = trap.run(sys.executable, "-m", "codebuddy", *arguments, **UNSAFE)
        assert (done.returncode, trap.told) == (0, ""), done.stderr
    status = trap.run(sys.executable, "-m", "codebuddy", "engine", "status", "--json", **UNSAFE)
    assert '"running": true' in status.stdout


_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
_OUTLINE = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "outline"}}


@pytest.mark.process
@pytest.mark.parametrize(
    "front_door",
    [
        ["lsp", "--model", "echo"],
        ["serve", "--port", "0", "--model", "echo"],
        ["mcp"],
        ["mcp", "--http", "0"],
    ],
    ids=" ".join,
)
def test_servers_of_editors_run_nothing_of_the_repository(trap, front_door):
    """Started with the repository as the working folder, until their input ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "codebuddy", *front_door],
        cwd=trap.root,
        env={**os.environ, **UNSAFE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if front_door == ["mcp"]:
            process.stdin.write(b"%s\n" % json.dumps(_HELLO).encode())
            process.stdin.flush()
            assert b'"id":1' in process.stdout.readline()
            process.stdin.write(b"%s\n" % json.dumps(_OUTLINE).encode())
            process.stdin.flush()
        if front_door[0] == "lsp":
            request = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}'
            process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(request), request))
            process.stdin.flush()
        assert process.stdout.readline()
        # What the loader of libraries goes by is what the process was started with.
        started_with = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        process.kill()
    assert b"LD_LIBRARY_PATH=/usr/lib" in started_with
    assert trap.told == ""


@pytest.mark.process
def test_children_of_the_tui_run_nothing_of_the_repository(trap, monkeypatch):
    """The index's update and the review, whose working folder is the repository."""
    from codebuddy.tui.backend import run_index_update
    from codebuddy.tui.staged_review import review_staged

    monkeypatch.chdir(trap.root)
    for name, value in UNSAFE.items():
        monkeypatch.setenv(name, value)
    assert asyncio.run(run_index_update(trap.root, lambda _: None))
    assert [each.path for each in asyncio.run(review_staged(trap.root))] == ["new.py"]
    assert trap.told == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYTHONPATH", ":/x"),
        ("PYTHONPATH", "/x:"),
        ("PYTHONPATH", "/x::/y"),
        ("PYTHONPATH", "."),
        ("PYTHONPATH", "/x:../trap"),
        ("PATH", f".:{os.environ['PATH']}"),
        ("PATH", f"{os.environ['PATH']}:"),
        ("PATH", f"./bin::{os.environ['PATH']}"),
        ("LD_LIBRARY_PATH", ":/x"),
        ("PYTHONUSERBASE", "."),
        ("PYTHONHOME", "."),
        ("HOME", "."),
    ],
)
def test_a_commit_runs_nothing_of_the_repository(trap, monkeypatch, variable, value):
    """The hook's script runs in the root; Python itself would import some of these first."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "30000")
    assert trap.run(sys.executable, "-P", "-m", "codebuddy", "hook", "install").returncode == 0
    trap.run(sys.executable, "-P", "-m", "codebuddy", "index")
    for name in ("sitecustomize", "usercustomize", "encodings", "codecs", "importlib"):
        trap.plant(name)
    packages = f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for folder in (packages, packages.removeprefix(".local/")):
        (trap.root / folder).mkdir(parents=True)
        (trap.root / folder / "x.pth").write_text(
            f"import os; os.close(os.open({str(trap.ran)!r}, os.O_CREAT))\n"
        )
    git = shutil.which("git")
    assert git is not None
    done = trap.run(
        git, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-m", "y", **{variable: value}
    )
    assert done.returncode == 0, done.stderr
    assert not trap.ran.exists()
    # It did review, so that what is not run is not merely not reached.
    assert "CB108" in done.stdout + done.stderr


@pytest.mark.process
def test_the_hook_that_was_there_gets_the_environment_as_it_was(trap):
    """The clean lists are codebuddy's own: another's hook decides as it always did."""
    hook = trap.root / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nprintf '%s' \"$PYTHONPATH\" >'{trap.root}/seen'\n")
    hook.chmod(0o755)
    trap.run(sys.executable, "-P", "-m", "codebuddy", "hook", "install")
    git = shutil.which("git")
    assert git is not None
    trap.run(
        git, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-m", "y", PYTHONPATH=":/x"
    )
    assert (trap.root / "seen").read_text() == ":/x"
    assert trap.told == ""


@pytest.mark.process
def test_the_script_keeps_absolute_entries(tmp_path):
    """What the script hands to Python is what `clean_environment` would."""
    shown = tmp_path / "python"
    shown.write_text(f"#!/bin/sh\nenv >'{tmp_path}/seen'\n")
    shown.chmod(0o755)
    root = tmp_path / "r"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    script = root / ".git" / "hooks" / "pre-commit"
    script.parent.mkdir(exist_ok=True)
    script.write_text(stub.script("pre-commit", shown, 5))
    script.chmod(0o755)
    given_ = {
        "PATH": f".:{os.environ['PATH']}::bin",
        "PYTHONPATH": ":/a b:c:/d:*",
        "LD_LIBRARY_PATH": "/e:",
        "PYTHONHOME": "/f:g",
        "PYTHONUSERBASE": "/h",
        "HOME": "x",
    }
    subprocess.run([str(script)], cwd=root, env=given_, check=True)
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    wanted = clean_environment(given_)
    assert {name: seen.get(name) for name in given_} == {n: wanted.get(n) for n in given_}


def test_a_clean_environment_keeps_what_is_absolute():
    """Absolute entries, names of libraries and the loader's own words stay as they are."""
    kept = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "/a:/b",
        "LD_LIBRARY_PATH": "/usr/lib:$ORIGIN/../lib",
        "LD_PRELOAD": "libjemalloc.so.2 /usr/lib/x.so",
        "PYTHONHOME": "/a:/b",
        "HOME": "/root",
        "PYTHONUNBUFFERED": "1",
        "OTHER": "relative/path",
        "EMPTY": "",
    }
    assert clean_environment(kept) == kept
    assert clean_environment({"PYTHONPATH": "", "LD_LIBRARY_PATH": ""}) == {
        "PYTHONPATH": "",
        "LD_LIBRARY_PATH": "",
    }
    assert clean_environment({"PATH": ""}) == {"PATH": os.defpath}
    assert clean_environment({"LD_PRELOAD": "./x.so libm.so.6", "PYTHONHOME": "/a:"}) == {
        "LD_PRELOAD": "libm.so.6"
    }
    assert dropped_entries({"PATH": "/a::b", "HOME": "."}) == {"PATH": ["", "b"], "HOME": ["."]}


_ENTRIES = st.lists(st.sampled_from(["", ".", "/a", "b/c", "~/d", "/e f", "..", "a;b"]), max_size=5)


@given(st.dictionaries(st.sampled_from([*isolation.LISTS, "HOME", "PYTHONHOME"]), _ENTRIES))
def test_cleaning_twice_is_cleaning_once(lists):
    """So a program that starts itself again with what is clean does not do so for ever."""
    environment = {name: os.pathsep.join(entries) for name, entries in lists.items()}
    once = clean_environment(environment)
    assert clean_environment(once) == once
    assert dropped_entries(once) == {}


@pytest.mark.process
def test_users_own_absolute_entries_go_on_working(tmp_path):
    """A module of an absolute entry is found by children, and by codebuddy itself."""
    (tmp_path / "mine.py").write_text("print('mine')\n")
    done = subprocess.run(
        platforms.python_command("mine"),
        env={**platforms.child_environment(), "PYTHONPATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "mine\n"


@pytest.mark.process
def test_a_process_of_somebody_else_is_left_alone(tmp_path):
    """A program that uses the package keeps its module path and its environment."""
    (tmp_path / "prog.py").write_text(
        "import os, sys; before = list(sys.path), dict(os.environ)\n"
        "import codebuddy; assert before == (sys.path, dict(os.environ)), sys.path\n"
    )
    environment = {**os.environ, "PYTHONPATH": f":{PACKAGE_PARENT}"}
    done = subprocess.run([sys.executable, "-m", "prog"], cwd=tmp_path, env=environment)
    assert done.returncode == 0


@pytest.mark.process
def test_arguments_survive_the_second_start(trap):
    """Odd arguments and the exit code are the same with an unsafe environment."""
    odd = ["search", "a b'\"\n$x", "--nonsense"]
    plain = trap.run(sys.executable, "-m", "codebuddy", *odd, PYTHONPATH=PACKAGE_PARENT)
    again = trap.run(sys.executable, "-m", "codebuddy", *odd, **UNSAFE)
    assert (plain.returncode, plain.stderr) == (again.returncode, again.stderr)
    assert plain.returncode == 2


@pytest.mark.process
def test_doctor_names_unsafe_entries_with_the_remedy(trap):
    """Also those that were dropped before doctor itself could see them."""
    done = trap.run(sys.executable, "-m", "codebuddy", "doctor", **UNSAFE)
    for said in (
        "PATH holds '.', an empty entry, which means the working folder",
        "PYTHONPATH holds an empty entry,",
        "remove it; PYTHONPATH=/x${PYTHONPATH:+:$PYTHONPATH} adds /x to a list",
        "PIP_CONFIG_FILE holds 'pip.conf'",
        "set PIP_CONFIG_FILE to an absolute path, or unset it",
    ):
        assert said in done.stdout
    done = trap.run(sys.executable, "-m", "codebuddy", "doctor", PYTHONPATH=PACKAGE_PARENT)
    assert "working folder" not in done.stdout


# ---- Every start of a program, in the syntax trees.

# Where `sys.executable` may stand: the one maker of commands, the second start of codebuddy
# itself, the hook's script (tests above) and what `doctor` shows.
EXECUTABLE = {
    ("isolation.py", "python_command"),
    ("isolation.py", "_become_clean"),
    ("hook/install.py", "install"),
    ("hook/install.py", "uninstall"),
    ("hook/install.py", "_status"),
    ("diagnosis.py", "_program"),
}
_STARTS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output"},
    "asyncio": {"create_subprocess_exec"},
    "asyncio.subprocess": {"create_subprocess_exec"},
}
_NEVER = {
    "subprocess": {"getoutput", "getstatusoutput"},
    "asyncio": {"create_subprocess_shell"},
    "os": {"system", "popen", "execl", "execle", "execlp", "execlpe", "execv", "execvp"}
    | {"execvpe", "posix_spawn", "posix_spawnp", "startfile"}
    | {f"spawn{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")},
    "pty": {"spawn", "fork"},
    "shutil": {"which"},
    "multiprocessing": {"Process", "Pool", "get_context", "spawn"},
    "concurrent.futures": {"ProcessPoolExecutor"},
}


def _faults(source: str, file: str) -> list[str]:
    """What of a module names the interpreter, or starts a program, outside the agreed way."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def name_of(node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return known.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = name_of(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    found: list[str] = []

    def walk(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        name = name_of(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        module, _, attribute = name.rpartition(".")
        place = f"{file}:{getattr(node, 'lineno', 0)}"
        if name in ("sys.executable", "sys._base_executable"):
            if (file, function) not in EXECUTABLE:
                found.append(f"{place} {name}")
        elif attribute in _NEVER.get(module, ()) and (file, function, name) not in {
            ("isolation.py", "find_program", "shutil.which")
        }:
            found.append(f"{place} {name}")
        if isinstance(node, ast.Call):
            called = name_of(node.func)
            module, _, attribute = called.rpartition(".")
            keywords = {each.arg for each in node.keywords}
            if attribute in _STARTS.get(module, ()) and "env" not in keywords:
                found.append(f"{place} {called} without env")
            if "shell" in keywords and attribute in _STARTS.get(module, ()):
                found.append(f"{place} {called} with shell")
            if called == "" and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                words = [each.value for each in node.args if isinstance(each, ast.Constant)]
                if "executable" in words:
                    found.append(f"{place} getattr executable")
        # A Python that is named in a list or a line of a command, in words.
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            told = [str(each.value) for each in node.elts if isinstance(each, ast.Constant)]
            if told[:1] and told[0].startswith("python") and any(w[:1] == "-" for w in told):
                found.append(f"{place} {told[0]}")
        for child in ast.iter_child_nodes(node):
            walk(child, function)

    walk(tree, "")
    return found


def test_every_child_is_started_in_the_one_way():
    """No module names the interpreter itself, and each start says which environment it gives."""
    faults = [
        fault
        for file in sorted(PACKAGE.rglob("*.py"))
        for fault in _faults(file.read_text(encoding="utf-8"), file.relative_to(PACKAGE).as_posix())
    ]
    assert faults == []


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nx = [sys.executable, '-m', 'a']",
        "import sys as s\nx = [*(s.executable, '-m')]",
        "from sys import executable\nx = executable",
        "from sys import executable as e\nx = f'{e} -m a'",
        "import sys, shlex\nx = shlex.join([sys.executable])",
        "import sys\nx = getattr(sys, 'executable')",
        "import sys\ndef python_command():\n    return sys.executable",
        "import subprocess\nsubprocess.run(['x'])",
        "from subprocess import Popen as P\nP(['x'])",
        "import subprocess\nsubprocess.run('x', shell=True, env={})",
        "import asyncio\nasyncio.create_subprocess_exec('x')",
        "import asyncio\nasyncio.create_subprocess_shell('x', env={})",
        "import os\nos.system('x')",
        "import shutil\nshutil.which('git')",
        "x = ['python3', '-m', 'a']",
        "from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor()",
    ],
)
def test_a_start_of_another_kind_is_found(source):
    """The check above can fail."""
    assert _faults(source, "some.py")


def test_what_is_imported_first_imports_nothing_else():
    """`isolation` runs while the working folder may still be on the module path."""
    for file in ("__init__.py", "isolation.py"):
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        at_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {
            alias.name if isinstance(node, ast.Import) else str(node.module)
            for node in at_top
            for alias in node.names
        }
        assert names <= {"os", "sys", "codebuddy.isolation"}


# ---- Libraries that look into the working folder.


def test_a_relative_xdg_folder_is_no_place_for_settings(tmp_path, monkeypatch):
    """XDG says to ignore it; the repository would be the user's own settings otherwise."""
    from codebuddy import paths

    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, "own")
    home = Path(os.environ["HOME"])
    assert paths.user_config_file() == home / ".config/codebuddy/config.toml"
    for place in (paths.cache_folder(), paths.log_folder(), paths.serve_token_file()):
        assert place.is_relative_to(home)
    assert paths.runtime_folder().is_relative_to(home)


@pytest.mark.parametrize("name", ["acme/model", "all-MiniLM-L6-v2"])
def test_a_folder_named_like_a_model_of_the_hub_is_not_taken_for_it(tmp_path, monkeypatch, name):
    """sentence-transformers would load it, and import what its `modules.json` names."""
    from codebuddy.errors import ModelError
    from codebuddy.index.encoder import open_encoder

    planted = tmp_path / (name if "/" in name else f"sentence-transformers/{name}")
    planted.mkdir(parents=True)
    (planted / "modules.json").write_text('[{"idx": 0, "name": "0", "type": "antigravity.x"}]')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="is named like a file or folder here") as caught:
        open_encoder(name)
    assert f"write ./{name}" in caught.value.hint


def test_a_path_of_an_embedder_is_taken_for_one(tmp_path, monkeypatch):
    """Written as a path, it is the folder, from wherever one stands."""
    from codebuddy import paths
    from codebuddy.index.encoder import open_encoder

    (tmp_path / "own").symlink_to(paths.shipped_models_folder() / "embedder")
    monkeypatch.chdir(tmp_path)
    assert open_encoder("./own").fingerprint == open_encoder("").fingerprint


@pytest.mark.process
def test_matplotlib_reads_no_settings_of_the_repository(tmp_path):
    """It takes a `matplotlibrc` of the working folder before anybody else's."""
    (tmp_path / "matplotlibrc").write_text("figure.figsize: 1, 1\n")
    size = "import matplotlib; print(matplotlib.rcParams['figure.figsize'])"
    ours = "import os\nfrom codebuddy.evaluation.plot import _figure_class\n_figure_class()\n"
    ours += f"assert os.getcwd() == {str(tmp_path)!r}\n"

    def run(program: str) -> str:
        environment = {**os.environ, "PYTHONPATH": PACKAGE_PARENT}
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert run(size) == "[1.0, 1.0]"
    assert run(ours + size) == "[6.4, 4.8]"
