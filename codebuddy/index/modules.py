"""What a file imports -> the repository's files that it means, by the conventions of languages.

Works on paths alone: no file is opened and no build file is read, so a project that maps
modules elsewhere is met by the ends of paths. It knows nothing of definitions or ranking.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

# A file of this stem is its folder's module.
_FOLDER_STEMS = frozenset({"__init__", "index", "mod", "lib", "main"})
_HEADER_SUFFIXES = frozenset({"h", "hh", "hpp", "hxx"})
_FAMILIES = {
    "python": ("py", "pyi", "pyx", "ipynb"),
    "javascript": ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte", "astro"),
    "go": ("go",),
    "rust": ("rs",),
    "java": ("java", "kt", "kts", "scala", "groovy"),
    "c": ("c", "cc", "cpp", "cxx", "m", "mm", "cu", *sorted(_HEADER_SUFFIXES)),
    "ruby": ("rb",),
    "php": ("php",),
    "c_sharp": ("cs",),
    "swift": ("swift",),
    "dart": ("dart",),
    "lua": ("lua",),
    "elixir": ("ex", "exs"),
}
_FAMILY_OF = {suffix: family for family, suffixes in _FAMILIES.items() for suffix in suffixes}
_DOTTED = frozenset({"python", "java", "c_sharp", "lua"})
# Their imports name folders, each file of which is meant.
_FOLDER_IMPORTS = frozenset({"go", "java", "c_sharp"})
_SEPARATORS = re.compile(r"::|\\|/")
_SCRIPT_SUFFIX = re.compile(r"\.(?:[cm]?[jt]sx?|vue|svelte|astro|hpp|hh|hxx|h|rb|php|dart|lua)$")
_MAX_FILES = 32
# An import's last words may be names within a module; more of them are none of ours.
_MAX_TRAILING = 2


def family_of(path: str) -> str:
    """The languages that can import each other's files share a family; empty if unknown."""
    return _FAMILY_OF.get(path.rpartition(".")[2].lower(), "")


class ModuleMap:
    """The files of one state of the repository, by the modules that they are."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths: set[str] = set()
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._in_folder: dict[str, list[str]] = defaultdict(list)
        # In one order, whatever order they were indexed in.
        for path in sorted(paths):
            # Notebooks import, and nothing imports them.
            if not family_of(path) or path.endswith(".ipynb"):
                continue
            self._paths.add(path)
            folder, name = posixpath.split(path)
            stem = name.rpartition(".")[0]
            self._by_stem[stem].append(path)
            self._in_folder[folder].append(path)
            if folder:
                self._folders[posixpath.basename(folder)].add(folder)
                if stem in _FOLDER_STEMS:
                    self._by_stem[posixpath.basename(folder)].append(path)

    def resolve(self, imports: Sequence[str], path: str, names: Sequence[str] = ()) -> list[str]:
        """The files that the imports of the file `path` lead to, in the imports' order.

        Args:
            imports: As the index keeps them (`a.b`, `..c`, `./d`, `crate::e`, `x/y.h`).
            path: Of the importing file.
            names: Imported or used there: `from . import name` can mean a file of that name.
        """
        family = family_of(path)
        found: dict[str, None] = {}
        for each in imports:
            targets = self._targets(each, path, family)
            if family == "python" and not each.strip("."):
                base = _climb(posixpath.dirname(path), len(each) - 1)
                for name in names:
                    targets += self._at(posixpath.join(base, name), family)
            if family == "python":
                packages = [t for t in targets if t.endswith("/__init__.py")]
                for package in packages:
                    for name in names:
                        targets += self._at(
                            posixpath.join(posixpath.dirname(package), name), family
                        )
            if family == "c":
                targets += [other for target in targets for other in self._counterparts(target)]
            found.update(dict.fromkeys(targets))
        found.pop(path, None)
        return list(found)

    def siblings(self, path: str) -> list[str]:
        """The other files of the folder that `path` lies in, of its family."""
        family = family_of(path)
        near = self._in_folder.get(posixpath.dirname(path), [])
        return [each for each in near if each != path and family_of(each) == family]

    def _targets(self, text: str, path: str, family: str) -> list[str]:
        folder = posixpath.dirname(path)
        if family == "rust":
            return self._rust(text, path)
        if family == "python" and text.startswith("."):
            rest = text.lstrip(".")
            base = _climb(folder, len(text) - len(rest) - 1)
            return self._longest(base, [part for part in rest.split(".") if part], family)
        if text.startswith(("./", "../")) or text in (".", ".."):
            return self._at(_normal(folder, _SCRIPT_SUFFIX.sub("", text)), family)
        bare = _SCRIPT_SUFFIX.sub("", text) if family not in _DOTTED else text
        separated = bare.replace(".", "/") if family in _DOTTED else bare
        parts = [part for part in _SEPARATORS.split(separated) if part.strip("@~")]
        if family in ("c", "ruby", "php", "dart"):
            beside = self._at(_normal(folder, bare), family)
            if beside:
                return beside
        return self._by_end(parts, path, family)

    def _rust(self, text: str, path: str) -> list[str]:
        parts = [part for part in text.split("::") if part]
        stem = posixpath.basename(path).removesuffix(".rs")
        folder = posixpath.dirname(path)
        own = folder if stem in _FOLDER_STEMS else posixpath.join(folder, stem)
        if parts and parts[0] == "crate":
            root = _source_root(folder)
            return self._longest(root, parts[1:], "rust")
        if parts and parts[0] == "self":
            return self._longest(own, parts[1:], "rust")
        if parts and parts[0] == "super":
            n_up = sum(part == "super" for part in parts)
            return self._longest(_climb(own, n_up), parts[n_up:], "rust")
        if not parts or parts[0] in ("std", "core", "alloc"):
            return []
        beside = self._at(posixpath.join(own, parts[0]), "rust")
        for crate in _crate_folders(parts[0]):
            for each in sorted(self._folders.get("src", ())):
                if posixpath.basename(posixpath.dirname(each)) == crate:
                    return beside + self._longest(each, parts[1:], "rust")
        return beside

    def _longest(self, base: str, parts: Sequence[str], family: str) -> list[str]:
        """The module below `base` that the most of `parts` lead to, the rest being names in it."""
        for size in range(len(parts), max(-1, len(parts) - _MAX_TRAILING - 1), -1):
            found = self._at(posixpath.join(base, *parts[:size]), family)
            if found:
                return found
        return []

    def _at(self, module: str, family: str) -> list[str]:
        """The files that are the module at this place: itself, or its folder's own file."""
        places = [module, *(posixpath.join(module, stem) for stem in sorted(_FOLDER_STEMS))]
        names = [f"{place}.{suffix}" for place in places for suffix in _FAMILIES.get(family, ())]
        return [name.removeprefix("./") for name in names if name.removeprefix("./") in self._paths]

    def _by_end(self, parts: Sequence[str], path: str, family: str) -> list[str]:
        """Files or folders whose path ends as the import does, the most of it first."""
        if not parts:
            return []
        # A lone package name such as `com` or `java` says nothing.
        n_kept = min(len(parts), 1 if family == "python" else 2)
        # Package managers put names of hosts and owners before what lies in the tree.
        may_cut = family in ("php", "javascript") or (family == "go" and "." in parts[0])
        for n_trailing in range(min(_MAX_TRAILING, len(parts) - n_kept) + 1):
            kept = parts[: len(parts) - n_trailing]
            for n_leading in range(len(kept) if may_cut else 1):
                found = self._ending(kept[n_leading:], path, family)
                if found:
                    return found[:_MAX_FILES]
            if family == "javascript":
                break
        return []

    def _ending(self, parts: Sequence[str], path: str, family: str) -> list[str]:
        end = "/" + "/".join(parts)
        if family != "go":
            files = [
                each
                for each in self._by_stem.get(parts[-1], ())
                if family_of(each) == family and ("/" + _module_of(each)).endswith(end)
            ]
            if files:
                return _closest(files, path)
        if family in _FOLDER_IMPORTS:
            folders = [
                each for each in self._folders.get(parts[-1], ()) if f"/{each}".endswith(end)
            ]
            for folder in _closest(folders, path)[:1]:
                return [each for each in self._in_folder[folder] if family_of(each) == family]
        return []

    def _counterparts(self, header: str) -> list[str]:
        """The files that implement what a header declares: same folder or elsewhere, same stem."""
        stem, _, suffix = posixpath.basename(header).rpartition(".")
        if suffix not in _HEADER_SUFFIXES:
            return []
        same = [each for each in self._by_stem.get(stem, ()) if family_of(each) == "c"]
        return _closest([each for each in same if each != header], header)[:2]


def _module_of(path: str) -> str:
    """The path without its suffix, or its folder where it stands for that."""
    whole = path.rpartition(".")[0]
    folder, stem = posixpath.split(whole)
    return folder if stem in _FOLDER_STEMS and folder else whole


def _closest(paths: Iterable[str], path: str) -> list[str]:
    """Those that share most folders with `path` first, then the shortest."""
    own = path.split("/")[:-1]

    def shared(other: str) -> int:
        count = 0
        for mine, theirs in zip(own, other.split("/"), strict=False):
            if mine != theirs:
                break
            count += 1
        return count

    return sorted(paths, key=lambda each: (-shared(each), len(each), each))


def _climb(folder: str, n_up: int) -> str:
    for _ in range(max(0, n_up)):
        folder = posixpath.dirname(folder)
    return folder


def _normal(folder: str, relative: str) -> str:
    return posixpath.normpath(posixpath.join(folder, relative))


def _source_root(folder: str) -> str:
    """The nearest folder named `src` at or above `folder`, else `folder` itself."""
    parts = folder.split("/")
    for size in range(len(parts), 0, -1):
        if parts[size - 1] == "src":
            return "/".join(parts[:size])
    return folder


def _crate_folders(crate: str) -> list[str]:
    """What a crate's folder may be called: `grep_matcher` can lie in grep-matcher or matcher."""
    names = [crate, crate.replace("_", "-")]
    if "_" in crate:
        names.append(crate.partition("_")[2].replace("_", "-"))
        names.append(crate.partition("_")[2])
    return list(dict.fromkeys(names))
