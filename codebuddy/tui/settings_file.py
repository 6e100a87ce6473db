"""Writes one setting into the user's config file, and leaves everything else as it stands.

The text is edited by line; what comes out is read again and must differ from what went in
by the one setting, else nothing is written. It knows no screens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codebuddy import bounded_toml
from codebuddy.completion.document import line_ending
from codebuddy.errors import ConfigError
from codebuddy.user_file import write_user_file

Value = str | int | bool

# One value on one line, and what follows it: blanks, a comment.
_VALUE = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#,"'{\[]+)(\s*(?:#.*)?)$"""
_HEADER = re.compile(r"^\s*\[")


def write_setting(file: Path, dotted: str, value: Value | None) -> None:
    """Set `section.key` in `file`, which need not exist; `None` takes it away.

    A link is followed, the mode of the file stays.

    Raises:
        ConfigError: The file cannot be read, understood or written; it is unchanged.
    """
    target = Path(os.path.realpath(file))
    try:
        # A pipe would be waited for, a device replaced.
        if target.exists() and not target.is_file():
            raise ConfigError(f"{file} is not a regular file; it is left alone")
        content = target.read_bytes() if target.exists() else b""
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text; it is left alone") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    changed = with_setting(text, dotted, value, file)
    if changed == text:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        expected = content if target.exists() else None
        write_user_file(target, changed.encode("utf-8"), expected=expected)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error


def with_setting(text: str, dotted: str, value: Value | None, file: Path) -> str:
    """`text` with the one setting changed.

    Raises:
        ConfigError: It is not TOML, or has the setting in a form that takes more than a line.
    """
    before = _parsed(text)
    if before is None:
        raise ConfigError(
            f"{file} is not valid TOML; it is left alone", hint="correct it, or move it away"
        )
    section, _, key = dotted.rpartition(".")
    table = before.get(section, {})
    if value is None and (not isinstance(table, dict) or key not in table):
        return text
    if isinstance(table, dict):
        wanted = {each: item for each, item in table.items() if each != key}
        wanted |= {} if value is None else {key: value}
        expected = _without_empty({**before, section: wanted}, section)
        for candidate in _candidates(text, section, key, value):
            after = _parsed(candidate)
            if after is not None and _without_empty(after, section) == expected:
                return candidate
    line = f"{dotted} = {_written(value)}" if value is not None else dotted
    raise ConfigError(
        f"{file} has [{section}] in a form that is not changed from here; it is left alone",
        hint=f"change it by hand: {line}",
    )


def _candidates(text: str, section: str, key: str, value: Value | None) -> Iterator[str]:
    """Ways to change the text, the best first; some may be wrong."""
    end = line_ending(text)[:-1]
    lines = text.split("\n")
    places = list(_places(lines, section, key))
    if value is None:
        for place in places:
            yield "\n".join(lines[:place] + lines[place + 1 :])
        return
    written = _written(value)
    for place in places:
        line = lines[place].removesuffix("\r")
        head, _, rest = line.partition("=")
        blank = rest[: len(rest) - len(rest.lstrip())]
        match = re.match(_VALUE, rest.lstrip())
        if match:
            carriage = lines[place][len(line) :]
            changed = f"{head}={blank}{written}{match[2]}{carriage}"
            yield "\n".join([*lines[:place], changed, *lines[place + 1 :]])
    for place, prefix in _openings(lines, section):
        yield "\n".join([*lines[:place], f"{prefix}{key} = {written}{end}", *lines[place:]])
    gap = f"{end}\n" if text.strip() else ""
    head = text if not text or text.endswith("\n") else f"{text}{end}\n"
    yield f"{head}{gap}[{section}]{end}\n{key} = {written}{end}\n"


def _places(lines: list[str], section: str, key: str) -> Iterator[int]:
    """Lines that look as if they set the key."""
    in_section = re.compile(rf"^\s*{_name(key)}\s*=")
    at_top = re.compile(rf"^\s*{_name(section)}\s*\.\s*{_name(key)}\s*=")
    header = _header_of(section)
    pattern = at_top
    for number, line in enumerate(lines):
        if _HEADER.match(line):
            pattern = in_section if header.match(line) else at_top
        elif pattern.match(line):
            yield number


def _openings(lines: list[str], section: str) -> Iterator[tuple[int, str]]:
    """Where a new line of the section may go, and what stands before its key there."""
    header = _header_of(section)
    dotted = re.compile(rf"^\s*{_name(section)}\s*\.")
    for number, line in enumerate(lines):
        if header.match(line):
            last = number
            for later in range(number + 1, len(lines)):
                if _HEADER.match(lines[later]):
                    break
                if lines[later].strip() and not lines[later].lstrip().startswith("#"):
                    last = later
            yield from ((place + 1, "") for place in dict.fromkeys((last, number)))
        elif dotted.match(line):
            yield number + 1, f"{section}."


def _header_of(section: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*\[\s*{_name(section)}\s*\]")


def _name(word: str) -> str:
    return rf"[\"']?{re.escape(word)}[\"']?"


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # The settings that are chosen from a list are plain words.
    return f'"{value}"' if isinstance(value, str) else str(value)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return bounded_toml.parse(text)
    except bounded_toml.TomlError:
        return None


def _without_empty(content: dict[str, Any], section: str) -> dict[str, Any]:
    return {name: item for name, item in content.items() if name != section or item != {}}
