"""The editor's keys: what each does is a line here, so that the help screen can list them.

What typing does to the text is `text.editing`'s, how rows are drawn `editor_view`'s; what is
suggested comes from outside as a `Ghost`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingsMap, BindingType
from textual.message import Message

from codebuddy.syntax import line_comment
from codebuddy.tui.text import motion
from codebuddy.tui.text.buffer import Location
from codebuddy.tui.text.editing import Editing
from codebuddy.tui.text.ghost import GhostUse
from codebuddy.tui.widgets.editor_view import EditorView

SUGGESTION = Binding.Group("Suggestion")
EDITING = Binding.Group("Editing")
MOVING = Binding.Group("Moving")


def _key(keys: str, action: str, text: str, group: Binding.Group) -> Binding:
    return Binding(keys, action, text, show=False, group=group)


EDITOR_BINDINGS = [
    _key("tab", "tab", "Accept the suggestion, or indent", SUGGESTION),
    _key("ctrl+right,alt+f", "accept_word", "Accept its next word, or go a word right", SUGGESTION),
    _key("ctrl+down,alt+l", "accept_line", "Accept its next line", SUGGESTION),
    _key("alt+n", "cycle(1)", "Next alternative", SUGGESTION),
    _key("alt+p", "cycle(-1)", "Previous alternative", SUGGESTION),
    _key("escape", "escape", "Dismiss it, or drop the selection", SUGGESTION),
    _key("ctrl+@,ctrl+space,alt+enter", "ask", "Ask for a suggestion", SUGGESTION),
    _key("enter", "newline", "Break the line", EDITING),
    _key("backspace", "edit('backspace')", "Delete to the left", EDITING),
    _key("delete", "edit('delete')", "Delete to the right", EDITING),
    _key("ctrl+backspace,alt+backspace", "edit('delete_word_left')", "Delete a word left", EDITING),
    _key("ctrl+delete,alt+d", "edit('delete_word_right')", "Delete a word right", EDITING),
    _key("alt+k", "edit('delete_lines')", "Delete lines", EDITING),
    _key("alt+up", "move_lines(-1)", "Move lines up", EDITING),
    _key("alt+down", "move_lines(1)", "Move lines down", EDITING),
    _key("shift+tab", "edit('dedent')", "Indent less", EDITING),
    _key("ctrl+underscore,ctrl+slash,alt+slash", "comment", "Comment or uncomment", EDITING),
    _key("ctrl+z", "edit('undo')", "Undo", EDITING),
    _key("ctrl+y,alt+z", "edit('redo')", "Redo", EDITING),
    _key("ctrl+c", "copy", "Copy the selection, or the line", EDITING),
    _key("ctrl+x", "cut", "Cut the selection, or the line", EDITING),
    _key("ctrl+v", "paste", "Paste what was copied here", EDITING),
    _key("ctrl+a", "select_all", "Select all", EDITING),
    _key("alt+w", "select_word", "Select the word", EDITING),
    _key("left,shift+left", "move('left')", "Left; with Shift select", MOVING),
    _key("right,shift+right", "move('right')", "Right", MOVING),
    _key("up,shift+up", "move('up')", "Up", MOVING),
    _key("down,shift+down", "move('down')", "Down", MOVING),
    _key("ctrl+left,ctrl+shift+left,alt+b", "move('word_left')", "A word left", MOVING),
    _key("ctrl+shift+right", "move('word_right')", "Select a word right", MOVING),
    _key("home,shift+home", "move('home')", "Beginning of the line", MOVING),
    _key("end,shift+end", "move('end')", "End of the line", MOVING),
    _key("pageup,shift+pageup", "move('page_up')", "A page up", MOVING),
    _key("pagedown,shift+pagedown", "move('page_down')", "A page down", MOVING),
    _key("ctrl+home,ctrl+shift+home", "move('start')", "Beginning of the file", MOVING),
    _key("ctrl+end,ctrl+shift+end", "move('finish')", "End of the file", MOVING),
    _key("alt+m", "go_bracket", "The matching bracket", MOVING),
]

_OWN_KEYS = BindingsMap(EDITOR_BINDINGS)
_CHANGING = frozenset(["newline", "edit", "move_lines", "comment", "cut", "paste"])
# They bring back what was there before; a file may become read-only with text to be undone.
_BRINGING_BACK = frozenset(["undo", "redo"])


class Editor(EditorView):
    """One text with its cursor, edited by keys and mouse.

    `is_read_only` keeps every change away but undo and redo.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*EDITOR_BINDINGS]

    @dataclass
    class GhostUsed(Message):
        """What became of a suggestion, or of its part `text`."""

        editor: Editor
        how: GhostUse
        text: str

    @dataclass
    class SuggestionAsked(Message):
        """A key asked for a suggestion; `should_vary` for alternatives of the shown one."""

        editor: Editor
        should_vary: bool

    @dataclass
    class EditRefused(Message):
        """A read-only text was to be changed."""

        editor: Editor

    is_read_only = False
    _is_selecting = False
    _select = False

    # Keys

    async def on_key(self, event: events.Key) -> None:
        """A printable key is typed; the others are bindings, which get whether Shift selects.

        The editor's own bindings run here, not when the event has bubbled up: by then keys that
        were pressed later would have been typed.
        """
        self._select = "shift+" in event.key
        if event.is_printable and event.character is not None:
            event.stop()
            event.prevent_default()
            self.type_text(event.character)
            return
        # Not those that it inherits, which may pass a key on.
        binding = next(iter(_OWN_KEYS.key_to_bindings.get(event.key, ())), None)
        if binding is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)

    def on_paste(self, event: events.Paste) -> None:
        """What the terminal pastes goes in as one piece."""
        event.stop()
        self.put(event.text.replace("\r\n", "\n").replace("\r", "\n"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing that changes a read-only text, but undo and redo."""
        if self.is_read_only and action in _CHANGING and _BRINGING_BACK.isdisjoint(parameters):
            self.post_message(self.EditRefused(self))
            return False
        return True

    def type_text(self, text: str) -> None:
        """Type: the ghost text stays as long as what is typed agrees with it."""
        if self.is_read_only:
            self.post_message(self.EditRefused(self))
            return
        ghost = self.ghost
        rest = ghost.after_typing(text) if ghost and not self.editing.has_selection else None
        self.editing.insert(text)
        self.ghost = rest if rest is not None and rest.at == self.editing.cursor else None
        if ghost is not None:
            agrees = ghost.text.startswith(text)
            self.post_message(self.GhostUsed(self, "typed" if agrees else "overtyped", text))
        self.settle()
        self.post_message(self.Changed(self, is_typing=True))

    def put(self, text: str, *, keeps_ends: bool = False) -> None:
        """Insert a text that was not typed; `keeps_ends` is as in `Editing.insert`."""
        if self.is_read_only:
            self.post_message(self.EditRefused(self))
            return
        self.buffer.close_step()
        self.editing.insert(text, keeps_ends=keeps_ends)
        self._changed(is_typing=False)

    def _changed(self, *, is_typing: bool = True) -> None:
        self.ghost = None
        self.settle()
        self.post_message(self.Changed(self, is_typing=is_typing))

    def _moved(self) -> None:
        if self.ghost is not None and self.ghost.at != self.editing.cursor:
            self.post_message(self.GhostUsed(self, "left", ""))
            self.ghost = None
        self.settle()
        self.post_message(self.Moved(self))

    # The ghost text

    def action_tab(self) -> None:
        """Accept all of the suggestion; without one, indent."""
        if self.ghost is not None:
            self._accept(self.ghost.text)
        elif self.is_read_only:
            self.post_message(self.EditRefused(self))
        else:
            self.editing.indent()
            self._changed()

    def action_accept_word(self) -> None:
        """Accept a word; without a suggestion, go a word right."""
        if self.ghost is not None:
            self._accept(self.ghost.next_word())
        else:
            self.editing.by(motion.word_right)
            self._moved()

    def action_accept_line(self) -> None:
        """Accept a line; without a suggestion, ask for one."""
        if self.ghost is not None:
            self._accept(self.ghost.next_line())
        else:
            self.post_message(self.SuggestionAsked(self, should_vary=False))

    def _accept(self, text: str) -> None:
        ghost = self.ghost
        if ghost is None:
            return
        rest = ghost.after_typing(text)
        self.buffer.close_step()
        self.editing.insert(text)
        self.buffer.close_step()
        self.ghost = rest
        self.post_message(self.GhostUsed(self, "accepted", text))
        self.settle()
        self.post_message(self.Changed(self, is_typing=False))

    def action_cycle(self, step: int) -> None:
        """Show another alternative; ask for some if there is but one."""
        if self.ghost is not None and len(self.ghost.texts) > 1:
            self.set_ghost(self.ghost.cycled(step))
        else:
            self.post_message(self.SuggestionAsked(self, should_vary=True))

    def action_ask(self) -> None:
        """Ask for a suggestion here."""
        self.post_message(self.SuggestionAsked(self, should_vary=False))

    def action_escape(self) -> None:
        """Dismiss the suggestion, else the marks of a search, else the selection."""
        if self.ghost is not None:
            self.post_message(self.GhostUsed(self, "dismissed", ""))
            self.set_ghost(None)
        elif self.matches:
            self.set_matches([])
        else:
            self.editing.go(self.editing.cursor)
            self.settle()
            self.post_message(self.Moved(self))

    # Changes

    def action_newline(self) -> None:
        """Break the line; a ghost that goes on like that stays."""
        ghost = self.ghost
        edit = self.editing.newline()
        typed = edit.inserted.replace("\r\n", "\n") if edit else ""
        rest = ghost.after_typing(typed) if ghost and edit else None
        if rest is not None and rest.at == self.editing.cursor:
            self.ghost = rest
            self.settle()
            self.post_message(self.Changed(self, is_typing=True))
        else:
            self._changed()

    def action_paste(self) -> None:
        """Paste what this program copied; a terminal's own paste comes as an event."""
        if self.app.clipboard:
            self.put(self.app.clipboard, keeps_ends=True)

    def action_copy(self) -> None:
        """Copy the selection, or the whole line."""
        text = self.editing.selected_text
        if not text:
            text = self.buffer.lines[self.editing.cursor.line] + "\n"
        self.app.copy_to_clipboard(text)

    def action_cut(self) -> None:
        """Cut the selection, or the whole line."""
        self.action_copy()
        if self.editing.has_selection:
            self.editing.delete()
        else:
            self.editing.delete_lines()
        self._changed()

    def action_comment(self) -> None:
        """Make comments of the lines, or code of them."""
        self.editing.toggle_comment(line_comment(self.language))
        self._changed()

    def action_move_lines(self, step: int) -> None:
        """Move the lines of the selection."""
        self.editing.move_lines(step)
        self._changed()

    def action_select_all(self) -> None:
        """Select the whole text."""
        self.editing.select_all()
        self._moved()

    def action_select_word(self) -> None:
        """Select the word at the cursor."""
        self.editing.select_word()
        self._moved()

    def action_edit(self, name: str) -> None:
        """One of the changes that `Editing` knows by name."""
        self._EDITS[name](self.editing)
        self._changed()

    _EDITS: ClassVar[dict[str, Callable[[Editing], object]]] = {
        "backspace": Editing.backspace,
        "delete": Editing.delete,
        "delete_word_left": Editing.delete_word_left,
        "delete_word_right": Editing.delete_word_right,
        "delete_lines": Editing.delete_lines,
        "dedent": Editing.dedent,
        "undo": Editing.undo,
        "redo": Editing.redo,
    }

    # Motion

    def action_move(self, name: str) -> None:
        """Move the cursor; with Shift, the selection goes with it."""
        editing, select = self.editing, self._select
        page = max(1, self.size.height - 2)
        moves: dict[str, Callable[..., None]] = {
            "left": editing.left,
            "right": editing.right,
            "up": partial(editing.vertically, -1),
            "down": partial(editing.vertically, 1),
            "page_up": partial(editing.vertically, -page),
            "page_down": partial(editing.vertically, page),
            "word_left": partial(editing.by, motion.word_left),
            "word_right": partial(editing.by, motion.word_right),
            "home": partial(editing.by, motion.line_start),
            "end": editing.to_line_end,
            "start": partial(editing.go, Location(0, 0)),
            "finish": partial(editing.go, self.buffer.end),
        }
        moves[name](select=select)
        self._moved()

    def action_go_bracket(self) -> None:
        """The partner of the bracket at the cursor."""
        partner = motion.matching_bracket(self.buffer, self.editing.cursor)
        if partner is not None:
            self.go(partner)

    # The mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Put the cursor there; dragging selects."""
        if event.button != 1:
            return
        self.focus()
        self._is_selecting = True
        self.capture_mouse()
        self.editing.go(self.place_at(event.offset), select=event.shift)
        self._moved()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Select up to the pointer."""
        if self._is_selecting:
            self.editing.go(self.place_at(event.offset), select=True)
            self._moved()

    def on_mouse_up(self, _event: events.MouseUp) -> None:
        """The selection is made."""
        self._is_selecting = False
        self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        """Twice selects the word, three times the line."""
        if event.chain == 2:
            self.editing.select_word()
            self._moved()
        elif event.chain == 3:
            self.editing.select_line()
            self._moved()
