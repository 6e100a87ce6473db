"""What somebody who tries the commit hook for the first time meets."""

from __future__ import annotations

import json
import subprocess

import pytest

from codebuddy.hook.finding import FileEdit, Finding
from codebuddy.hook.record import save_patches
from codebuddy.vcs.repository import open_repository
from tests.support.hook import Project, staged_review, told

EDIT = FileEdit("a.py", 1, 1, "x", None)
BEFORE = {"a.py": "def f():\n    return 1\n"}


@pytest.mark.parametrize(
    "line",
    [
        't = "import pdb; pdb.set_trace()"',
        't = "x; breakpoint()"',
        "x = 1  # then; breakpoint()",
        "t = [breakpoint()]",
    ],
)
def test_a_debugger_in_a_text_is_no_leftover(tmp_path, line):
    """CB108 speaks of statements, not of what a string or a comment says."""
    staged = {"a.py": f"def f():\n    {line}\n    return 1\n"}
    assert staged_review(tmp_path / "p", BEFORE, staged, "CB108") == []


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("a.py", "x = 1; breakpoint()  # look", "a.py:2 breakpoint() is left over from debugging"),
        (
            "a.py",
            "import pdb; pdb.set_trace()  # look",
            "a.py:2 import pdb; pdb.set_trace() is left over from debugging",
        ),
        ("a.py", "if f: breakpoint()", "a.py:2 breakpoint() is left over from debugging"),
        ("a.js", "debugger; // look", "a.js:2 debugger; is left over from debugging"),
        (
            "a.js",
            f"it.only('{'x' * 60}', () => 1);",
            f"a.js:2 it.only('{'x' * 48}... runs this test alone",
        ),
    ],
)
def test_a_leftover_is_told_by_its_statement(tmp_path, path, line, message):
    """CB108 names the statement alone, and says where it was cut."""
    head = "def f():\n" if path == "a.py" else "function f() {\n"
    tail = "    return 1\n" + ("" if path == "a.py" else "}\n")
    staged = {path: f"{head}    {line}\n{tail}"}
    assert told(staged_review(tmp_path / "p", BEFORE, staged, "CB108")) == [message]


def committed(project):
    """The lines that a commit shows."""
    done = subprocess.run(
        ["git", "-C", str(project.root), "commit", "-qm", "Change"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


@pytest.mark.process
@pytest.mark.parametrize("is_first", [False, True])
def test_the_hint_after_a_commit_shows_what_it_promises(tmp_path, monkeypatch, is_first):
    """The printed command finds the rest, and the printed ids can be applied afterwards."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    monkeypatch.setenv("CODEBUDDY_HOOK_MAX_FINDINGS", "1")
    project = Project(tmp_path / "p", {"b.py": "y = 1\n"})
    if is_first:
        project.git("update-ref", "-d", "HEAD")
    project.index()
    assert project.codebuddy("hook", "install").returncode == 0
    lines = "    x = 1\n    breakpoint()\n    y = x\n    pdb.set_trace()\n    return y\n"
    project.stage({"a.py": "import pdb\n\n\ndef f():\n" + lines})
    told_ = committed(project)
    identity = next(line.rpartition(" ")[2] for line in told_ if "hook apply" in line)
    (hint,) = [line for line in told_ if line.startswith("and 1 more: codebuddy ")]
    again = project.codebuddy(*hint.partition(": codebuddy ")[2].split())
    assert again.stdout.count("CB108") == 2
    assert project.codebuddy("hook", "run").stdout == ""
    project.stage({"c.py": "breakpoint()\n"})
    assert "c.py:1" in project.codebuddy("hook", "run").stdout
    assert project.codebuddy("hook", "apply", identity).returncode == 0


def test_old_patches_are_given_up(tmp_path):
    """What is kept of earlier reviews has an end."""
    project = Project(tmp_path / "p", BEFORE)
    repository = open_repository(project.root)
    for number in range(12):
        save_patches(repository, [Finding("CB108", f"{number}.py", 1, 1, "m", edits=(EDIT,))])
    kept = json.loads((repository.index_folder / "hook.json").read_text())
    assert [row["age"] for row in kept] == list(range(10))


@pytest.mark.process
@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("pyproject.toml", '[tool.codebuddy.hook]\ndisable = ["CB999"]\n', "CB999"),
        ("pyproject.toml", "[tool.codebuddy.hook]\nsilent = true\n", "silent"),
        (".codebuddy.toml", "[hook\n", ".codebuddy.toml"),
    ],
)
def test_a_mistake_in_the_settings_is_told_at_a_commit(tmp_path, monkeypatch, path, content, said):
    """The hook does not fall silent without a word; the commit is made."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    project = Project(tmp_path / "p", BEFORE)
    assert project.codebuddy("hook", "install").returncode == 0
    project.stage({path: content})
    (line,) = committed(project)
    assert line.startswith("codebuddy: nothing was reviewed: ")
    assert said in line
    assert project.git("log", "-1", "--format=%s") == "Change\n"


BODY = "(x: string) {\n  const y = x.trim().toLowerCase();\n  return y.replace(/ /g, '-');\n}\n"
MEMBERS = " { width: number; height: number; label: string; depth: number }\n"


@pytest.mark.parametrize(
    ("old", "new", "body"),
    [
        ("function slug", "function slugify", BODY),
        ("function slug", "function slugged", BODY),
        ("function slug", "function slug2", BODY),
        ("interface Shape", "interface ShapeProps", MEMBERS),
        ("interface Shape", "interface Figure", MEMBERS),
        ("type Shape =", "type Figure =", MEMBERS),
    ],
)
def test_a_renaming_in_typescript_is_found(tmp_path, old, new, body):
    """CB102, also where the new name begins with the old one, and for types."""
    name, became = old.split()[1], new.split()[1]
    use = f"import {{ {name} }} from './a';\nexport const z = {name} as unknown;\n"
    before = {"a.ts": f"export {old}{body}", "b.ts": use}
    staged = {"a.ts": f"// was {name}\nexport {new}{body}"}
    found = staged_review(tmp_path / "p", before, staged, "CB102")
    expected = f"b.ts:1 {name} is renamed to {became} in a.ts, and is still used here"
    assert told(found) == [expected]


def test_a_typescript_name_that_is_still_given_out_is_not_gone(tmp_path):
    """CB102: the old name as an alias of the new one."""
    use = "import { slug } from './a';\nslug('');\n"
    before = {"a.ts": f"export function slug{BODY}", "b.ts": use}
    staged = {"a.ts": f"function slugify{BODY}export {{ slugify as slug }};\n"}
    assert staged_review(tmp_path / "p", before, staged, "CB102") == []


@pytest.mark.process
def test_installing_builds_a_missing_index(tmp_path):
    """After `hook install` the rules that need an index find something."""
    before = {"a.py": "def price(x):\n    return x\n", "b.py": "from a import price\n\nprice(1)\n"}
    project = Project(tmp_path / "p", before)
    done = project.codebuddy("hook", "install")
    assert (done.returncode, "building the index" in done.stderr) == (0, True)
    project.stage({"a.py": "def price(x, y):\n    return x\n"})
    assert "b.py:3: price(1)" in project.codebuddy("hook", "run", "--no-update").stdout
    assert "building" not in project.codebuddy("hook", "install").stderr


@pytest.mark.process
def test_a_finding_without_a_patch_is_said_to_have_none(tmp_path):
    """`hook apply` knows what was printed, patch or not."""
    project = Project(tmp_path / "p", BEFORE)
    project.stage({"a.py": "def f():\n    x = 1; breakpoint()\n    return x\n"})
    assert "CB108" in project.codebuddy("hook", "run").stdout
    done = project.codebuddy("hook", "apply", "CB108")
    assert (done.returncode, "the finding CB108 has no patch" in done.stderr) == (2, True)


KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfi" + "CYq8Zt4LmVp"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", 'u = "postgresql://svc:Xk29fjQ0z81L' + 'mVpw@db.fabrikam.io/x"'),
        ("a.py", 'u = "mongodb+srv://svc:Xk29fjQ0z81L' + 'mVpw@cluster0.mongodb.net"'),
        ("a.py", 'u = "redis://:pZ7qLw93' + 'nTfB@cache.acme.net"'),
        ("aws.ini", "aws_secret_access_key = " + KEY),
        ("app.yml", "  api_key: " + KEY + "  # ours"),
        (".env", "DB_PASSWORD=" + KEY),
    ],
)
def test_a_password_in_an_address_or_in_settings_is_a_secret(tmp_path, path, line):
    """CB110: real hosts called db or cluster0, no user, and values without quotes."""
    found = staged_review(tmp_path / "p", {"b.py": "x = 1\n"}, {path: line + "\n"}, "CB110")
    assert [(each.path, each.line) for each in found] == [(path, 1)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", 'u = "postgresql://svc:Xk29fjQ0z81L' + 'mVpw@db:5432/x"'),
        ("a.py", 'u = "redis://:pZ7qLw93' + 'nTfB@localhost:6379"'),
        ("a.py", "password = settings_2.read_password_4(name)"),
        ("app.yml", "secret_name: projects/p1/secrets/orders-v2"),
        ("app.yml", "secretName: shop-tls-2024-kq7-zx81"),
        (".env", "DB_PASSWORD=${DB_PASSWORD_2}"),
        (".env", "DB_PASSWORD=change_me_please_1"),
        ("app.ini", "password_file = /run/secrets/db_password_2"),
    ],
)
def test_what_is_local_or_only_a_name_is_no_secret(tmp_path, path, line):
    """CB110: a service of a compose file, a placeholder, the way to a secret."""
    before = {"b.py": "x = 1\n"}
    assert staged_review(tmp_path / "p", before, {path: line + "\n"}, "CB110") == []
