"""Which file of the repository an import means, and whether it still has the name.

Python by its reference ("The import system") with the usual source roots; JavaScript and
TypeScript by relative paths. What is uncertain is `None`: a rule reports nothing rather than guess.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from codebuddy.hook.state import SourceFile, State
from codebuddy.syntax.imported import ImportedName

Exists = Callable[[str], bool]

_SOURCE_FOLDERS = ("", "src", "lib", "python")
_SCRIPT_SUFFIXES = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts")
_COMPONENT_SUFFIXES = (".vue", ".svelte", ".astro")
_TYPESCRIPT_OF = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
_MAX_HOPS = 4
# Any of these may bind names that no tool can see.
_DYNAMIC_PYTHON = re.compile(
    rb"^(?:async )?def __getattr__|^[^\S\n]*+__getattr__\s*[=,:]|globals\(\)|\bexec\("
    rb"|sys\.modules\[(?:__name__|[^\]\n]{0,200}\]\s*=(?!=))"
    rb"|setattr\(sys|^__path__|(?<![\w.])vars\(\)|import\s+__getattr__|(?<![\w.])locals\(\)",
    re.MULTILINE,
)
_DYNAMIC_SCRIPT = re.compile(
    rb"export\s*\*|module\.exports|\bexports\b|export\s*=|declare\s+module"
)
_SCRIPT_ELSEWHERE = re.compile(rb"<script\b[^>]{0,2000}\bsrc\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UnresolvedImport:
    """What became of an import: `missing` is `module` or `name`, `path` the module's file."""

    missing: Literal["module", "name"]
    path: str


class Resolver:
    """Resolves imports in one state of the repository."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._modules: dict[tuple[str, bool, str], str | None] = {}

    def module(self, importer: str, module: str) -> str | None:
        """The file of the new state that `module` means in the file `importer`."""
        # Files of one folder see the same modules.
        key = (posixpath.dirname(importer), _is_python(importer), module)
        if key not in self._modules:
            self._modules[key] = self._find(importer, module, self._state.exists)
        return self._modules[key]

    def former_module(self, importer: str, module: str) -> str | None:
        """The file that `module` meant, where the change took it away."""
        if self.module(importer, module) is not None:
            return None
        return self._find(
            importer, module, lambda path: self._state.was_there(path) or self._state.exists(path)
        )

    def target(self, importer: str, module: str, name: str) -> tuple[str, str] | None:
        """The file and name that `name` of `module` comes from, through re-exports.

        The name is empty where a module is meant.
        """
        for _ in range(_MAX_HOPS):
            path = self.module(importer, module)
            if path is None:
                return None
            if not name:
                return path, ""
            file = self._state.file(path)
            if file is None:
                return None
            if name in file.top_level():
                return path, name
            again = next((each for each in file.imported if each.alias == name), None)
            if again is None or again.name == "*":
                inner = self._submodule(path, name, self._state.exists)
                return (inner, "") if inner else None
            importer, module, name = path, again.module, again.name
        return None

    def unresolved(self, importer: str, each: ImportedName) -> UnresolvedImport | None:
        """What is missing of an import, if anything is for sure."""
        if each.is_guarded or each.module.startswith(("node:", "#")):
            return None
        path = self.module(importer, each.module)
        if path is None:
            former = self.former_module(importer, each.module)
            return UnresolvedImport("module", former) if former else None
        if not each.name or each.name == "*":
            return None
        file = self._state.file(path)
        if file is None or self._provides(file, each.name) is not False:
            return None
        if not each.module.startswith(".") and _is_own_empty_package(importer, path, file):
            return None
        if _is_python(path):
            if self._has_submodule(path, each.name):
                return None
            former = self._submodule(path, each.name, self._state.was_there)
            if former:
                return UnresolvedImport("module", former)
        return UnresolvedImport("name", path)

    def provides(self, path: str, name: str) -> bool | None:
        """Whether the file has `name` at its top level in the new state; `None` if unsure."""
        file = self._state.file(path)
        return None if file is None else self._provides(file, name)

    def _provides(self, file: SourceFile, name: str) -> bool | None:
        if file.tree is None or file.tree.root_node.has_error:
            return None
        if not _is_python(file.path):
            is_component = file.path.endswith(_COMPONENT_SUFFIXES)
            if is_component and name == "default":
                return True
            if _DYNAMIC_SCRIPT.search(file.code) or b"export" not in file.code:
                return None
            if is_component and _SCRIPT_ELSEWHERE.search(file.source):
                return None
            if name == "default" and b"default" in file.source:
                return True
            # As a whole word of the code: `slug` is not in `slugify`, nor in a comment.
            is_quoted = any(file.holds_word(f"{sign}{name}{sign}") for sign in "'\"")
            return is_quoted or bool(file.occurrences([name]))
        if name.startswith("__") and name.endswith("__"):
            return None
        if _DYNAMIC_PYTHON.search(file.source):
            return None
        places = [each for each in file.occurrences([name]) if each.receiver is None]
        if any(each.role in ("bind", "import") and not each.is_local for each in places):
            return True
        for each in file.imported:
            if each.alias.partition(".")[0] == name:
                return True
            if each.name == "*":
                # What a star brings is known only if its module is ours.
                inner = self.module(file.path, each.module)
                found = None if inner in (None, file.path) else self.provides(str(inner), name)
                if found is not False:
                    return found
        return False

    def _has_submodule(self, path: str, name: str) -> bool:
        """Whether a package may have a module `name` of any kind."""
        if posixpath.basename(path) not in ("__init__.py", "__init__.pyi"):
            return False
        if self._submodule(path, name, self._state.exists):
            return True
        folder = posixpath.join(posixpath.dirname(path), name)
        return any(self._state.exists(folder + end) for end in (".pyx", ".so", ".pyd", ".c"))

    def _submodule(self, path: str, name: str, exists: Exists) -> str | None:
        if posixpath.basename(path) not in ("__init__.py", "__init__.pyi"):
            return None
        return _first(_python_files(posixpath.join(posixpath.dirname(path), name)), exists)

    def _find(self, importer: str, module: str, exists: Exists) -> str | None:
        if not _is_python(importer):
            return _script(importer, module, exists)
        bare = module.lstrip(".")
        parts = [part for part in bare.split(".") if part]
        n_dots = len(module) - len(bare)
        if n_dots:
            folder = posixpath.dirname(importer)
            for _ in range(n_dots - 1):
                folder = posixpath.dirname(folder)
            return _first(_python_files(posixpath.join(folder, *parts)), exists)
        return self._absolute(importer, parts, exists)

    def _absolute(self, importer: str, parts: list[str], exists: Exists) -> str | None:
        if not parts or parts[0] in sys.stdlib_module_names:
            # In a folder without `__init__.py` a `json` of the package's own looks like a root's.
            return None
        folder = posixpath.dirname(importer)
        while True:
            for source in _SOURCE_FOLDERS:
                root = posixpath.join(folder, source) if source else folder
                # A folder that is a package is no root: `pkg/io.py` is not the module `io`.
                if exists(posixpath.join(root, "__init__.py")):
                    continue
                found = _first(_python_files(posixpath.join(root, *parts)), exists)
                if found:
                    return found
            if not folder:
                return None
            folder = posixpath.dirname(folder)


def _is_own_empty_package(importer: str, path: str, file: SourceFile) -> bool:
    """Whether `path` makes a package of the importer's own folder, below the top, and is empty.

    In `examples/pydantic/tasks.py` the name `pydantic` rather means the library.
    """
    folder = posixpath.dirname(path)
    is_own = importer.startswith(f"{folder}/") and "/" in folder
    is_source = posixpath.dirname(folder) in _SOURCE_FOLDERS
    return is_own and not is_source and not file.source.strip()


def module_word(path: str) -> str:
    """The last word of the module that a file is."""
    parts = path.split("/")
    stem = parts[-1].partition(".")[0]
    return parts[-2] if stem in ("__init__", "index") and len(parts) > 1 else stem


def _is_python(path: str) -> bool:
    return path.endswith((".py", ".pyi", ".ipynb"))


def _python_files(module: str) -> Iterator[str]:
    if module:
        yield f"{module}.py"
    yield posixpath.join(module, "__init__.py")
    yield f"{module}.pyi"


def _script(importer: str, module: str, exists: Exists) -> str | None:
    if not module.startswith(("./", "../")) and module not in (".", ".."):
        return None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(importer), module))
    if place.startswith(".."):
        return None
    stem, suffix = posixpath.splitext(place)
    candidates = [place] if suffix else []
    candidates += [stem + other for other in _TYPESCRIPT_OF.get(suffix, ())]
    candidates += [place + other for other in (*_SCRIPT_SUFFIXES, *_COMPONENT_SUFFIXES)]
    candidates += [posixpath.join(place, "index" + other) for other in _SCRIPT_SUFFIXES]
    return _first(iter(candidates), exists)


def _first(paths: Iterator[str], exists: Exists) -> str | None:
    return next((path for path in paths if exists(path)), None)
