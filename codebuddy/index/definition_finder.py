"""Names at a place in a file -> the definitions elsewhere that they may mean.

What the file imports comes first, then what those files re-export or stand beside, then the
file's own folder, and the bare name last. It reads inside the caller's snapshot.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence

from codebuddy.datatypes import Definition, DefinitionRoute, ResolvedDefinition
from codebuddy.index.cochange import CoChange
from codebuddy.index.import_graph import ImportGraph
from codebuddy.index.modules import ModuleMap, family_of
from codebuddy.index.store import Store
from codebuddy.index.terms import normalized_name
from codebuddy.syntax.spec import VALUE_KINDS
from codebuddy.syntax.traits import PACKAGE_STEMS

# Definitions of one name that are looked at by the name alone.
_SEEN_PER_NAME = 64
_MAX_NEAR_FILES = 200
_ROUTE_ORDER: dict[DefinitionRoute, int] = {"import": 0, "package": 1, "folder": 2, "name": 3}


class DefinitionFinder:
    """Looks names up for one file of one state of the index.

    Args:
        store: The index.
        modules: Its files, as modules.
        neighbourhood: What its files pass on.
        history: Which files change together.
        path: The file that the names stand in; it need not be indexed, nor exist.
        imports: What it imports, or `None` for what the index knows of it.
        names: All names that will be asked for.
    """

    def __init__(
        self,
        store: Store,
        modules: ModuleMap,
        import_graph: ImportGraph,
        history: CoChange,
        path: str,
        imports: Sequence[str] | None,
        names: Sequence[str],
    ) -> None:
        self._store = store
        self._path = path
        self._family = family_of(path)
        self._closeness = history.changed_with(path)
        stored = store.file_of(os.fsencode(path))
        self._own_role = stored.role if stored is not None else "code"
        self._own_id = stored.id if stored is not None else -1
        if imports is None:
            imports = store.imports_of(stored.id) if stored is not None else ()
        self._routes = self._near_files(modules, import_graph, imports, names)

    def find(self, name: str, limit: int) -> list[ResolvedDefinition]:
        """The likeliest definitions of `name` in other files, at most `limit`."""
        key = normalized_name(name)
        known = self._store.definitions_in(name, key, [file for file, _ in self._routes.values()])
        if len(known) < limit:
            known += self._store.definitions_named(name, key, _SEEN_PER_NAME)
        places = {(each.path, each.line): each for each in known if each.path != self._path}
        found = [ResolvedDefinition(each, self._route(each)) for each in places.values()]
        return sorted(found, key=self._order)[:limit]

    def defines_itself(self, name: str) -> bool:
        """Whether the file itself defines `name`."""
        return bool(self._store.definitions_in(name, normalized_name(name), [self._own_id]))

    def _near_files(
        self,
        modules: ModuleMap,
        import_graph: ImportGraph,
        imports: Sequence[str],
        names: Sequence[str],
    ) -> dict[str, tuple[int, DefinitionRoute]]:
        """path -> (file id, route), of the files that lead to definitions by more than a name."""
        direct = modules.resolve(imports, self._path, names)
        beside = import_graph.with_reexports(direct)
        for each in direct:
            if posixpath.basename(each).partition(".")[0] in PACKAGE_STEMS:
                beside += modules.siblings(each)
        routes: dict[str, DefinitionRoute] = dict.fromkeys(direct, "import")
        for each in beside[:_MAX_NEAR_FILES]:
            routes.setdefault(each, "package")
        for each in modules.siblings(self._path)[:_MAX_NEAR_FILES]:
            routes.setdefault(each, "folder")
        ids = self._store.file_ids([os.fsencode(each) for each in routes])
        return {
            path: (ids[raw], route)
            for path, route in routes.items()
            if (raw := os.fsencode(path)) in ids
        }

    def _route(self, definition: Definition) -> DefinitionRoute:
        return self._routes.get(definition.path, (0, "name"))[1]

    def _order(self, resolved: ResolvedDefinition) -> tuple[object, ...]:
        definition = resolved.definition
        stored = self._store.file_of(os.fsencode(definition.path))
        role = stored.role if stored is not None else "code"
        return (
            # No language uses another family's names, as long as both are known.
            self._family != "" and family_of(definition.path) not in ("", self._family),
            _ROUTE_ORDER[resolved.via],
            role not in ("code", self._own_role),
            definition.kind in VALUE_KINDS,
            -self._closeness.get(definition.path, 0.0),
            definition.path,
            definition.line,
        )
