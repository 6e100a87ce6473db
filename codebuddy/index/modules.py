"""What a file imports -> the repository's files that it means, by the conventions of languages.

Works on paths alone: no file is opened and no build file is read, so a project that maps
modules elsewhere is met by the ends of paths. It knows nothing of definitions or ranking.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from codebuddy.syntax.traits import IMPORT_CONVENTIONS, WRITTEN_SUFFIXES, ImportConvention

_FAMILY_OF = {
    suffix: family
    for family, convention in IMPORT_CONVENTIONS.items()
    for suffix in convention.suffixes
}
_SEPARATORS = re.compile(r"::|\\|/")
_WRITTEN_SUFFIX = re.compile(rf"\.(?:{WRITTEN_SUFFIXES})$")
_MAX_FILES = 32


def family_of(path: str) -> str:
    """The languages that can import each other's files share a family; empty if unknown."""
    return _FAMILY_OF.get(_suffix_of(path), "")


class ModuleMap:
    """The files of one state of the repository, by the modules that they are."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths: set[str] = set()
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._in_folder: dict[str, list[str]] = defaultdict(list)
        # In one order, whatever order they were indexed in.
        for path in sorted(paths):
            convention = IMPORT_CONVENTIONS.get(family_of(path))
            if convention is None or path.rpartition(".")[2] in convention.importing_only:
                continue
            self._paths.add(path)
            folder, name = posixpath.split(path)
            stem = name.rpartition(".")[0]
            self._by_stem[stem].append(path)
            self._in_folder[folder].append(path)
            if folder:
                self._folders[posixpath.basename(folder)].add(folder)
                if stem in convention.package_stems:
                    self._by_stem[posixpath.basename(folder)].append(path)

    def resolve(self, imports: Sequence[str], path: str, names: Sequence[str] = ()) -> list[str]:
        """The files that the imports of the file `path` lead to, in the imports' order.

        Args:
            imports: As the index keeps them (`a.b`, `..c`, `./d`, `crate::e`, `x/y.h`).
            path: Of the importing file.
            names: Imported or used there: `from . import name` can mean a file of that name.
        """
        convention = IMPORT_CONVENTIONS.get(family_of(path))
        if convention is None:
            return []
        found: dict[str, None] = {}
        for each in imports:
            targets = self._targets(each, path, convention)
            if convention.climbs_by_dots:
                if not each.strip("."):
                    base = _climb(posixpath.dirname(path), len(each) - 1)
                    targets += self._named_in([base], names, convention)
                packages = [
                    posixpath.dirname(each) for each in targets if each.endswith("/__init__.py")
                ]
                targets += self._named_in(packages, names, convention)
            if convention.headers:
                targets += [
                    other for each in targets for other in self._counterparts(each, convention)
                ]
            found.update(dict.fromkeys(targets))
        found.pop(path, None)
        return list(found)

    def _named_in(
        self, folders: Sequence[str], names: Sequence[str], convention: ImportConvention
    ) -> list[str]:
        """The modules of these names in the folders."""
        places = [posixpath.join(folder, name) for folder in folders for name in names]
        return [found for place in places for found in self._at(place, convention)]

    def siblings(self, path: str) -> list[str]:
        """The other files of the folder that `path` lies in, of its family."""
        family = family_of(path)
        near = self._in_folder.get(posixpath.dirname(path), [])
        return [each for each in near if each != path and family_of(each) == family]

    def _targets(self, text: str, path: str, convention: ImportConvention) -> list[str]:
        folder = posixpath.dirname(path)
        if convention.has_crates:
            return self._in_crates(text, path, convention)
        if convention.climbs_by_dots and text.startswith("."):
            rest = text.lstrip(".")
            base = _climb(folder, len(text) - len(rest) - 1)
            return self._longest(base, [part for part in rest.split(".") if part], convention)
        if text.startswith(("./", "../")) or text in (".", ".."):
            return self._at(_normal(folder, _WRITTEN_SUFFIX.sub("", text)), convention)
        if convention.is_dotted:
            bare, separated = text, text.replace(".", "/")
        else:
            bare = separated = _WRITTEN_SUFFIX.sub("", text)
        parts = [part for part in _SEPARATORS.split(separated) if part.strip("@~")]
        if convention.looks_beside:
            beside = self._at(_normal(folder, bare), convention)
            if beside:
                return beside
        return self._by_end(parts, path, convention)

    def _in_crates(self, text: str, path: str, convention: ImportConvention) -> list[str]:
        parts = [part for part in text.split("::") if part]
        folder = posixpath.dirname(path)
        stem = posixpath.basename(path).rpartition(".")[0]
        own = folder if stem in convention.package_stems else posixpath.join(folder, stem)
        if parts and parts[0] == "crate":
            root = _source_root(folder)
            return self._longest(root, parts[1:], convention)
        if parts and parts[0] == "self":
            return self._longest(own, parts[1:], convention)
        if parts and parts[0] == "super":
            n_up = sum(part == "super" for part in parts)
            return self._longest(_climb(own, n_up), parts[n_up:], convention)
        if not parts or parts[0] in ("std", "core", "alloc"):
            return []
        beside = self._at(posixpath.join(own, parts[0]), convention)
        for crate in _crate_folders(parts[0]):
            for each in sorted(self._folders.get("src", ())):
                if posixpath.basename(posixpath.dirname(each)) == crate:
                    return beside + self._longest(each, parts[1:], convention)
        return beside

    def _longest(self, base: str, parts: Sequence[str], convention: ImportConvention) -> list[str]:
        """The module below `base` that the most of `parts` lead to, the rest being names in it."""
        for size in range(len(parts), max(-1, len(parts) - convention.max_names - 1), -1):
            found = self._at(posixpath.join(base, *parts[:size]), convention)
            if found:
                return found
        return []

    def _at(self, module: str, convention: ImportConvention) -> list[str]:
        """The files that are the module at this place: itself, or its folder's own file."""
        places = [
            module,
            *(posixpath.join(module, stem) for stem in sorted(convention.package_stems)),
        ]
        names = [f"{place}.{suffix}" for place in places for suffix in convention.suffixes]
        return [name.removeprefix("./") for name in names if name.removeprefix("./") in self._paths]

    def _by_end(self, parts: Sequence[str], path: str, convention: ImportConvention) -> list[str]:
        """Files or folders whose path ends as the import does, the most of it first."""
        if not parts:
            return []
        # A lone package name such as `com` or `java` says nothing.
        n_kept = min(len(parts), convention.min_words)
        # Package managers put names of hosts and owners before what lies in the tree.
        may_cut = convention.prefixes == "any" or (convention.prefixes and "." in parts[0])
        for n_names in range(min(convention.max_names, len(parts) - n_kept) + 1):
            kept = parts[: len(parts) - n_names]
            for n_leading in range(len(kept) if may_cut else 1):
                found = self._ending(kept[n_leading:], path, convention)
                if found:
                    return found[:_MAX_FILES]
        return []

    def _ending(self, parts: Sequence[str], path: str, convention: ImportConvention) -> list[str]:
        end = "/" + "/".join(parts)
        if convention.target != "folder":
            files = [
                each
                for each in self._by_stem.get(parts[-1], ())
                if _suffix_of(each) in convention.suffixes
                and ("/" + _module_of(each, convention)).endswith(end)
            ]
            if files:
                return _closest(files, path)
        if convention.target != "file":
            folders = [
                each for each in self._folders.get(parts[-1], ()) if f"/{each}".endswith(end)
            ]
            for folder in _closest(folders, path)[:1]:
                near = self._in_folder[folder]
                return [each for each in near if _suffix_of(each) in convention.suffixes]
        return []

    def _counterparts(self, header: str, convention: ImportConvention) -> list[str]:
        """The files that implement what a header declares: same folder or elsewhere, same stem."""
        stem, _, suffix = posixpath.basename(header).rpartition(".")
        if suffix not in convention.headers:
            return []
        same = [
            each
            for each in self._by_stem.get(stem, ())
            if each != header and _suffix_of(each) in convention.suffixes
        ]
        return _closest(same, header)[:2]


def _suffix_of(path: str) -> str:
    return path.rpartition(".")[2].lower()


def _module_of(path: str, convention: ImportConvention) -> str:
    """The path without its suffix, or its folder where it stands for that."""
    whole = path.rpartition(".")[0]
    folder, stem = posixpath.split(whole)
    return folder if stem in convention.package_stems and folder else whole


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
