"""The settings screen by key presses, and the file that it writes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from textual.widgets import OptionList

from codebuddy import paths
from codebuddy.config import load_settings
from codebuddy.errors import ConfigError
from codebuddy.tui.editor_settings import READ_ONLY, SHOWN, list_settings, save_setting
from codebuddy.tui.screens.settings import SettingsScreen
from codebuddy.tui.settings_file import Value, with_setting, write_setting
from tests.support.tui_pilot import journey

FILE = Path("config.toml")

# A file, the setting, its value, and the file then.
CHANGES: dict[str, tuple[str, str, Value | None, str]] = {
    "an empty file": ("", "tui.theme", "light", '[tui]\ntheme = "light"\n'),
    "a value with a comment": (
        '# mine\n[tui]\ntheme = "dark"   # at night\nmouse = false\n\n[model]\nn_ctx = 512\n',
        "tui.theme",
        "light",
        '# mine\n[tui]\ntheme = "light"   # at night\nmouse = false\n\n[model]\nn_ctx = 512\n',
    ),
    "a hash within the value": (
        "[tui]\ntheme = 'dark'# dark\n",
        "tui.theme",
        "light",
        '[tui]\ntheme = "light"# dark\n',
    ),
    "a key of another section": (
        '[model]\nname = "x"\n\n[completion]\nmax_lines = 1\n',
        "completion.max_lines",
        12,
        '[model]\nname = "x"\n\n[completion]\nmax_lines = 12\n',
    ),
    "a section without the key": (
        "[tui]\nmouse = false\n# of the model:\n\n[model]\nn_ctx = 512\n",
        "tui.restore",
        False,
        "[tui]\nmouse = false\nrestore = false\n# of the model:\n\n[model]\nn_ctx = 512\n",
    ),
    "no such section": (
        "offline = true",
        "completion.prefer",
        "speed",
        'offline = true\n\n[completion]\nprefer = "speed"\n',
    ),
    "dotted keys": (
        "tui.mouse = false\noffline = true\n",
        "tui.theme",
        "light",
        'tui.mouse = false\ntui.theme = "light"\noffline = true\n',
    ),
    "a dotted key": ("tui . theme='dark'\n", "tui.theme", "light", 'tui . theme="light"\n'),
    "lines of Windows": (
        '[tui]\r\ntheme = "dark" # x\r\nmouse = true\r\n',
        "tui.theme",
        "light",
        '[tui]\r\ntheme = "light" # x\r\nmouse = true\r\n',
    ),
    "what only looks like it": (
        '[model]\nname = """\n[tui]\ntheme = "dark"\n"""\n[tui]\ntheme = "dark"\n',
        "tui.theme",
        "light",
        '[model]\nname = """\n[tui]\ntheme = "dark"\n"""\n[tui]\ntheme = "light"\n',
    ),
    "taken out": (
        '[tui]\ntheme = "dark"\nmouse = false\n',
        "tui.theme",
        None,
        "[tui]\nmouse = false\n",
    ),
    "taken out where it is not": ("[tui]\n# none\n", "tui.theme", None, "[tui]\n# none\n"),
}


def user_file(text: str) -> Path:
    """The user's config file, with a text."""
    file = paths.user_config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", CHANGES)
def test_one_setting_is_changed_and_all_else_stays(name):
    """Comments, order, other keys and line endings are as they were."""
    before, key, value, after = CHANGES[name]
    assert with_setting(before, key, value, FILE) == after


@pytest.mark.parametrize(
    "text",
    [
        "[tui\n",
        "tui = { theme = 'dark' }\n",
        "tui = 3\n",
        '[tui]\ntheme = """\ndark"""\n',
        "\ufeff[tui]\n",
    ],
    ids=["no TOML", "a table on one line", "no table", "a value of two lines", "a mark"],
)
def test_a_file_that_is_not_understood_is_left_alone(text):
    """One sentence names the file; not a byte changes."""
    file = user_file(text)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=r"config\.toml .*left alone"):
        write_setting(file, "tui.theme", "light")
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_file_of_other_bytes_is_left_alone():
    """Latin-1 is refused, not rewritten."""
    file = user_file("")
    file.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        write_setting(file, "tui.theme", "light")
    assert file.read_bytes() == b"# caf\xe9\n"


@pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
def test_what_is_no_file_is_left_alone(make):
    """A pipe is not waited for, a folder not replaced."""
    file = paths.user_config_file()
    file.parent.mkdir(parents=True)
    getattr(os, make)(file)
    before = file.stat().st_mode
    with pytest.raises(ConfigError, match="not a regular file"):
        save_setting("tui.theme", "light")
    assert file.stat().st_mode == before


def test_a_linked_file_stays_a_link_and_keeps_its_mode(tmp_path):
    """Dotfiles that are kept elsewhere are written there."""
    real = tmp_path / "dotfiles.toml"
    real.write_text("[tui]\nmouse = false\n")
    real.chmod(0o640)
    link = paths.user_config_file()
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    write_setting(link, "tui.theme", "light")
    assert link.is_symlink()
    assert tomllib.loads(real.read_text()) == {"tui": {"mouse": False, "theme": "light"}}
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.process
def test_a_folder_that_may_only_be_read_is_named():
    """Nothing is written, no file is left beside, and the sentence says why."""
    code = (
        "import os, sys, pathlib\n"
        "from codebuddy.errors import ConfigError\n"
        "from codebuddy.tui.settings_file import write_setting\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: write_setting(pathlib.Path(sys.argv[1]), 'tui.theme', 'light')\n"
        "except ConfigError as error: print(error.message)\n"
    )
    # A folder that another user may read, which the test's own is not.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text("[tui]\n")
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(file)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
        )
        Path(folder).chmod(0o755)
        assert done.stdout == f"{file} cannot be written: Permission denied\n"
        assert [each.name for each in Path(folder).iterdir()] == ["config.toml"]
        assert file.read_text() == "[tui]\n"


def test_every_choice_can_be_written_and_read_again():
    """What the screen offers is what the settings take."""
    for line in list_settings(None, {}):
        if line.key in READ_ONLY:
            continue
        for step in (1, 1, 1, -1):
            [now] = [each for each in list_settings(None, {}) if each.key == line.key]
            value = now.neighbour(step)
            save_setting(line.key, value)
            section, _, name = line.key.partition(".")
            assert getattr(getattr(load_settings().settings, section), name) == value
    assert [each.key for each in list_settings(None, {})] == list(SHOWN)


def test_a_line_says_where_its_value_comes_from(repository, monkeypatch):
    """Default, the repository, your file, a variable, or only for now."""
    (repository / ".codebuddy.toml").write_text(
        '[completion]\nretrieve = "never"\nprefer = "speed"\nmax_lines = 5\n'
    )
    user_file('[completion]\nprefer = "quality"\nmax_lines = 7\n')
    monkeypatch.setenv("CODEBUDDY_COMPLETION_MAX_LINES", "9")
    running = {"tui.suggest": "asked", "tui.theme": "dark"}
    found = {each.key: (each.value, each.source) for each in list_settings(repository, running)}
    assert found["tui.theme"] == ("dark", "default")
    assert found["tui.suggest"] == ("asked", "for now; otherwise auto (default)")
    assert found["completion.retrieve"] == ("never", "the repository's file")
    assert found["completion.prefer"] == ("quality", "your file, over the repository's speed")
    assert found["completion.max_lines"] == (9, "CODEBUDDY_COMPLETION_MAX_LINES")


async def opened(one, key: str) -> None:
    """Open the settings and go to one of them."""
    await one.press("f10")
    await one.until(lambda: isinstance(one.app.screen, SettingsScreen))
    options = one.app.screen.query_one(OptionList)
    await one.until(lambda: options.option_count == len(SHOWN) and options.has_focus)
    await one.press(*["down"] * SHOWN.index(key))


def settings_then(file: Path) -> dict:
    """What the user's file holds."""
    return tomllib.loads(file.read_text()) if file.exists() else {}


@pytest.mark.asyncio
async def test_a_theme_chosen_in_the_settings_holds_and_is_kept(repository):
    """The colours change at once, and the file has them with its comments."""
    file = user_file("# by hand\n[model]\nn_ctx = 512 # small\n")
    async with journey(repository, is_automatic=False) as one:
        await opened(one, "tui.theme")
        await one.press("right")
        assert one.app.theme == "codebuddy-light"
        await one.until(lambda: "tui.theme is light from now on" in one.screen_text())
        assert file.read_text().startswith("# by hand\n[model]\nn_ctx = 512 # small\n")
        assert settings_then(file)["tui"] == {"theme": "light"}
        await one.press("delete")
        await one.until(lambda: one.app.theme == "codebuddy-dark")
        await one.until(lambda: "tui" not in settings_then(file) or not settings_then(file)["tui"])
        await one.press("escape")
        assert one.editor.has_focus


@pytest.mark.asyncio
async def test_suggestions_on_request_hold_at_once(repository):
    """Enter takes the next choice, which the suggester follows; it is kept though one leaves."""
    async with journey(repository) as one:
        await opened(one, "tui.suggest")
        await one.press("enter", "escape")
        assert not one.workspace.suggester.is_automatic
        await one.until(lambda: settings_then(paths.user_config_file()))
        assert settings_then(paths.user_config_file()) == {"tui": {"suggest": "asked"}}


@pytest.mark.asyncio
async def test_numbers_are_stepped_and_typed_within_their_bounds(repository):
    """Each press counts, however fast; what is out of bounds is refused and not written."""
    file = paths.user_config_file()
    async with journey(repository, is_automatic=False) as one:
        await opened(one, "completion.max_lines")
        await one.press("left", *["right"] * 5, "left")
        await one.until(lambda: settings_then(file) == {"completion": {"max_lines": 4}})
        await one.until(lambda: "max_lines is 4 from now on" in one.screen_text())
        await one.press("enter")
        await one.until(lambda: "0 to 1000" in one.screen_text() and len(one.app.screen_stack) == 3)
        await one.press("end", "0", "enter")
        await one.until(lambda: settings_then(file) == {"completion": {"max_lines": 40}})
        await one.until(lambda: "max_lines is 40 from now on" in one.screen_text())
        await one.press("enter")
        await one.until(lambda: len(one.app.screen_stack) == 3)
        await one.press("end", "0", "0", "enter")
        await one.until(lambda: "must be a number from 0 to 1000" in one.screen_text())
        assert settings_then(file) == {"completion": {"max_lines": 40}}


@pytest.mark.asyncio
async def test_a_lookup_chosen_in_the_settings_counts_for_the_next_suggestion(repository):
    """The path reads what was written, without a new start."""
    async with journey(repository, at=(5, 26), is_automatic=False) as one:
        await opened(one, "completion.retrieve")
        await one.press("left")
        await one.until(lambda: "retrieve is never from now on" in one.screen_text())
        await one.press("escape", "alt+enter")
        await one.until(lambda: one.workspace.status.last_response)
        assert one.workspace.status.last_response is not None
        assert one.workspace.status.last_response["decision"]["mode"] == "never"


@pytest.mark.asyncio
@pytest.mark.parametrize("keys", ["right", "left", "enter", "delete"])
async def test_what_a_variable_sets_is_not_changed(repository, monkeypatch, keys):
    """It says which variable wins, and writes nothing."""
    monkeypatch.setenv("CODEBUDDY_COMPLETION_MAX_LINES", "9")
    async with journey(repository, is_automatic=False) as one:
        await opened(one, "completion.max_lines")
        await one.press(keys)
        await one.until(lambda: "CODEBUDDY_COMPLETION_MAX_LINES is set" in one.screen_text())
        assert not paths.user_config_file().exists()
        assert len(one.app.screen_stack) == 2


@pytest.mark.asyncio
async def test_the_model_is_shown_and_changed_elsewhere(repository):
    """The line says which key does it."""
    async with journey(repository, is_automatic=False) as one:
        await opened(one, "model.name")
        await one.press("right")
        await one.until(lambda: "F6 changes the model" in one.screen_text())
        assert "for now; otherwise qwen2.5-coder-1.5b" in one.screen_text()
        assert not paths.user_config_file().exists()


@pytest.mark.asyncio
async def test_a_damaged_file_undoes_the_choice_and_says_why(repository):
    """Something broke the file while the screen was open."""
    async with journey(repository, is_automatic=False, size=(150, 36)) as one:
        await opened(one, "tui.theme")
        file = user_file("[tui\n")
        await one.press("right")
        await one.until(lambda: "is not valid TOML" in one.screen_text())
        await one.until(lambda: one.app.theme == "codebuddy-dark")
        assert file.read_text() == "[tui\n"


@pytest.mark.asyncio
async def test_the_theme_of_the_key_and_of_the_palette_is_remembered(repository):
    """Alt+T and a command write the same line."""
    file = paths.user_config_file()
    async with journey(repository, is_automatic=False) as one:
        await one.press("alt+t", "alt+t")
        await one.until(lambda: settings_then(file) == {"tui": {"theme": "contrast"}})
        await one.run_command("theme: light", "Theme: light")
        await one.until(lambda: settings_then(file) == {"tui": {"theme": "light"}})
        assert one.app.theme == "codebuddy-light"


@pytest.mark.asyncio
async def test_a_theme_that_cannot_be_kept_holds_for_now_and_says_so(repository, monkeypatch):
    """A variable wins the next time: nothing is written."""
    monkeypatch.setenv("CODEBUDDY_TUI_THEME", "dark")
    async with journey(repository, is_automatic=False, size=(160, 36)) as one:
        await one.press("alt+t")
        await one.until(lambda: "for now: CODEBUDDY_TUI_THEME is set" in one.screen_text())
        assert one.app.theme == "codebuddy-light"
        assert not paths.user_config_file().exists()


@pytest.mark.asyncio
async def test_the_settings_are_in_the_palette(repository):
    """The command palette finds them by their word."""
    async with journey(repository, is_automatic=False) as one:
        await one.run_command("settings", "Settings")
        await one.until(lambda: isinstance(one.app.screen, SettingsScreen))
