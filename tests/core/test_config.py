"""Settings: what wins, what is refused, what a repository may not set."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from codebuddy import bounded_toml
from codebuddy.config import known_keys, load_settings, own_variables
from codebuddy.errors import ConfigError
from tests.support.engine import codebuddy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A work tree with settings in both of its files."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n\n[tool.codebuddy.completion]\nmax_tokens = 10\nmax_lines = 1\n"
    )
    (folder / ".codebuddy.toml").write_text("[completion]\nmax_lines = 2\nprefix_tokens = 99\n")
    return folder


def test_later_sources_win(root, tmp_path):
    """pyproject.toml < .codebuddy.toml < user's file < environment < flags."""
    user = tmp_path / "config.toml"
    user.write_text("[completion]\nprefix_tokens = 100\nsuffix_tokens = 100\n")
    environment = {"CODEBUDDY_COMPLETION_SUFFIX_TOKENS": "101"}
    flags = {"completion.context_tokens": 102, "completion.max_tokens": None}
    completion = load_settings(root, environment, flags, user).settings.completion
    assert completion.max_tokens == 10
    assert completion.max_lines == 2
    assert completion.prefix_tokens == 100
    assert completion.suffix_tokens == 101
    assert completion.context_tokens == 102


def test_a_repository_may_not_choose_the_model(root):
    """Keys that could run, fetch or point outside are ignored in a repository, and said so."""
    (root / ".codebuddy.toml").write_text("offline = false\n[model]\nname = '/tmp/evil.gguf'\n")
    loaded = load_settings(root, {}, user_file=root / "none")
    assert loaded.settings.model.name == "qwen2.5-coder-1.5b"
    assert len(loaded.warnings) == 2
    assert "line 3: model.name is ignored" in loaded.warnings[1]


def test_what_a_repository_may_not_set_stops_nothing_whatever_its_value(root):
    """A value of the wrong kind or out of bounds there is ignored like any other."""
    (root / ".codebuddy.toml").write_text("[hook]\nlimit_ms = 'no'\n[model]\nname = 3\n")
    loaded = load_settings(root, {}, user_file=root / "none")
    assert [each.count("is ignored, because") for each in loaded.warnings] == [1, 1]
    (root / ".codebuddy.toml").write_text("[completion]\nmax_lines = 'no'\n")
    with pytest.raises(ConfigError, match="max_lines"):
        load_settings(root, {}, user_file=root / "none")


def test_a_byte_order_mark_is_no_setting(root, tmp_path):
    """Some editors begin a file with one."""
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbfoffline = true\n")
    assert load_settings(root, {}, user_file=file).settings.offline


def test_no_key_of_a_repository_holds_a_path_or_command():
    """The keys that a repository may set are budgets and choices only."""
    allowed = {name for name, entry in known_keys().items() if entry.metadata["from_repository"]}
    assert allowed == {
        "completion.max_tokens",
        "completion.max_lines",
        "completion.prefix_tokens",
        "completion.suffix_tokens",
        "completion.context_tokens",
        "hook.enable",
        "hook.disable",
        "hook.max_findings",
        "hook.max_binary_bytes",
        "completion.retrieve",
        "completion.prefer",
        "index.max_file_bytes",
        "index.deprecated",
        "train.deprecated",
        "train.exclude",
        "train.max_fixes",
        "train.recent_commits",
        "train.tests",
        "train.untracked",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[completion]\nmax_tokenz = 3\n", "line 2: unknown setting completion.max_tokenz"),
        (
            "[completion]\nmax_tokens = 'x'\n",
            "line 2: completion.max_tokens must be a whole number",
        ),
        ("[completion]\n\nmax_tokens = 0\n", "line 3: completion.max_tokens must be between 1 and"),
        ("[completion]\nretrieve = 'maybe'\n", "line 2: completion.retrieve must be one of auto"),
        ("[completion\n", "is not valid TOML"),
        ("a = 1\n", "line 1: unknown setting a"),
        ("[completion]\nmax_tokens = true\n", "must be a whole number, not bool"),
        ("completion = 3\n", "unknown setting completion"),
    ],
)
def test_bad_user_file_is_refused(tmp_path, text, said):
    """A wrong key, type or value is refused with file and line."""
    user = tmp_path / "config.toml"
    user.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, user_file=user)
    assert said in caught.value.message
    assert str(user) in caught.value.message


def test_unknown_key_names_the_nearest(tmp_path):
    """A misspelt key gets the right one as its hint."""
    user = tmp_path / "config.toml"
    user.write_text("[completion]\nmax_tokenz = 3\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, user_file=user)
    assert caught.value.hint == "did you mean completion.max_tokens?"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[completon]\nmax_tokens = 3\n", "did you mean completion?"),
        ("offlin = true\n", "did you mean offline?"),
    ],
)
def test_unknown_section_names_the_nearest(tmp_path, text, hint):
    """A misspelt section gets the right section as its hint, not one of its keys."""
    user = tmp_path / "config.toml"
    user.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, user_file=user)
    assert caught.value.hint == hint


def test_a_section_that_is_a_value_is_not_its_own_remedy(tmp_path):
    """`model = "x"` is answered with keys of that section."""
    user = tmp_path / "config.toml"
    user.write_text('model = "x"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, user_file=user)
    assert "model." in caught.value.hint


def test_a_broken_pyproject_is_somebody_elses_business(root):
    """A pyproject.toml that is not TOML stops nothing; it is told."""
    (root / "pyproject.toml").write_text("[[[")
    loaded = load_settings(root, {}, user_file=root / "none")
    assert loaded.settings.completion.max_lines == 2
    assert "not valid TOML" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CODEBUDDY_MODEL_THREADS", "many"),
        ("CODEBUDDY_OFFLINE", "perhaps"),
        ("CODEBUDDY_MODEL_FOLDER", "models"),
        ("CODEBUDDY_MODEL_FOLDER", "./models"),
        ("CODEBUDDY_MODEL_N_CTX", "-5"),
    ],
)
def test_bad_variable_is_refused(variable, value):
    """A wrong variable is refused by its name."""
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {variable: value})
    assert variable in caught.value.message


def test_variables_are_read():
    """Variables set any key, booleans included."""
    settings = load_settings(
        None, {"CODEBUDDY_OFFLINE": "yes", "CODEBUDDY_MODEL_NAME": "echo", "PATH": "x"}
    ).settings
    assert settings.offline is True
    assert settings.model.name == "echo"


def test_a_linked_settings_file_of_a_repository_is_not_read(root, tmp_path):
    """A repository cannot make codebuddy read a file elsewhere by a link."""
    outside = tmp_path / "outside.toml"
    outside.write_text("[completion]\nmax_lines = 9\n")
    (root / ".codebuddy.toml").unlink()
    (root / ".codebuddy.toml").symlink_to(outside)
    assert load_settings(root, {}, user_file=root / "none").settings.completion.max_lines == 1


def test_a_list_may_stand_in_a_file_and_in_a_variable(root):
    """A list of texts is taken from TOML, and from a variable by its commas; nothing else is."""
    (root / ".codebuddy.toml").write_text("[hook]\ndisable = ['CB104', 'CB107']\n")
    assert load_settings(root, {}, user_file=root / "none").settings.hook.disable == (
        "CB104",
        "CB107",
    )
    environment = {"CODEBUDDY_HOOK_DISABLE": "CB101, CB102"}
    loaded = load_settings(root, environment, user_file=root / "none")
    assert loaded.settings.hook.disable == ("CB101", "CB102")
    (root / ".codebuddy.toml").write_text("[hook]\ndisable = 'CB104'\n")
    with pytest.raises(ConfigError, match=r"line 2: hook\.disable must be a list of texts"):
        load_settings(root, {}, user_file=root / "none")


def test_a_folder_may_begin_with_the_home_folder():
    """A whole path, in either form."""
    for folder in ("/srv/models", "~/models", ""):
        settings = load_settings(None, {"CODEBUDDY_MODEL_FOLDER": folder}).settings
        assert settings.model.folder == folder


# ---- Variables of another program of the same name.


def test_unknown_variables_are_ignored_and_told(root):
    """They set nothing and stop nothing; a near miss is told what it may have meant."""
    given = {
        "CODEBUDDY_API_KEY": "k",
        "CODEBUDDY_MODEL_THREAD": "3",
        "CODEBUDDY_": "",
        "CODEBUDDY_COMPLETION_MAX_LINES": "7",
    }
    loaded = load_settings(root, given, user_file=root / "none")
    assert loaded.settings.completion.max_lines == 7
    assert loaded.warnings == (
        "CODEBUDDY_, CODEBUDDY_API_KEY, CODEBUDDY_MODEL_THREAD are not settings of codebuddy and "
        "are ignored; did you mean CODEBUDDY_MODEL_THREADS?",
    )
    assert own_variables(given) == {"CODEBUDDY_COMPLETION_MAX_LINES": "7"}
    many = {f"CODEBUDDY_X{i}" * 20: "" for i in range(9)}
    (warning,) = load_settings(None, many).warnings
    assert "and 4 more are not settings" in warning
    assert len(warning) < 500


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "total"],
        ["complete", "cart.py:6", "--model", "echo", "--json"],
        ["index", "--json"],
        ["models", "list", "--json"],
        ["hook", "status", "--json"],
        ["hook", "run", "--staged", "--json"],
        ["engine", "status", "--json"],
        ["doctor", "--json"],
        ["lsp"],
    ],
    ids=lambda arguments: "_".join(arguments[:2]),
)
def test_every_command_warns_once_and_goes_on(repository, arguments):
    """It exits as without the variable, and its answer is on stdout alone."""
    before = codebuddy(repository, *arguments)
    after = codebuddy(repository, *arguments, CODEBUDDY_TEAM_TOKEN="hunter2")
    assert after.returncode == before.returncode
    said = Counter(after.stderr.splitlines())
    assert [line for line in said.elements() if "CODEBUDDY" in line] == [
        "warning: CODEBUDDY_TEAM_TOKEN is not a setting of codebuddy and is ignored"
    ]
    assert "hunter2" not in after.stderr + after.stdout
    # Only doctor lists it in its answer.
    assert after.stdout.count("CODEBUDDY_TEAM_TOKEN") == (arguments[0] == "doctor")


def test_the_engine_does_not_repeat_it(repository, engine):
    """A completion and a search through the engine are warned of once, by the command."""
    for arguments in (["complete", "cart.py:6", "--model", "echo"], ["search", "total"]):
        done = codebuddy(repository, *arguments, CODEBUDDY_TEAM_TOKEN="1")
        assert done.returncode == 0, done.stderr
        assert (done.stderr + done.stdout).count("CODEBUDDY_TEAM_TOKEN") == 1


@pytest.mark.process
def test_the_hook_reviews_and_says_nothing_of_it(repository, git):
    """An unknown variable neither switches the hook off nor stands in its few lines."""
    # The limit is for a busy machine.
    variables = {"CODEBUDDY_TEAM_TOKEN": "1", "CODEBUDDY_HOOK_LIMIT_MS": "30000"}
    codebuddy(repository, "hook", "install", stdin=None, **variables)
    (repository / "new.py").write_text("def f():\n    breakpoint()\n")
    git(repository, "add", "new.py")
    done = subprocess.run(
        ["git", "commit", "-m", "x"],
        cwd=repository,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )
    assert "CB108" in done.stdout + done.stderr
    assert "CODEBUDDY_TEAM_TOKEN" not in done.stdout + done.stderr


@pytest.mark.process
def test_a_known_variable_with_a_bad_value_stays_an_error(repository):
    """Beside an unknown one, which is told first."""
    done = codebuddy(repository, "search", "x", CODEBUDDY_TEAM="1", CODEBUDDY_MODEL_THREADS="many")
    assert done.returncode == ConfigError.exit_code
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["warning", "error"]


# ---- Hostile TOML.

_DEEP = ".".join("abcdefghijklmn")
HOSTILE = {
    "one dotted key": lambda n: "a" + ".a" * (n // 2) + " = 1\n",
    "one spaced key": lambda n: "a" + " . a" * (n // 4) + " = 1\n",
    "one quoted key": lambda n: '"a"' + '."a"' * (n // 4) + " = 1\n",
    "a literal key": lambda n: "'a'" + ".'a'" * (n // 4) + " = 1\n",
    "a key in a table": lambda n: "x = {a" + ".a" * (n // 2) + " = 1}\n",
    "a header": lambda n: "[a" + ".a" * (n // 2) + "]\n",
    "an array's header": lambda n: "[[a" + ".a" * (n // 2) + "]]\n",
    "lists": lambda n: "a = " + "[" * n,
    "tables": lambda n: "a = " + "{a=" * (n // 3),
    "behind a string": lambda n: 'a = """\n\\""" """\nb' + ".a" * (n // 2) + " = 1\n",
    "behind quotes": lambda n: "a = '''x'''''\nb" + ".a" * (n // 2) + " = 1\n",
    "behind a comment": lambda n: '# "\na' + ".a" * (n // 2) + " = 1\n",
}
LARGE = {
    "deep keys": lambda n: "".join(f"{_DEEP}.k{i} = 1\n" for i in range(n // 34)),
    "deep headers": lambda n: "".join(f"[{_DEEP}.k{i}]\n" for i in range(n // 34)),
    "arrays of tables": lambda n: "[[a.b.c]]\n" * (n // 10),
    "a long list": lambda n: "a = [" + "1," * (n // 2) + "]\n",
    "escapes": lambda n: 'a = "' + "\\n" * (n // 2) + '"\n',
    "an open string": lambda n: 'a = "' + '\\"' * (n // 2) + "\n",
    "open lines": lambda n: 'a = """' + '\\"' * (n // 2) + "\n",
    "quotes": lambda n: '"' * n,
    "apostrophes": lambda n: "'" * n,
    "digits": lambda n: "a = " + "9" * n + "\n",
    "hexadecimal": lambda n: "a = 0x" + "f" * n + "\n",
    "a long key": lambda n: "a" * n + " = 1\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_key_or_value_that_is_too_deep_is_refused_before_it_is_parsed(tmp_path, kind):
    """In a repository's file it is an error that names the file; no part of the cost is paid."""
    text = HOSTILE[kind](1 << 17)
    with pytest.raises(bounded_toml.TomlError, match=r"more than \d+ (parts|deep) \(at line \d\)"):
        bounded_toml.parse(text)
    (tmp_path / ".codebuddy.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path, {}, user_file=tmp_path / "none")
    assert str(tmp_path / ".codebuddy.toml") in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("kind", LARGE)
def test_the_cost_of_large_toml_grows_with_its_length(kind):
    """Four times the text takes about four times the steps, which are counted, not timed."""
    costs = [_steps(LARGE[kind](size)) for size in (1 << 13, 1 << 15)]
    assert costs[1] <= 6 * costs[0] + 2000


def _steps(text: str) -> int:
    """Lines of Python that are run to parse `text`."""
    count = 0

    def trace(_frame: object, _event: str, _argument: object) -> object:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        bounded_toml.parse(text)
    except bounded_toml.TomlError:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "text",
    [
        "[completion]\nmax_tokens = " + "9" * 5000,
        "[completion]\nmax_tokens = 0x" + "f" * 5000,
        "[completion]\nmax_tokens = [" + "0x" + "f" * 5000 + "]",
        "[completion]\nretrieve = '" + "x" * 5000 + "'",
        "[completion]\n" + "x" * 5000 + " = 1",
        "x = " + "[" * 60 + "]" * 60,
        "[completion]\nmax_tokens = 1979-13-45",
        "[completion]\nmax_tokens = 1979-05-27T07:32:00+99:99",
        "[completion]\nmax_tokens = nan",
        "\x00",
        "a = 1 # " + "y" * (1 << 18),
    ],
    ids=range(11),
)
def test_values_that_python_cannot_hold_or_show_are_one_short_sentence(tmp_path, text):
    """An error that names the file, never a bug; where pyproject.toml is broken, a warning."""
    file = tmp_path / ".codebuddy.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path, {}, user_file=tmp_path / "none")
    assert str(file) in caught.value.message
    assert len(caught.value.message) < 500
    file.rename(tmp_path / "pyproject.toml")
    loaded = load_settings(tmp_path, {}, user_file=tmp_path / "none")
    assert all("pyproject.toml" in each for each in loaded.warnings)


def test_real_settings_are_as_deep_as_they_like():
    """The deepest that projects have, and odd texts, are read as tomllib reads them."""
    text = (
        "[tool.pixi.feature.gpu.target.linux-64.dependencies]\na.b.c.'d.e.f'.\"g.h\" = 1.5\n"
        'x = [[[1, 2], [\'\'\'a.b\'\'\', """c"""""]], [{y = {z.w = 1}}]]\n'
        "v = [" + "'1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18', 1.5, " * 40 + "]\n"
    )
    assert bounded_toml.parse(text) == tomllib.loads(text)
