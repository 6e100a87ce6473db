"""Where a suggestion is wanted, and what the pipeline gets for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codebuddy.datatypes import Adapter, Document, Generator, Position
from codebuddy.positions import resolve
from codebuddy.service.context import RepositoryContext, RetrievalPolicy
from codebuddy.service.keystrokes import Keystrokes
from codebuddy.service.request import CompletionRequest

if TYPE_CHECKING:
    from codebuddy.code_index import CodeIndex
    from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
    from codebuddy.completion.prompt_history import PromptHistory
    from codebuddy.datatypes import RetrieveMode


@dataclass(frozen=True, slots=True)
class CompletionTarget:
    """Completion target, validated: repository, document and cursor position."""

    repository_context: RepositoryContext
    document: Document
    position: Position

    @property
    def mode(self) -> RetrieveMode:
        """Whether to look up."""
        return self.repository_context.settings.completion.retrieve  # type: ignore[return-value]

    @property
    def may_retrieve(self) -> bool:
        """Whether an index is needed at all."""
        return self.mode != "never" and self.repository_context.found is not None

    def is_keystroke(self, keystrokes: Keystrokes) -> bool:
        """Whether the file's last call saw this text but for a little typed at the cursor."""
        document, place = self.document, self.position
        _, offset = resolve(document.text, place.line, place.column, document.path)
        file = f"{self.repository_context.root}\0{document.path}\0{document.cell or ''}"
        return keystrokes.follows(file, document.text, offset)

    def pipeline_request(
        self,
        request: CompletionRequest,
        budget_ms: float,
        *,
        is_typing: bool,
        is_keystroke: bool = False,
        reads_ahead: bool = False,
    ) -> PipelineRequest:
        """What the pipeline is asked; `budget_ms` is what is left of the request's."""
        from codebuddy.completion.pipeline_run import PipelineRequest
        from codebuddy.syntax import language_for

        head = self.document.text[:512].encode("utf-8", "replace")
        language = self.document.language or language_for(self.document.path, head)
        return PipelineRequest(
            self.document,
            self.position,
            language,
            self.mode,
            request.alternatives,
            budget_ms,
            is_typing,
            request.extras,
            accepts_revision=request.takes_back,
            reuses_moved=is_keystroke,
            reads_ahead=reads_ahead,
        )

    def resources(
        self,
        generator: Generator,
        index: CodeIndex | None,
        history: PromptHistory | None,
        policy: RetrievalPolicy,
        adapter: Adapter | None = None,
    ) -> PipelineResources:
        """The resources of the pipeline."""
        from codebuddy.completion.pipeline_run import PipelineResources

        completion = self.repository_context.settings.completion
        found = self.repository_context.found
        head, latency = policy.head, policy.latency
        resources = PipelineResources(
            generator,
            None if found is None else index,
            completion,
            "" if found is None else found.root.name,
            history,
            head,
            latency,
            adapter=adapter,
        )
        if found is None:
            return replace(resources, no_index_reason="the file is in no git repository")
        return resources


def resolve_target(
    repository_context: RepositoryContext, request: CompletionRequest
) -> CompletionTarget:
    """Check all that can be wrong with a position before anything slow is opened.

    Args:
        repository_context: The repository that the file must lie in, or the folder outside of any.
        request: Names the file and the position.

    Raises:
        UsageError: The file or the place in it is not there.
        DocumentError: It cannot be read, or is not text.
    """
    from codebuddy.completion.document import load_document
    from codebuddy.completion.notebook import cell_document, is_notebook

    unsaved, line, column = request.unsaved(), request.line, request.column
    document = load_document(request.file, repository_context.root, unsaved, request.name)
    if request.language:
        document = replace(document, language=request.language)
    elif is_notebook(document.path):
        is_on_disk = unsaved is None
        document, position = cell_document(document, line, column, must_be_notebook=is_on_disk)
        return CompletionTarget(repository_context, document, position)
    position, _ = resolve(document.text, line, column, document.path)
    return CompletionTarget(repository_context, document, position)
