"""What is open at a place: brackets, quotes, comments, tags, and blocks that words begin.

Reads characters by the tables of `lexicon`, not trees: code is unfinished where it is
completed, and a tree says least there. A closer that fits nothing is passed over, and one
that fits further out ends what was left open within; `Scanner.cost` counts both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from codebuddy.syntax.lexicon import Lexicon, StringForm
from codebuddy.syntax.modes import (
    Mode,
    base_mode,
    code_mode_of,
    element_mode,
    heredoc_mode,
    line_mode,
    statement_pattern,
    string_mode,
    tag_mode,
)

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_BLOCK_ENDS = frozenset({"}", "end", "fi", "esac", "done", "until"})
# A closing line that stands at another indentation than its opening line, most likely closes
# something else.
_OTHER_INDENT_COST = 2
_VOID_ELEMENTS = frozenset(
    "area base br col embed hr img input link meta param source track wbr !doctype".split()
)
_BEFORE_VALUE = re.compile(
    r"(?:^|[(,=:\[!&|?{};+*%~^<>\n-]|\b(?:return|typeof|case|in|of|do|else|when|if|unless|and|or"
    r"|default|yield|await))\s{0,80}\Z"
)
_BEFORE_MEMBERS = re.compile(
    r"(?:[(,\[?]|\breturn|(?P<assigned>(?<![=!<>])=)|(?P<named>:))\s{0,80}\Z"
)
# Where `=` is followed by a block.
_FUNCTION = re.compile(r"\b(?:def|fun|val|var|given)\b[^\n]*\Z")
_BEFORE_COMMAND = re.compile(
    r"(?:^|[;&|(){!`]|\b(?:then|do|else|elif|if|while|until|in))[ \t]*\Z", re.MULTILINE
)
_BEFORE_STATEMENT = re.compile(r"(?:^|[=(\[{,;|&!]|\b(?:do|then|else|begin))[ \t]*\Z", re.MULTILINE)
_ENDLESS_DEF = re.compile(r"[ \t]+[\w.?!]+(?:[ \t]*\([^\n]*?\))?[ \t]*=(?![=~>])")
_LOOK_BACK = 200
# Frames that one closer may end at once, so that a hostile text costs no more than its length.
_MAX_SKIPPED = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """Something open.

    Attributes:
        closer: What closes it: `)`, `"`, `end`, `</div>`; `\\n` for a comment up to the line's end.
        mode: How the text within is read.
        indent: Of the line on which the statement began that opened it.
        is_soft: Whether it may be no bracket at all, as `<` may be.
        in_line: Whether it ends with the line at the latest.
        word: The word or tag that opened it.
        is_value: Whether it is a `{` where a value stands, as that of a dictionary, not of a block.
    """

    closer: str
    mode: Mode
    indent: int = 0
    is_soft: bool = False
    in_line: bool = False
    word: str = ""
    is_value: bool = False


# Called with each closer of a frame that was open at the beginning: where the closer begins and
# ends, and how many frames are left. Returns whether to stop.
Watch = Callable[[int, int, int], bool]


class Scanner:
    """Follows what opens and closes in a text, from a state on."""

    def __init__(self, language: str, frames: tuple[Frame, ...] = ()) -> None:
        self.frames = list(frames)
        self.cost = 0
        self.language = language
        self._base_mode = base_mode(language)
        self._base = len(frames)
        self._lowest = 0
        self._indent = 0
        self._heredocs: list[str] = []

    def scan(
        self,
        text: str,
        begin: int = 0,
        end: int | None = None,
        watch: Watch | None = None,
        *,
        is_recovering: bool = True,
    ) -> int:
        """Read `text[begin:end]`; what stands before `begin` is looked at, but not read.

        Args:
            text: The text.
            begin: Where to begin; the frames say what is open there.
            end: Where to end; the text's end by default.
            watch: Called with closers of what was open at the beginning.
            is_recovering: Whether a word that begins a statement ends open brackets.

        Returns:
            Where it stopped.
        """
        end = len(text) if end is None else end
        line = text.rfind("\n", 0, begin) + 1
        self._indent = _width(text[line : min(end, line + _LOOK_BACK)])
        at = begin
        while True:
            mode = self.frames[-1].mode if self.frames else self._base_mode
            match = mode.pattern.search(text, at, end)
            if match is None:
                return end
            at = max(match.end(), at)
            self._lowest = len(self.frames)
            self._take(match, mode, text, end, is_recovering=is_recovering)
            left = min(len(self.frames), self._lowest)
            if left < self._base:
                self._base = left
                if watch is not None and watch(match.start(), match.end(), left):
                    return match.start()

    def _take(
        self, match: re.Match[str], mode: Mode, text: str, end: int, *, is_recovering: bool
    ) -> None:
        group, token = match.lastgroup or "", match.group()
        if group == "newline":
            self._newline(match, mode, text, is_recovering=is_recovering)
        elif group == "line":
            if match.end() == end:
                self._push("\n", line_mode(), in_line=True)
        elif group == "open":
            before = text[max(0, match.end() - _LOOK_BACK) : match.end() - 1]
            is_value = token[-1] == "{" and self._is_value_place(before)
            self._push(_PAIRS[token[-1]], self._code_mode(mode), is_value=is_value)
        elif group == "close":
            self._close(token, match, text)
        elif group == "word":
            self._word(token, match, text)
        elif group == "angle":
            self.frames.append(
                Frame(">", mode, self._indent, is_soft=True, in_line=self._in_line())
            )
        elif group in ("tag", "tagclose", "tagend"):
            self._tag(group, token, match, mode, text)
        elif group == "heredoc":
            found = re.match(mode.lexicon.heredoc, token)
            self._heredocs.append(found["d"] if found else token)
        elif group == "stray":
            self.cost += 1
        elif group == "nested":
            self.frames.append(self.frames[-1])
        elif group.startswith("f"):
            self._open_form(mode.forms[int(group[1:])], token)
        elif group.startswith("h"):
            hole = mode.forms[0].holes[int(group[1:])]
            self._push(hole[1], code_mode_of(mode.lexicon), word="${")
        elif group == "end":
            frame = self.frames.pop()
            self._indent = frame.indent

    def _is_value_place(self, before: str) -> bool:
        """Whether a `{` behind `before` holds members of a value, not statements."""
        found = _BEFORE_MEMBERS.search(before)
        if found is None:
            return False
        if found["assigned"]:
            return not _FUNCTION.search(before)
        around = self.frames[-1] if self.frames else None
        return not found["named"] or (
            around is not None and (around.is_value or around.closer in (")", "]"))
        )

    def _push(
        self,
        closer: str,
        mode: Mode,
        *,
        word: str = "",
        in_line: bool = False,
        is_value: bool = False,
    ) -> None:
        in_line = in_line or self._in_line()
        frame = Frame(closer, mode, self._indent, in_line=in_line, word=word, is_value=is_value)
        self.frames.append(frame)

    def _in_line(self) -> bool:
        return bool(self.frames) and self.frames[-1].in_line

    def _code_mode(self, mode: Mode) -> Mode:
        return mode if mode.kind == "code" else code_mode_of(mode.lexicon)

    def _open_form(self, form: StringForm, token: str) -> None:
        found = re.match(form.opener, token)
        groups = found.groupdict() if found else {}
        closer = form.closer.replace("{0}", re.escape(groups.get("d") or ""))
        mode = string_mode(form, closer, self._lexicon())
        self._push(closer, mode, in_line=not form.is_multiline)

    def _lexicon(self) -> Lexicon:
        return self.frames[-1].mode.lexicon if self.frames else self._base_mode.lexicon

    def _newline(self, match: re.Match[str], mode: Mode, text: str, *, is_recovering: bool) -> None:
        while self.frames and self.frames[-1].in_line:
            frame = self.frames.pop()
            self.cost += not frame.is_soft and frame.mode.kind != "comment"
        while self.frames and self.frames[-1].is_soft:
            self.frames.pop()
        if text[match.end() : match.end() + 1] not in ("\n", ""):
            self._indent = _width(match.group()[1:])
        if self._heredocs and mode.kind == "code":
            self._push(self._heredocs[0], heredoc_mode(self._heredocs.pop(0)))
            return
        statements = statement_pattern(mode.lexicon.statements)
        if not is_recovering or mode.kind != "code" or statements is None:
            return
        if (
            self.frames
            and self.frames[-1].closer in (")", "]")
            and statements.match(text, match.end())
        ):
            while (
                self.frames
                and self.frames[-1].closer in (")", "]")
                and self.frames[-1].indent >= self._indent
                and self.frames[-1].word != "${"
            ):
                self.frames.pop()
                self.cost += 1

    def _close(self, closer: str, match: re.Match[str], text: str) -> None:
        """A closing bracket or word: of the innermost frame that it fits."""
        if closer == ")" and self.frames and self.frames[-1].closer == "esac":
            return
        if closer == ">" and not (self.frames and self.frames[-1].closer == ">"):
            # One that closes nothing is an operator.
            self.cost += _is_after_name(match, text)
            return
        index = len(self.frames) - 1
        skipped = 0
        while index >= 0 and self.frames[index].closer != closer:
            if len(self.frames) - index > _MAX_SKIPPED:
                index = -1
                break
            frame = self.frames[index]
            is_barrier = frame.mode.kind != "code" or frame.word == "${"
            if is_barrier or (frame.closer == "}" and closer not in _BLOCK_ENDS):
                index = -1
                break
            skipped += not frame.is_soft
            index -= 1
        if index < 0:
            self.cost += 1
            return
        frame = self.frames[index]
        del self.frames[index:]
        self.cost += skipped
        if closer in _BLOCK_ENDS and _is_elsewhere(text, match.start(), frame):
            self.cost += _OTHER_INDENT_COST
        self._indent = frame.indent

    def _word(self, word: str, match: re.Match[str], text: str) -> None:
        mode = self.frames[-1].mode if self.frames else self._base_mode
        lexicon = mode.lexicon
        before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
        if lexicon.has_commands and not _BEFORE_COMMAND.search(before):
            return
        top = self.frames[-1] if self.frames else None
        if lexicon.has_comprehensions and top is not None and top.closer in ("]", ")"):
            is_first = not before.rpartition("\n")[2].strip()
            if top.closer == "]" or (word in ("for", "if", "end") and not is_first):
                return
        word = word.lower() if lexicon.has_any_case else word
        closer = lexicon.words.get(word)
        if closer is None:
            self._close(word, match, text)
            return
        if lexicon.has_modifiers:
            is_clause = word in ("if", "unless", "while", "until")
            if is_clause and not _BEFORE_STATEMENT.search(before):
                return
            if word == "def" and _ENDLESS_DEF.match(text, match.end()):
                return
            if word == "do" and top is not None and top.word in lexicon.loop_words:
                is_of_loop = re.search(rf"\b{top.word}\b", before.rpartition("\n")[2])
                closer = "" if is_of_loop else closer
        if closer:
            self._push(closer, mode, word=word)

    def _tag(self, group: str, token: str, match: re.Match[str], mode: Mode, text: str) -> None:
        """A part of an element: `<name` or `<>`, `>` or `/>`, `</name>`."""
        if group == "tagend":
            frame = self.frames.pop()
            self._lowest = len(self.frames)
            name = frame.word
            is_void = mode.lexicon.tags == "html" and name.lower() in _VOID_ELEMENTS
            if not token.startswith("/") and not is_void:
                inner = element_mode(mode.lexicon, name.lower())
                self._push(f"</{name}>", inner, word=name)
            return
        name = token.strip("</> \t\n")
        if group == "tag":
            if mode.kind == "code" and not _is_tag_place(text, match):
                return
            if not name:
                self._push("</>", element_mode(mode.lexicon, ""))
            else:
                self._push(">", tag_mode(mode.lexicon), word=name)
            return
        is_cut_off = match.end() == len(text) and not token.endswith(">")
        for index in range(len(self.frames) - 1, max(-1, len(self.frames) - _MAX_SKIPPED), -1):
            frame = self.frames[index]
            if frame.mode.kind in ("string", "comment"):
                break
            if frame.closer == f"</{name}>" or (is_cut_off and frame.closer.startswith("</")):
                self.cost += sum(not each.is_soft for each in self.frames[index + 1 :])
                del self.frames[index:]
                if _is_elsewhere(text, match.start(), frame):
                    self.cost += _OTHER_INDENT_COST
                return
        self.cost += 1


def _is_elsewhere(text: str, start: int, frame: Frame) -> bool:
    """Whether a closer begins its line, with another indentation than the frame's line has."""
    before, newline, head = text[max(0, start - _LOOK_BACK) : start].rpartition("\n")
    is_first = bool(newline or start == len(before + head)) and not head.strip()
    return is_first and len(head) != frame.indent


def _is_after_name(match: re.Match[str], text: str) -> bool:
    before = text[max(0, match.start() - 1) : match.start()]
    return before.isalnum() or (before != "" and before in "_><]),?*&")


def _is_tag_place(text: str, match: re.Match[str]) -> bool:
    """Whether `<name` in code begins an element, and no comparison or type argument."""
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    if not _BEFORE_VALUE.search(before):
        return False
    after = text[match.end() : match.end() + 9]
    name = match.group()[1:]
    is_type = after.startswith((",", " extends")) or (len(name) == 1 and after.startswith(">("))
    return not is_type and (not after or after[0] in " \t\n/>")


def _width(line: str) -> int:
    """Columns of white space at the beginning; a tab counts as one."""
    return len(line) - len(line.lstrip(" \t"))
