"""Settings that the editor shows: values, sources, next values.

What is chosen goes into the user's config file, unless a variable would win over it. It knows
no screens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codebuddy import paths
from codebuddy.config import known_keys, read_sources, variable_of
from codebuddy.errors import ConfigError
from codebuddy.settings import Settings
from codebuddy.tui.settings_file import Value, write_setting

# In the order in which they are shown.
SHOWN = (
    "tui.theme",
    "tui.suggest",
    "tui.restore",
    "tui.mouse",
    "completion.retrieve",
    "completion.prefer",
    "completion.max_lines",
    "model.name",
)
READ_ONLY = frozenset({"model.name"})
# What is read when the editor starts, and not again.
FROM_NEXT_START = frozenset({"tui.restore", "tui.mouse"})


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting: `source` says in words where `value` comes from, `is_yours` whether from your
    file; `locked_by` is what wins over that file.
    """

    key: str
    value: Value
    source: str
    doc: str
    choices: tuple[Value, ...] = ()
    low: int = 0
    high: int = 0
    is_yours: bool = False
    locked_by: str = ""

    @property
    def is_number(self) -> bool:
        """Whether any number between `low` and `high` will do."""
        return type(self.value) is int

    def neighbour(self, step: int) -> Value:
        """The choice so many on, round and round; of numbers, within the bounds."""
        if self.is_number:
            return min(max(int(self.value) + step, self.low), self.high)
        if not self.choices:
            return self.value
        at = self.choices.index(self.value) if self.value in self.choices else 0
        return self.choices[(at + step) % len(self.choices)]


def list_settings(root: Path | None, running: Mapping[str, Value]) -> list[SettingLine]:
    """Every shown setting.

    Args:
        root: The repository, whose own files count.
        running: What holds at the moment, for keys where it may be another value than the set one.

    Raises:
        ConfigError: A file or a variable is wrong.
    """
    sources, _ = read_sources(root)
    known = known_keys()
    defaults = Settings()
    lines = []
    for key in SHOWN:
        section, _, name = key.rpartition(".")
        field = known[key]
        value: Value = getattr(getattr(defaults, section), name)
        source, locked_by = "default", ""
        if key in sources.repository:
            value, source = sources.repository[key], "the repository's file"
        if key in sources.user:
            is_over = key in sources.repository
            source = f"your file, over the repository's {value}" if is_over else "your file"
            value = sources.user[key]
        if key in sources.variables:
            value, source = sources.variables[key], variable_of(key)
            locked_by = variable_of(key)
        if running.get(key, value) != value:
            value, source = running[key], f"for now; otherwise {as_text(value)} ({source})"
        lines.append(
            SettingLine(
                key,
                value,
                source,
                field.metadata["doc"],
                (False, True) if isinstance(value, bool) else field.metadata["choices"],
                field.metadata["low"] or 0,
                field.metadata["high"] or 0,
                key in sources.user,
                locked_by,
            )
        )
    return lines


def save_setting(key: str, value: Value | None) -> None:
    """Write a choice into the user's config file; `None` takes it out of there.

    Raises:
        ConfigError: The file cannot be changed, or a variable would win over it.
    """
    sources, _ = read_sources()
    if key in sources.variables:
        raise ConfigError(
            f"{variable_of(key)} is set, which wins over your file",
            hint=f"unset it to choose {key} here",
        )
    write_setting(paths.user_config_file(), key, value)


def file_in_words() -> str:
    """The user's config file, with `~` for the home folder."""
    file = paths.user_config_file()
    home = Path.home()
    return f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)


def as_text(value: Value) -> str:
    """A value as the file and the screen spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
