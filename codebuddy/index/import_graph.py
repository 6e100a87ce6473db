"""The import graph around a file: imported files, their re-exports, sibling files.

Paths and imports only; which of their definitions matter is for others to say. It reads
inside the caller's snapshot.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence

from codebuddy.index.modules import ModuleMap
from codebuddy.index.store import Store
from codebuddy.syntax.traits import PACKAGE_STEMS

# How far `export * from` is followed, and how wide.
_MAX_HOPS = 3
_MAX_FILES = 40
# A file with fewer lines for each of its imports has little of its own.
_LINES_PER_IMPORT = 5


class ImportGraph:
    """Answers for one state of the index."""

    def __init__(self, store: Store, modules: ModuleMap) -> None:
        self._store = store
        self._modules = modules
        self._reexports: dict[str, tuple[str, ...]] = {}

    def imported_files(
        self, path: str, names: Sequence[str], imports: Sequence[str] | None
    ) -> list[str]:
        """The files that the imports of the file `path` lead to, as far as they are indexed.

        Args:
            path: Of the importing file.
            names: Imported there; a name can be that of a module.
            imports: What it imports; what the index knows of that if `None`.
        """
        known = self._imports(path) if imports is None else imports
        return self._modules.resolve(known, path, names)

    def with_reexports(self, paths: Sequence[str]) -> list[str]:
        """`paths`, then the files that those of them import which are there to pass on others."""
        found = dict.fromkeys(paths)
        begun = list(paths)
        for _ in range(_MAX_HOPS):
            reached = []
            for each in begun:
                targets = self._modules.resolve(self._reexports_of(each), each)
                reached += [target for target in targets if target not in found]
            found.update(dict.fromkeys(reached))
            begun = reached
        return list(found)[:_MAX_FILES]

    def sibling_files(self, path: str) -> list[str]:
        """The other files of the folder, of the same family of languages."""
        return self._modules.siblings(path)[:_MAX_FILES]

    def _reexports_of(self, path: str) -> tuple[str, ...]:
        """The imports of a file that is there to pass them on, by its name or by having no more."""
        if path not in self._reexports:
            self._reexports[path] = self._read_reexports(path)
        return self._reexports[path]

    def _read_reexports(self, path: str) -> tuple[str, ...]:
        stored = self._store.file_of(os.fsencode(path))
        if stored is None:
            return ()
        imports = self._store.imports_of(stored.id)
        # What stands for a folder often passes on what the others in it define.
        is_named_so = posixpath.basename(path).partition(".")[0] in PACKAGE_STEMS
        return imports if is_named_so or stored.n_lines <= _LINES_PER_IMPORT * len(imports) else ()

    def _imports(self, path: str) -> tuple[str, ...]:
        stored = self._store.file_of(os.fsencode(path))
        return () if stored is None else self._store.imports_of(stored.id)
