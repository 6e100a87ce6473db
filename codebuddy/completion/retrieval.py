"""Step 3: pieces of other places in the repository that may help at the cursor.

Candidates are definitions that the code is likely to use, as signatures with a line of
documentation; chunks that share words with the code around the cursor, whole; and windows of
the same files around the line that reads most like the last one before the cursor. `ranking`
orders them by what each is expected to win. Deprecated code that has a replacement gives its
place to that. It knows the index only as `CodeIndex`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence

from codebuddy.code_index import CodeIndex
from codebuddy.completion.candidates import find_candidates
from codebuddy.completion.expression import expression_at
from codebuddy.completion.lookalikes import CursorText, aligned_window, cursor_text
from codebuddy.completion.notebook import is_notebook
from codebuddy.completion.ranking import Candidate, informative_lines, rank
from codebuddy.datatypes import Chunk, Context, Definition, SearchResult
from codebuddy.index.file_lines import FileLines, has_own_lines
from codebuddy.index.outline import signature_form
from codebuddy.index.terms import terms

_QUERY_LINES_BEFORE = 20
_QUERY_LINES_AFTER = 4
_LOOKALIKES = 25
_DEFINITIONS_PER_LIST = 4
# Copies of the document that are passed over to look further.
_COPIES = 50
# A file that holds this share of the document's lines is a copy of it if they are this share of its
# own: what it has besides is another state of the very text that is being written. One that has
# far more is a sibling with the same header and imports.
_COPY_SHARE, _COPY_LEAST_SHARE = 0.95, 0.5
# A piece from the editor of which this share of lines is in the prompt teaches nothing new.
_NEAR_COPY_SHARE = 0.6
# Lines of the document that every prompt holds anyway, if they are no longer than this together.
_WINDOW_LINES = 60
_WINDOW_CHARACTERS = 4800
# The channel, and the kind of chunk, of what an editor sent along.
EDITOR = "editor"


def retrieve(context: Context, index: CodeIndex, top_k: int) -> list[SearchResult]:
    """The best pieces for the place, from the best down.

    A piece's score is its expected gain. The text at the cursor itself is never among them, nor
    a file that is a copy of the document. Code of another file that is nearly the same is welcome.
    """
    cursor = cursor_text(context)
    ranked = rank(find_pieces(context, index, cursor), cursor, top_k)
    return [
        SearchResult(each.candidate.chunk, each.gain, dict(each.candidate.channels))
        for each in ranked
    ]


def find_pieces(context: Context, index: CodeIndex, cursor: CursorText) -> list[Candidate]:
    """All candidates, in no order that means anything."""
    files = _Files(context, index)
    channels: dict[int, dict[str, float]] = {}
    found = []
    for result in _lookalikes(query_terms(context), index, files):
        chunk = result.chunk
        known = channels[chunk.id] = {"lexical": result.score}
        found.append(Candidate("chunk", chunk, known))
        if chunk.path == context.document.path or not has_own_lines(chunk):
            continue
        window = _window_of(chunk, files, cursor)
        is_new = not files.deprecated.is_in(window.text)
        if is_new and len(window.text) <= _WINDOW_CHARACTERS:
            found.append(Candidate("window", window, known))
    for name, definitions in find_candidates(context, expression_at(context.prefix), index).items():
        current = map(files.current, definitions)
        ids = list(dict.fromkeys(each.chunk_id for each in current))[:_DEFINITIONS_PER_LIST]
        for place, chunk in enumerate(index.chunks(ids), 1):
            if files.is_at_cursor(chunk) or files.is_copy(chunk.path):
                continue
            # What is found whole besides says its signatures too.
            if chunk.id not in channels:
                channels[chunk.id] = {}
                signature = files.as_signature(chunk)
                found.append(Candidate(name, signature, channels[chunk.id]))
            channels[chunk.id][name] = 1 / place
    return found


def _lookalikes(words: list[str], index: CodeIndex, files: _Files) -> list[SearchResult]:
    """Chunks that share words with the place, each text once: many copies would leave no room."""
    copies: set[str] = set()
    theirs: set[str] = set()
    while True:
        results = index.lexical(words, _LOOKALIKES, _unwanted(files, copies, theirs))
        # The index cannot be asked about files while it looks.
        known = {path for path in {each.chunk.path for each in results} if files.is_copy(path)}
        if not known or len(copies) > _COPIES:
            return [each for each in results if each.chunk.path not in known]
        copies |= known
        # Further copies hold the same: they are passed over without another search.
        theirs |= {each.chunk.text for each in results if each.chunk.path in known}


def _unwanted(
    files: _Files, copies: Collection[str], theirs: Collection[str]
) -> Callable[[Chunk], bool]:
    """Says of each chunk whether it teaches nothing, or nothing beside those before it.

    Args:
        files: Of the document.
        copies: Paths of its copies.
        theirs: Texts of copies, which teach nothing in other files either.
    """
    texts: set[str] = set()

    def is_unwanted(chunk: Chunk) -> bool:
        is_other = (
            chunk.text not in texts
            and chunk.path not in copies
            and (chunk.text not in theirs or files.is_own(chunk))
            and not files.is_at_cursor(chunk)
            and not files.deprecated.is_in(chunk.text)
            and bool(informative_lines(chunk.text.split("\n")))
        )
        if is_other:
            texts.add(chunk.text)
        return not is_other

    return is_unwanted


class _Files:
    """The texts of files that candidates come from, each read once."""

    def __init__(self, context: Context, index: CodeIndex) -> None:
        self._index = index
        self._context = context
        self.deprecated = index.deprecated_code()
        self._own_path = context.document.path
        before, after = context.prefix.split("\n"), context.suffix.split("\n")
        self._document = [*before[:-1], before[-1] + after[0], *after[1:]]
        self._at_cursor = _lines_at_cursor(context)
        # The cursor's line is being written: a copy has another one there.
        self._own_lines = set(informative_lines([*before[:-1], *after[1:]]))
        self._lines: dict[str, FileLines] = {}
        self._copies: dict[str, bool] = {}
        self._definitions: dict[str, list[Definition]] = {}

    def numbered(self, path: str) -> FileLines:
        """The lines of a file as the index holds it, with their numbers."""
        if path not in self._lines:
            self._lines[path] = FileLines.of(self._index.chunks_of(path))
        return self._lines[path]

    def lines(self, path: str) -> Sequence[str]:
        """The lines of a file as the index holds it."""
        return self.numbered(path).texts

    def is_own(self, chunk: Chunk) -> bool:
        """Whether the chunk is of the document's own file."""
        return chunk.path == self._own_path

    def is_at_cursor(self, chunk: Chunk) -> bool:
        """Whether the chunk is text of the document that the prompt holds anyway.

        An editor's text may have moved since the index read it: a chunk that does not stand where
        the index has it is told by its lines.
        """
        if chunk.path != self._own_path:
            return False
        if is_notebook(self._own_path):
            # The document is the text of its cells, and the chunk's lines are those of its JSON.
            return _is_near_copy(chunk.text, self._at_cursor)
        if _is_at_cursor(chunk, self._context):
            return True
        there = informative_lines(self._document[chunk.start_line - 1 : chunk.end_line])
        has_moved = there != informative_lines(chunk.text.split("\n"))
        return has_moved and _is_near_copy(chunk.text, self._at_cursor)

    def is_copy(self, path: str) -> bool:
        """Whether another file is the document's, or holds nearly all its lines and little else."""
        if path == self._own_path:
            return False
        if path not in self._copies:
            self._copies[path] = self._has_own_text(path) or self._has_own_lines(path)
        return self._copies[path]

    def _has_own_text(self, path: str) -> bool:
        own = self.lines(self._own_path)
        return bool(informative_lines(own)) and self.lines(path) == own

    def _has_own_lines(self, path: str) -> bool:
        if len(self.lines(path)) < _COPY_SHARE * len(self._own_lines):
            return False
        lines = set(informative_lines(self.lines(path)))
        shared = len(self._own_lines & lines)
        is_whole = shared >= _COPY_SHARE * len(self._own_lines) > 0
        return is_whole and shared >= _COPY_LEAST_SHARE * len(lines)

    def current(self, definition: Definition) -> Definition:
        """What is to be used in place of a definition: mostly itself."""
        return self.deprecated.replacement_of(definition) or definition

    def as_signature(self, chunk: Chunk) -> Chunk:
        """The chunk with the signatures of what it defines for text, where it defines something.

        What is deprecated is not among them.
        """
        if chunk.path not in self._definitions:
            known = self._index.definitions_of(chunk.path)
            replacement_of = self.deprecated.replacement_of
            self._definitions[chunk.path] = [e for e in known if replacement_of(e) is None]
        form = signature_form(chunk, self._definitions[chunk.path])
        return dataclasses.replace(chunk, text=form + "\n") if form else chunk


def with_editor_chunks(
    results: list[SearchResult], context: Context, extras: Iterable[tuple[str, str]]
) -> list[SearchResult]:
    """The results, then the pieces that the editor had at hand, of channel `editor`.

    They come last, so that they take what the results leave of the budget; what stands at the
    cursor, in a result or in another piece already is left out.

    Args:
        results: What was looked up.
        context: What is around the cursor.
        extras: Paths and texts, the most useful first. Where in its file a text lies is not
            known: its lines are 0.
    """
    known = _lines_at_cursor(context)
    for result in results:
        known |= set(informative_lines(result.chunk.text.split("\n")))
    added = []
    for number, (path, text) in enumerate(extras, 1):
        text = text.replace("\r\n", "\n")
        if _is_near_copy(text, known):
            continue
        known |= set(informative_lines(text.split("\n")))
        chunk = Chunk(-number, path, "", EDITOR, "", "", 0, 0, 0, 0, text)
        added.append(SearchResult(chunk, 1 / number, {EDITOR: 1 / number}))
    return [*results, *added]


def query_terms(context: Context) -> list[str]:
    """Words around the cursor: the lines just before it, the next ones, the enclosing headers."""
    before = context.prefix[-_WINDOW_CHARACTERS:].split("\n")[-_QUERY_LINES_BEFORE:]
    after = context.suffix[:_WINDOW_CHARACTERS].split("\n")[: _QUERY_LINES_AFTER + 1]
    return list(dict.fromkeys(terms("\n".join([*before, *after, *context.scope]))))


def _window_of(chunk: Chunk, files: _Files, cursor: CursorText) -> Chunk:
    """The window of the chunk's file whose line before its middle reads most like the cursor's."""
    lines = files.numbered(chunk.path)
    own = lines.between(chunk.start_line, chunk.end_line)
    first, end = aligned_window(lines.texts, own.start - 1, own.stop, cursor)
    return dataclasses.replace(
        chunk,
        kind="window",
        text="\n".join(lines.texts[first:end]) + "\n",
        start_line=lines.numbers[first],
        end_line=lines.numbers[end - 1],
    )


def _is_at_cursor(chunk: Chunk, context: Context) -> bool:
    """Whether the chunk overlaps the lines of this document that the prompt holds anyway."""
    if chunk.path != context.document.path:
        return False
    before, after = _window(context)
    first = context.position.line - _reach(before, context.prefix)
    last = context.position.line + _reach(after, context.suffix)
    return chunk.start_line <= last and chunk.end_line >= first


def _reach(lines: list[str], text: str) -> int:
    """How many lines beside the cursor's own the prompt holds, of which `lines` are known."""
    is_cut = len(lines) < _WINDOW_LINES and len(text) > _WINDOW_CHARACTERS
    return len(lines) - 1 if is_cut else _WINDOW_LINES


def _lines_at_cursor(context: Context) -> set[str]:
    before, after = _window(context)
    return set(informative_lines([*before, *after]))


def _window(context: Context) -> tuple[list[str], list[str]]:
    """The lines before and after the cursor that the prompt holds anyway.

    Fewer where they are long: a file whose lines have thousands of characters is mostly outside
    of the prompt, a few lines away from the cursor.
    """
    before = context.prefix[-_WINDOW_CHARACTERS - 1 :].split("\n")[-_WINDOW_LINES:]
    after = context.suffix[: _WINDOW_CHARACTERS + 1].split("\n")[:_WINDOW_LINES]
    return before, after


def _is_near_copy(text: str, window: set[str]) -> bool:
    lines = informative_lines(text.split("\n"))
    if not lines:
        return True
    return sum(line in window for line in lines) >= _NEAR_COPY_SHARE * len(lines)
