"""The repository as it would be after the commit, and the changed files as they were before.

Contents come from git's objects alone, never from the work tree: what is checked is what is
committed. Everything is read when a rule asks for it and kept for the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from codebuddy.hook.lines import added_lines
from codebuddy.index.file_role import role_of
from codebuddy.source_text import as_utf8
from codebuddy.syntax.limits import reason_not_to_parse
from codebuddy.vcs.plumbing import ObjectReader, RawChange, Revision

if TYPE_CHECKING:
    from codebuddy.hook.notebook_code import CellCode
    from codebuddy.index.symbols import FoundDefinition, Symbols
    from codebuddy.syntax.grammar import Node, Tree
    from codebuddy.syntax.imported import ImportedName
    from codebuddy.syntax.occurrences import Occurrence

PARSE_BUDGET_MS = 300
# Further changed files are still checked by name and size, no longer by content.
MAX_READ_CHANGES = 500
_MAX_CHANGES = 10_000
_REGULAR_MODES = frozenset({"100644", "100755"})


class SourceFile:
    """One content of one path; what is known of it is worked out when it is asked for.

    `source` is UTF-8 without a byte order mark, whatever the file's own encoding is.
    """

    def __init__(self, path: str, source: bytes, cells: CellCode | None = None) -> None:
        """`cells` is the code that stands for a notebook's `source` in everything but `raw`."""
        self.path = path
        self.source = source if cells is None else cells.text.encode("utf-8", "replace")
        self.cells = cells
        self._stored = source

    @property
    def raw(self) -> SourceFile:
        """The file as a plain text, with all that is not code."""
        return self if self.cells is None else SourceFile(self.path, self._stored)

    @cached_property
    def language(self) -> str:
        """The language of its code, `text` if unknown."""
        return self._code[0]

    @property
    def code(self) -> bytes:
        """The source with what is no code of its language masked; every byte in its place."""
        return self._code[1]

    @cached_property
    def _code(self) -> tuple[str, bytes]:
        from codebuddy.syntax.embedded import COMPONENTS, script_of
        from codebuddy.syntax.languages import NOTEBOOK, NOTEBOOK_CODE, language_for
        from codebuddy.syntax.notebook import is_notebook_text, parsable

        language = language_for(self.path, self.source[:4096])
        if language in COMPONENTS:
            # One without a script is imported like any other.
            return script_of(self.source, language) or ("javascript", b"")
        if language == NOTEBOOK and (self.cells or not is_notebook_text(self.source)):
            language = self.cells.language if self.cells else NOTEBOOK_CODE
            text = self.source.decode("utf-8", "surrogateescape")
            return language, parsable(text, language).encode("utf-8", "surrogateescape")
        return language, self.source

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their endings; what is no character is U+FFFD."""
        return self.source.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")

    @cached_property
    def tree(self) -> Tree | None:
        """The syntax tree, or `None` where there can be none."""
        from codebuddy.syntax.grammar import grammar_for, parse

        if grammar_for(self.language) is None or reason_not_to_parse(self.code, self.language):
            return None
        return parse(self.code, self.language, PARSE_BUDGET_MS)

    @cached_property
    def symbols(self) -> Symbols:
        """Definitions, references and imports; none where there is no tree."""
        import time

        from codebuddy.index.symbols import Symbols, find_symbols
        from codebuddy.syntax.grammar import grammar_for
        from codebuddy.syntax.limits import OutOfTimeError

        grammar = grammar_for(self.language)
        if self.tree is None or grammar is None:
            return Symbols((), (), ())
        try:
            deadline = time.monotonic() + PARSE_BUDGET_MS / 1000
            return find_symbols(self.tree, self.code, grammar, deadline)
        except OutOfTimeError:
            return Symbols((), (), ())

    @cached_property
    def imported(self) -> tuple[ImportedName, ...]:
        """What a Python or JavaScript file imports."""
        from codebuddy.syntax.imported import find_imported

        if self.tree is None:
            return ()
        return find_imported(self.tree, self.code, self.language)

    def occurrences(self, names: Iterable[str]) -> list[Occurrence]:
        """Where `names` stand in the code of a Python or JavaScript file."""
        from codebuddy.syntax.occurrences import find_occurrences

        return (
            []
            if self.tree is None
            else find_occurrences(self.tree, self.code, self.language, names)
        )

    def holds_word(self, name: str) -> bool:
        """Whether the text holds `name`, code or not."""
        return name.encode("utf-8", "surrogateescape") in self.source

    def holds_beside_code(self, name: str) -> bool:
        """Whether a part that is no code of its language, such as markup, holds `name`."""
        if self.code is self.source:
            return False
        word = re.compile(
            rb"(?<![\w$])" + re.escape(name.encode("utf-8", "surrogateescape")) + rb"(?![\w$])"
        )
        return len(word.findall(self.source)) > len(word.findall(self.code))

    def defines(self, name: str) -> bool:
        """Whether the text seems to define a function `name`, without a parser."""
        word = re.escape(name.encode("utf-8", "surrogateescape"))
        pattern = (
            rb"\b(?:def|fn|func|function|fun|sub)\s+"
            + word
            + rb"\b|(?m:^[^\S\n]*+)"
            + word
            + rb"\s*\("
        )
        return re.search(pattern, self.source) is not None

    def node_at(self, line: int, column: int) -> Node | None:
        """The smallest node of the tree at a 1-based place; the column counts code points."""
        if self.tree is None:
            return None
        place = (line - 1, len(self.lines[line - 1][: column - 1].encode()))
        return self.tree.root_node.descendant_for_point_range(place, place)

    def line(self, number: int) -> str:
        """One line, without the white space around it."""
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def top_level(self) -> dict[str, FoundDefinition]:
        """Definitions outside classes and functions, by name; of several the first."""
        found: dict[str, FoundDefinition] = {}
        for each in self.symbols.definitions:
            if each.qualified == each.name:
                found.setdefault(each.name, each)
        return found


@dataclass(frozen=True, slots=True)
class Change:
    """One changed file. `old_path` is empty for a new one, `path` for a deleted one."""

    status: str
    old_path: str
    path: str
    old_object: str
    new_object: str


class State:
    """The state `revision` and how it differs from an older one.

    Args:
        reader: Of the repository's objects.
        revision: The state.
        raw_changes: What is different.
        paths: Lists the paths of the state; called when one is asked for that did not change.
        max_file_bytes: Larger files are not read.
        max_read: Changed files that are read at most.
    """

    def __init__(
        self,
        reader: ObjectReader,
        revision: Revision,
        raw_changes: Iterable[RawChange],
        paths: Callable[[], frozenset[bytes]],
        max_file_bytes: int,
        *,
        max_read: int = MAX_READ_CHANGES,
    ) -> None:
        self._max_read = max_read
        self._reader = reader
        self._revision = revision
        self._max_bytes = max_file_bytes
        self._new: dict[str, SourceFile | None] = {}
        self._old: dict[str, SourceFile | None] = {}
        self._list_paths = paths
        self._paths: frozenset[bytes] | None = None
        self._added: dict[str, frozenset[int]] = {}
        self._missing: dict[str, None] = {}
        self.changes: list[Change] = []
        self.n_left_out = 0
        for count, raw in enumerate(raw_changes):
            if count >= max(_MAX_CHANGES, max_read):
                self.n_left_out += 1
            elif {raw.old_mode, raw.new_mode} & _REGULAR_MODES:
                self.changes.append(_change(raw))
        # Whether there were more files than may be looked at.
        self.is_cut = self.n_left_out > 0
        self._by_path = {each.path: each for each in self.changes if each.path}
        self._by_old_path = {each.old_path: each for each in self.changes if each.old_path}

    def was_there(self, path: str) -> bool:
        """Whether a path that is gone now was a file before."""
        return path in self._by_old_path

    def exists(self, path: str) -> bool:
        """Whether the new state has the file."""
        if path in self._by_path:
            return True
        if path in self._by_old_path:
            return False
        if self._paths is None:
            # All at once: a question to git for each takes longer from the tenth on.
            self._paths = self._list_paths()
        return os.fsencode(path) in self._paths

    def file(self, path: str) -> SourceFile | None:
        """The file in the new state, or `None` if it is none, binary or too large."""
        if path not in self._new:
            change = self._by_path.get(path)
            if change is not None:
                name = change.new_object.encode()
            elif path in self._by_old_path:
                name = b""
            else:
                name = self._revision.name_of(os.fsencode(path))
            self._new[path] = self._read(path, name, is_object=change is not None)
        return self._new[path]

    def old_file(self, path: str) -> SourceFile | None:
        """The file that lay at `path` before, if the change touched it."""
        if path not in self._old:
            change = self._by_old_path.get(path)
            name = change.old_object.encode() if change else b""
            self._old[path] = self._read(path, name, is_object=True)
        return self._old[path]

    def size_of(self, change: Change) -> int:
        """Bytes of the new content."""
        return self._reader.size_of(change.new_object.encode()) or 0

    def content(self, change: Change, max_bytes: int) -> bytes | None:
        """The new content whatever it is, unless it is larger than `max_bytes`."""
        return self._reader.read(change.new_object.encode(), max_bytes)

    def written(self) -> Iterator[tuple[Change, SourceFile]]:
        """Changed files that people write: no vendored, generated, binary or huge ones."""
        count = 0
        for change in self.changes:
            if not change.path or role_of(change.path) in ("vendored", "generated"):
                continue
            if count >= self._max_read:
                self.is_cut = True
                break
            count += 1
            file = self.file(change.path)
            if file is not None and role_of(change.path, file.source) in ("code", "test"):
                yield change, file

    def added(self, change: Change) -> frozenset[int]:
        """The 1-based numbers of the lines that are new in the new content."""
        known = self._added.get(change.path)
        if known is None:
            file = self.file(change.path)
            old = self.old_file(change.old_path) if change.old_path else None
            if file is None or (old is None and self._is_old_unknown(change)):
                # Against nothing every line would be new.
                known = frozenset()
            else:
                known = added_lines(old.lines if old else [], file.lines)
            self._added[change.path] = known
        return known

    @property
    def missing_paths(self) -> list[str]:
        """Changed files with a content that git names and does not have, as far as was asked."""
        return list(self._missing)

    def added_text(self, change: Change) -> frozenset[int]:
        """The same for the file as a plain text: of a notebook, its outputs too."""
        file = self.file(change.path)
        if file is None or file.cells is None:
            return self.added(change)
        old = self.old_file(change.old_path) if change.old_path else None
        return added_lines(old.raw.lines if old else [], file.raw.lines)

    def _is_old_unknown(self, change: Change) -> bool:
        """Whether there is an older text that could not be had."""
        if not change.old_path:
            return False
        size = self._reader.size_of(change.old_object.encode())
        return size is None or size > self._max_bytes

    def _read(self, path: str, name: bytes, *, is_object: bool = False) -> SourceFile | None:
        if not name:
            return None
        content = self._reader.read(name, self._max_bytes)
        if content is None and is_object and self._reader.size_of(name) is None:
            self._missing[path] = None
        source = None if content is None else as_utf8(content)
        if source is None:
            return None
        if path.endswith(".ipynb"):
            from codebuddy.hook.notebook_code import read_cell_code

            return SourceFile(path, source, read_cell_code(source))
        return SourceFile(path, source)


def _change(raw: RawChange) -> Change:
    has_old, has_new = raw.old_mode in _REGULAR_MODES, raw.new_mode in _REGULAR_MODES
    if raw.status == "C":
        # The original stays where it is.
        has_old = False
    return Change(
        status=raw.status,
        old_path=os.fsdecode(raw.old_path) if has_old else "",
        path=os.fsdecode(raw.path) if has_new else "",
        old_object=raw.old_object if has_old else "",
        new_object=raw.new_object if has_new else "",
    )
