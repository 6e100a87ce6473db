"""Settings: where they come from, what they may be, and what a repository may not set.

Later sources win: `[tool.codebuddy]` of the repository's pyproject.toml, its
`.codebuddy.toml`, the user's config file, `CODEBUDDY_SECTION_KEY` variables, flags. A
repository is not trusted: its files may set only the keys marked `from_repository`, none
of which can run anything, fetch anything or point outside the repository.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from codebuddy import bounded_toml, paths
from codebuddy.errors import ConfigError
from codebuddy.private_files import read_file
from codebuddy.settings import Settings

ENVIRONMENT_PREFIX = "CODEBUDDY_"
_MAX_CONFIG_BYTES = 1 << 20
# A commit waits while these are read.
_MAX_REPOSITORY_BYTES = 1 << 18
# Nothing, a link where none is followed, a folder, a pipe: no settings stand there.
_NO_PLAIN_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
# What a message repeats of a file.
_MAX_SHOWN = 60
_MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings with what was ignored on the way, one sentence each."""

    settings: Settings
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Dotted keys to values, by where they are set; the later of these win."""

    repository: dict[str, Any]
    user: dict[str, Any]
    variables: dict[str, Any]


def load_settings(
    repository_root: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    user_file: Path | None = None,
) -> LoadedSettings:
    """Resolve all sources.

    Args:
        repository_root: The work tree whose own files are read; none outside a repository.
        environment: Variables to read; the process's by default.
        flags: Dotted keys (`model.name`) to values typed on the command line.
        user_file: The user's config file; its usual place by default.

    Raises:
        ConfigError: An unknown key, a wrong type or a value out of bounds; names file and line.
    """
    sources, warnings = read_sources(repository_root, environment, user_file)
    values = sources.repository | sources.user | sources.variables
    for dotted, value in (flags or {}).items():
        if value is not None:
            values[dotted] = _checked(dotted, value, f"the flag for {dotted}")
    return LoadedSettings(_build(values), warnings)


def read_sources(
    repository_root: Path | None = None,
    environment: Mapping[str, str] | None = None,
    user_file: Path | None = None,
) -> tuple[Sources, tuple[str, ...]]:
    """What each source sets, and what was ignored; arguments as for `load_settings`.

    Raises:
        ConfigError: An unknown key, a wrong type or a value out of bounds; names file and line.
    """
    sources = Sources({}, {}, {})
    warnings: list[str] = []
    if repository_root is not None:
        for file, table in (
            (repository_root / "pyproject.toml", ("tool", "codebuddy")),
            (repository_root / ".codebuddy.toml", ()),
        ):
            _merge_file(file, table, sources.repository, warnings, is_repository=True)
    user_file = user_file or paths.user_config_file()
    _merge_file(user_file, (), sources.user, warnings, is_repository=False)
    environment = os.environ if environment is None else environment
    _merge_environment(environment, sources.variables)
    if unknown := unknown_variables(environment):
        warnings.append(ignored_message(unknown))
    return sources, tuple(warnings)


def variable_of(dotted: str) -> str:
    """The variable that sets a key."""
    return ENVIRONMENT_PREFIX + dotted.replace(".", "_").upper()


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that begin as ours do and set nothing, sorted."""
    names = sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX))
    known = {variable_of(dotted) for dotted in known_keys()} if names else set()
    return [name for name in names if name not in known]


def ignored_message(names: Sequence[str]) -> str:
    """One sentence about unknown variables, which may be another program's of the same name."""
    known = [variable_of(dotted) for dotted in known_keys()]
    close = [each[0] for name in names if (each := difflib.get_close_matches(name, known, 1, 0.85))]
    shown = ", ".join(name[:_MAX_SHOWN] for name in names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    verb = "is not a setting" if len(names) == 1 else "are not settings"
    ignored = "is ignored" if len(names) == 1 else "are ignored"
    remedy = f"; did you mean {', '.join(dict.fromkeys(close))}?" if close else ""
    return f"{shown}{more} {verb} of codebuddy and {ignored}{remedy}"


def own_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that set a key, for a process that has another environment."""
    known = {variable_of(dotted) for dotted in known_keys()}
    return {name: value for name, value in environment.items() if name in known}


def known_keys() -> dict[str, dataclasses.Field[Any]]:
    """Every dotted key with its field; the metadata holds doc, bounds and choices."""
    known: dict[str, dataclasses.Field[Any]] = {}
    for section in fields(Settings):
        if dataclasses.is_dataclass(section.default):
            for entry in fields(section.default):
                known[f"{section.name}.{entry.name}"] = entry
        else:
            known[section.name] = section
    return known


def _build(values: Mapping[str, Any]) -> Settings:
    settings = Settings()
    for dotted, value in values.items():
        section, _, key = dotted.rpartition(".")
        if section:
            part = dataclasses.replace(getattr(settings, section), **{key: value})
            settings = dataclasses.replace(settings, **{section: part})
        else:
            settings = dataclasses.replace(settings, **{key: value})
    return settings


def _merge_file(
    file: Path,
    table: tuple[str, ...],
    values: dict[str, Any],
    warnings: list[str],
    *,
    is_repository: bool,
) -> None:
    try:
        text = _read(file, is_repository=is_repository)
        if text is None:
            return
        content: Any = bounded_toml.parse(text)
    except ConfigError as error:
        if not table:
            raise
        # A broken pyproject.toml is some other tool's business; say it and go on.
        warnings.append(f"{error.message}; its settings are ignored")
        return
    except bounded_toml.TomlError as error:
        if table:
            warnings.append(f"{file} is not valid TOML ({error}); its settings are ignored")
            return
        raise ConfigError(
            f"{file} is not valid TOML: {error}", hint="correct it, or move it away"
        ) from error
    for name in table:
        content = content.get(name, {}) if isinstance(content, dict) else {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: [{'.'.join(table)}] must be a table")
    for dotted, value in _flatten(content):
        line = _line_of(text, dotted)
        where = f"{file}{f', line {line}' if line else ''}"
        known = known_keys().get(dotted)
        # Before its value is looked at: what is ignored stops nothing.
        if is_repository and known is not None and not known.metadata["from_repository"]:
            warnings.append(
                f"{where}: {dotted} is ignored, because a repository may not set it; "
                f"set it in {paths.user_config_file()}"
            )
            continue
        values[dotted] = _checked(dotted, value, where)


def _read(file: Path, *, is_repository: bool) -> str | None:
    """The file's text, or `None` where there is none; a repository's link is not followed."""
    limit = _MAX_REPOSITORY_BYTES if is_repository else _MAX_CONFIG_BYTES
    try:
        content = read_file(file, limit, follows_links=not is_repository)
        # Some editors begin a file with a byte order mark.
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error
    except OSError as error:
        if error.errno in _NO_PLAIN_FILE:
            return None
        if error.errno == errno.EFBIG:
            raise ConfigError(
                f"{file} is larger than {limit >> 10} KiB", hint="keep settings small"
            ) from error
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _flatten(content: dict[str, Any]) -> list[tuple[str, Any]]:
    sections = {s.name for s in fields(Settings) if dataclasses.is_dataclass(s.default)}
    flat: list[tuple[str, Any]] = []
    for name, value in content.items():
        if name in sections and isinstance(value, dict):
            flat.extend((f"{name}.{key}", item) for key, item in value.items())
        else:
            flat.append((name, value))
    return flat


def _line_of(text: str, dotted: str) -> int | None:
    """The line where the last part of `dotted` is set, by search: tomllib reports no lines."""
    section, _, key = dotted.rpartition(".")
    pattern = re.compile(rf"^\s*(?:[\w.\"-]+\.)?[\"']?{re.escape(key)}[\"']?\s*=")
    header = re.compile(rf"^\s*\[.*\b{re.escape(section)}\s*\]") if section else None
    in_section, fallback = header is None, None
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            in_section = header is None or (section in line and bool(header.match(line)))
        elif key in line and pattern.match(line):
            if in_section:
                return number
            fallback = fallback or number
    return fallback


def _merge_environment(environment: Mapping[str, str], values: dict[str, Any]) -> None:
    for dotted in known_keys():
        variable = variable_of(dotted)
        if variable in environment:
            values[dotted] = _from_text(dotted, environment[variable], variable)


def _from_text(dotted: str, text: str, where: str) -> Any:
    kind = _type_of(dotted)
    if kind is bool:
        lowered = text.strip().lower()
        if lowered in ("1", "true", "yes", "on"):
            return True
        if lowered in ("0", "false", "no", "off", ""):
            return False
        raise ConfigError(f"{where} must be true or false, not {text!r:.{_MAX_SHOWN}}")
    if kind is int:
        try:
            return _checked(dotted, int(text), where)
        except ValueError:
            raise ConfigError(
                f"{where} must be a whole number, not {text!r:.{_MAX_SHOWN}}"
            ) from None
    if kind is not str:
        return _checked(dotted, [each.strip() for each in text.split(",") if each.strip()], where)
    return _checked(dotted, text, where)


def _type_of(dotted: str) -> type:
    section, _, key = dotted.rpartition(".")
    owner = type(getattr(Settings(), section)) if section else Settings
    kind: type = get_type_hints(owner)[key]
    return kind


def _checked(dotted: str, value: Any, where: str) -> Any:
    """`value` if the key exists and takes it."""
    known = known_keys()
    if dotted not in known:
        names = {*known, *(each.partition(".")[0] for each in known)} - {dotted}
        close = difflib.get_close_matches(dotted, sorted(names), n=1)
        raise ConfigError(
            f"{where}: unknown setting {dotted:.{_MAX_SHOWN}}",
            hint=f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}",
        )
    kind, metadata = _type_of(dotted), known[dotted].metadata
    if kind not in _TYPE_NAMES:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise ConfigError(
            f"{where}: {dotted} must be a list of texts, not {value!r:.{_MAX_SHOWN}}",
            hint=f"it means: {metadata['doc']}",
        )
    if type(value) is not kind:
        raise ConfigError(
            f"{where}: {dotted} must be {_TYPE_NAMES[kind]}, "
            f"not {type(value).__name__} {value!r:.{_MAX_SHOWN}}",
            hint=f"it means: {metadata['doc']}",
        )
    low, high, choices = metadata["low"], metadata["high"], metadata["choices"]
    if (low is not None and value < low) or (high is not None and value > high):
        raise ConfigError(
            f"{where}: {dotted} must be between {low} and {high}, not {value}",
            hint=f"it means: {metadata['doc']}",
        )
    is_path = metadata["is_path"] and value not in choices
    if choices and value not in choices and not (is_path and _is_named_path(str(value))):
        raise ConfigError(
            f"{where}: {dotted} must be one of {', '.join(choices)}"
            f"{' or a whole path' if is_path else ''}, not {value!r:.{_MAX_SHOWN}}"
        )
    if is_path and not _is_whole_path(str(value)):
        raise ConfigError(
            f"{where}: {dotted} must be a whole path, not {value!r:.{_MAX_SHOWN}}",
            hint="a relative one would mean another folder wherever you stand",
        )
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{where}: {dotted} must not contain a NUL character")
    return value


def _is_named_path(value: str) -> bool:
    """Whether it may mean a path, where words have a meaning too."""
    return os.sep in value or "/" in value


def _is_whole_path(path: str) -> bool:
    """Whether `path` is absolute or begins with a home folder; an empty one stands for none."""
    return not path or os.path.isabs(os.path.expanduser(path))  # noqa: PTH111, PTH117


_TYPE_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
}
