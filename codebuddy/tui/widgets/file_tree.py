"""The repository's files as git sees them: tracked and not ignored, folders first.

Folders are filled when they are opened, so that 100,000 files cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.text import Text
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from codebuddy.terminal import safe_line

_Folder = dict[str, "_Folder | None"]


class FileTree(Tree[str]):
    """A tree whose leaves are paths relative to the root."""

    @dataclass
    class Opened(Message):
        """A file was chosen."""

        path: str

    def __init__(self, root_name: str) -> None:
        super().__init__(Text(safe_line(root_name)), data="")
        self.guide_depth = 2
        self._files: _Folder = {}

    def show(self, folders: _Folder) -> None:
        """Show another state of the files; opened folders stay open."""
        if folders == self._files:
            return
        opened = {str(node.data) for node in self._nodes_below(self.root) if node.is_expanded}
        line = self.cursor_line
        self._files = folders
        self.root.remove_children()
        self._fill(self.root, opened)
        self.root.expand()
        self.cursor_line = min(line, max(0, self.last_line))

    def reveal(self, path: str) -> None:
        """Open the folders above a file and put the cursor on it."""
        node = self.root
        parts = path.split("/")
        for index in range(len(parts)):
            wanted = "/".join(parts[: index + 1])
            if node is not self.root and not node.is_expanded:
                self._fill(node, set())
                node.expand()
            found = next((child for child in node.children if child.data == wanted), None)
            if found is None:
                return
            node = found
        self.move_cursor(node)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[str]) -> None:
        """Fill a folder when it is first opened."""
        event.stop()
        self._fill(event.node, set())

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        """Say which file was chosen."""
        event.stop()
        if not event.node.allow_expand and event.node.data:
            self.post_message(self.Opened(event.node.data))

    def _fill(self, node: TreeNode[str], opened: set[str]) -> None:
        if node.children:
            return
        path = str(node.data)
        for name, inner in _sorted(self._folder_at(path)):
            below = f"{path}/{name}" if path else name
            label = Text(safe_line(name))
            if inner is None:
                node.add_leaf(label, below)
                continue
            child = node.add(label, below)
            if below in opened:
                self._fill(child, opened)
                child.expand()

    def _folder_at(self, path: str) -> _Folder:
        folder = self._files
        for part in path.split("/") if path else ():
            folder = folder.get(part) or {}
        return folder

    def _nodes_below(self, node: TreeNode[str]) -> Iterable[TreeNode[str]]:
        for child in node.children:
            yield child
            yield from self._nodes_below(child)


def as_folders(paths: Iterable[str]) -> _Folder:
    """Paths with `/` as folders within folders; files are `None`."""
    root: _Folder = {}
    for path in paths:
        folder = root
        *above, name = path.split("/")
        for part in above:
            inner = folder.get(part)
            if inner is None:
                inner = folder[part] = {}
            folder = inner
        folder.setdefault(name, None)
    return root


def _sorted(folder: _Folder) -> list[tuple[str, _Folder | None]]:
    return sorted(folder.items(), key=lambda item: (item[1] is None, item[0].lower(), item[0]))
