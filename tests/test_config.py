"""Settings: what wins, what is refused, what a repository may not set."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.config import known_keys, load_settings
from codebuddy.errors import ConfigError


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
        ("CODEBUDDY_NONSENSE", "1"),
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
