"""The main screen's keys, from which the help screen and the command palette are made too."""

from __future__ import annotations

from textual.binding import Binding

_FILES = Binding.Group("Files")
_CODE = Binding.Group("Code")
_VIEW = Binding.Group("View")


def _key(keys: str, action: str, text: str, group: Binding.Group) -> Binding:
    return Binding(keys, action, text, show=False, group=group)


def _entry_key(keys: str, action: str, text: str, group: Binding.Group) -> Binding:
    """One behind which people go on typing: it comes first, so that no letter of what follows
    goes into the text.
    """
    return Binding(keys, action, text, show=False, group=group, priority=True)


WORKSPACE_BINDINGS = [
    _entry_key("ctrl+p", "files", "Go to a file", _FILES),
    _entry_key("ctrl+n", "new", "New file", _FILES),
    _key("ctrl+s", "save", "Save", _FILES),
    _entry_key("alt+s", "save_as", "Save as", _FILES),
    _key("ctrl+w", "close", "Close", _FILES),
    _key("ctrl+pagedown,alt+right_square_bracket", "step_tab(1)", "Next tab", _FILES),
    _key("ctrl+pageup", "step_tab(-1)", "Previous tab", _FILES),
    _key("ctrl+q", "leave", "Leave", _FILES),
    _entry_key("ctrl+t", "search", "Search the repository", _CODE),
    _key("f12,alt+full_stop", "definition", "Go to the definition", _CODE),
    _key("alt+left", "back", "Back to where it was jumped from", _CODE),
    _entry_key("ctrl+f", "find(False)", "Find in this file", _CODE),
    _entry_key("ctrl+r", "find(True)", "Replace in this file", _CODE),
    _key("f3", "next_match(1)", "Next match", _CODE),
    _key("shift+f3", "next_match(-1)", "Previous match", _CODE),
    _entry_key("ctrl+g", "go_to_line", "Go to a line", _CODE),
    _key("f5", "compare", "Compare: never, always, auto", _CODE),
    _key("f8", "review", "Review what is staged", _CODE),
    _key("f2,ctrl+b", "toggle_tree", "Show or hide the files", _VIEW),
    _key("f4", "toggle_receipt", "Show or hide the receipt", _VIEW),
    _key("f6", "models", "Models", _VIEW),
    _key("f7", "index", "Index", _VIEW),
    _key("f9", "toggle_automatic", "Suggest by itself, or only when asked", _VIEW),
    _key("f10,alt+comma", "settings", "Settings", _VIEW),
    _key("alt+t", "next_theme", "Next theme", _VIEW),
    _key("alt+0", "focus_tree", "Go to the list of files", _VIEW),
    _key("f1", "help", "All keys", _VIEW),
]
