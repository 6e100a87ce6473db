"""The project's data types. Nothing here computes more than a property.

Lines and columns are 1-based, as editors show them; columns count code points. Byte
ranges are 0-based and half-open. Times are milliseconds. Paths are relative to the
repository's root and use `/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from codebuddy.cancellation import CancellationToken

RetrieveMode = Literal["auto", "always", "never"]
RETRIEVE_MODES: tuple[RetrieveMode, ...] = ("never", "always", "auto")
Extent = Literal["line", "statement", "block"]
# Takes the text so far while a suggestion grows.
OnText = Callable[[str], None]
DefinitionRoute = Literal["import", "package", "folder", "name"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two characters: the text goes in before `column` of `line`."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A text being edited: `text` keeps its line endings exactly.

    `language` is set where the path does not say. Where `text` is not the file's own but that of
    `cell` (from 1) of a notebook and of those above, `in_file` is the place in the file.
    """

    path: str
    text: str
    absolute: Path
    encoding: str = "utf-8"
    language: str = ""
    cell: int = 0
    in_file: Position | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A syntax-aware piece of a file; the chunks of a file cover each byte exactly once.

    `symbol` is the qualified name (`Class.method`) of the definition that the chunk is or
    lies in, empty at module level; `signature` the enclosing definition's header line(s).
    """

    id: int
    path: str
    language: str
    kind: str
    symbol: str
    signature: str
    start_line: int
    end_line: int
    start_byte: int
    end_byte: int
    text: str


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a name is defined: `line` is the name's own line, `chunk_id` the chunk around it."""

    name: str
    qualified: str
    kind: str
    path: str
    line: int
    end_line: int
    signature: str
    chunk_id: int


@dataclass(frozen=True, slots=True)
class ResolvedDefinition:
    """A definition that a name at some place may mean, and what led to it from there.

    `via` is `import` (a file that is imported), `package` (what an imported file re-exports or
    has beside it), `folder` (the same folder) or `name` (nothing but the name).
    """

    definition: Definition
    via: DefinitionRoute


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A chunk with the score that ordered it and what each channel said of it.

    Where channels were fused, `ranks` says at which place (from 1) each had it, and `factors`
    by what the fused score was multiplied and why. `near` is the route by which the file that
    the query comes from led to it, `elsewhere` where a name means another definition there, and
    empty where that file made no difference.
    """

    chunk: Chunk
    score: float
    channels: dict[str, float]
    ranks: dict[str, int] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    near: str = ""

    @property
    def channel(self) -> str:
        """The channel that ranked it highest, or `hybrid` when several agree."""
        return next(iter(self.channels)) if len(self.channels) == 1 else "hybrid"


@dataclass(frozen=True, slots=True)
class Context:
    """What is around the cursor.

    `scope` holds the enclosing definitions' headers, outermost first; `near` the identifiers
    close to the cursor, the nearest first, keywords left out; `unresolved` those of them that
    the file itself does not define; `imported` what it imports. `prefix` and `suffix`
    have `\n` line endings whatever the document has. `extent` is how much is wanted: the
    rest of a line, a statement, or the body of a block whose lines are indented by at least
    `body_indent` columns.

    `language` is that at the cursor. Where the document holds others too, `parsed` is prefix and
    suffix as a parser of that language is to see them, and `closing` begins what ends its code.
    """

    document: Document
    position: Position
    language: str
    prefix: str
    suffix: str
    scope: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    inside: Literal["code", "comment", "string"] = "code"
    extent: Extent = "line"
    body_indent: int = 0
    parsed: tuple[str, str] | None = None
    closing: str = ""

    @property
    def code(self) -> tuple[str, str]:
        """Prefix and suffix as a parser of `language` is to see them, of the same lengths."""
        return self.parsed or (self.prefix, self.suffix)

    @property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.prefix.rpartition("\n")[2]

    @property
    def line_after(self) -> str:
        """The cursor's line from the cursor on, without its line ending."""
        return self.suffix.partition("\n")[0]

    @property
    def following_line(self) -> str:
        """The first line from the cursor on that holds any text, or an empty one."""
        return next((line for line in self.suffix.split("\n") if line.strip()), "")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to look up, how sure that is, and why, in words.

    `probability` is that a lookup helps, `expected_gain` what it is expected to win in points
    of edit similarity (0 to 100), `expected_ms` what it is expected to cost on this machine
    now. `threshold` is the probability at which the gain is worth that cost. `features` names
    what tipped it, with the size of each move; `head` names the head, empty for the rule.

    `stage` is `syntax` where the syntax stage decided, `confidence` where the confidence stage
    rated a text without retrieval as well; that text was complete after `first_ms`. Where retrieval
    led to a second generation, `kept` says which one is the suggestion: `first` or `second`.
    """

    retrieve: bool
    probability: float
    threshold: float
    reason: str
    mode: RetrieveMode
    expected_gain: float | None = None
    expected_ms: float | None = None
    features: tuple[tuple[str, float], ...] = ()
    head: str = ""
    stage: Literal["", "syntax", "confidence"] = ""
    first_ms: float | None = None
    kept: Literal["", "first", "second"] = ""


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """A chunk as it went into a prompt, with the tokens that it took there."""

    result: SearchResult
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids ready for a generator, with the chunks inside it."""

    tokens: tuple[int, ...]
    chunks: tuple[PackedChunk, ...] = ()
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """Trained changes of a model, in a file that was checked and is `identity` since.

    They act from the token on that asks for the middle, else from the prompt's last one. `sha256`
    is that of the file, `size` its bytes, and the weights' changes are scaled by `alpha / rank`.
    """

    name: str
    sha256: str
    path: Path
    identity: tuple[int, ...]
    size: int
    rank: int
    alpha: float


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How to generate: greedy when `temperature` is 0.

    `budget_ms` ends the call, prefill included, with what there is; 0 means no limit.
    `is_typing`: a person waits for each keystroke, and text that merely moved may be reused, though
    it was evaluated behind other text. `adapter` acts where the prompt asks for the middle; a
    generator that cannot apply one ignores it. `reads_ahead`: only free room is taken.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    budget_ms: float = 0.0
    is_typing: bool = False
    has_drafts: bool = True
    adapter: Adapter | None = None
    reads_ahead: bool = False


@dataclass(slots=True)
class GenerationStats:
    """Filled in by a generator while it runs.

    `reused_tokens` counts what the KV cache held already, `shifted_tokens` those of them that
    were moved to another place. `drafted_tokens` were guessed by prompt lookup and
    `accepted_tokens` of them held. `token_logprobs` are natural logarithms, one for each
    generated token, and `first_token_entropy` is in nats; both empty where a runtime does
    not tell. `finish_reason` is `stop`, `length` or `budget`.
    """

    prompt_tokens: int = 0
    evaluated_tokens: int = 0
    reused_tokens: int = 0
    shifted_tokens: int = 0
    generated_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    prefill_ms: float = 0.0
    generate_ms: float = 0.0
    finish_reason: str = "stop"
    token_logprobs: list[float] = field(default_factory=list)
    first_token_entropy: float | None = None

    def with_cost_of(self, other: GenerationStats) -> GenerationStats:
        """These, with the tokens and the time of `other` added: what both cost together."""
        added = {name: getattr(self, name) + getattr(other, name) for name in _COSTS}
        return replace(self, **added)


_COSTS = (
    "prompt_tokens",
    "evaluated_tokens",
    "reused_tokens",
    "shifted_tokens",
    "generated_tokens",
    "drafted_tokens",
    "accepted_tokens",
    "prefill_ms",
    "generate_ms",
)


@dataclass(frozen=True, slots=True)
class FimTokens:
    """A vocabulary's own fill-in-the-middle tokens; `None` where it has none."""

    prefix: int | None = None
    suffix: int | None = None
    middle: int | None = None
    repository: int | None = None
    separator: int | None = None

    @property
    def is_supported(self) -> bool:
        """Whether the middle can be asked for at all."""
        return None not in (self.prefix, self.suffix, self.middle)


class Tokenizer(Protocol):
    """Text to token ids, with special tokens in the text taken as plain text."""

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`, without a beginning-of-sequence token."""
        ...


class Generator(Tokenizer, Protocol):
    """A model that continues a token list."""

    @property
    def name(self) -> str:
        """The model's name, for receipts."""
        ...

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and generation may take together."""
        ...

    @property
    def fim(self) -> FimTokens:
        """The vocabulary's fill-in-the-middle tokens."""
        ...

    @property
    def bos(self) -> int | None:
        """The token that a prompt must begin with, where the model wants one."""
        ...

    @property
    def runtime(self) -> dict[str, object]:
        """What was used: backend, threads, GPU layers."""
        ...

    @property
    def has_probabilities(self) -> bool:
        """Whether `stats.token_logprobs` is filled in."""
        ...

    def generate(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        stats: GenerationStats,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[str]:
        """Yield pieces of text; closing the iterator stops the work. Fills `stats`.

        A cancelled call raises SupersededError, inside prefill too.
        """
        ...


@dataclass(frozen=True, slots=True)
class Generation:
    """The model's raw text and what it cost."""

    text: str
    stats: GenerationStats


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why the suggestion is what it is, and what it cost."""

    model: str
    finish_reason: str
    decision: Decision
    chunks: tuple[PackedChunk, ...]
    stats: GenerationStats
    timings_ms: dict[str, float]
    filters: tuple[str, ...] = ()
    runtime: dict[str, object] = field(default_factory=dict)
    adapter: Adapter | None = None
    is_adapter_in_head: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the user sees: `text` goes in at `position` of `document`."""

    document: Document
    position: Position
    text: str
    receipt: Receipt
    alternatives: tuple[str, ...] = ()
