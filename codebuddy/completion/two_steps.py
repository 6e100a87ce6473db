"""A place of which nothing was read, in two steps: first what stands nearest, then all of it.

The text of the first step is shown while the whole prompt is read, which takes several times as
long; the second step replaces it by the rule for two texts. What the first step read stays in the
KV cache and is moved behind what the second one reads before it.
"""

from __future__ import annotations

from dataclasses import replace

from codebuddy.completion.decision import has_higher_likelihood
from codebuddy.completion.pipeline_run import GenerationResult, PipelineRun
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.reasons import provisional_kept_reason
from codebuddy.datatypes import Context, Decision
from codebuddy.settings import CompletionSettings

# Tokens before and behind the cursor. Without an adapter that makes up for it, texts of such
# prompts were worse (docs/log.md).
_PREFIX_TOKENS, _SUFFIX_TOKENS = 192, 64


def first_step(run: PipelineRun, context: Context) -> PipelineRun | None:
    """The run of a first step; None where it is not wanted or the place is not cold.

    It is for a client that can replace a text, and for one text: no alternatives.
    """
    request, resources = run.request, run.resources
    settings, generator = resources.settings, resources.generator
    short = _short(settings)
    count_missing = getattr(generator, "count_missing", None)
    is_wanted = settings.two_steps and request.accepts_revision and not request.alternatives
    is_shorter = short.prefix_tokens * 2 <= settings.prefix_tokens
    # Without marks for the middle nothing is moved, and a first step would be read in vain.
    if count_missing is None or not generator.fim.is_supported:
        return None
    if not (is_wanted and is_shorter and settings.max_tokens):
        return None
    tokens = build_prompt(context, [], generator, short, resources.repository_name).tokens
    if count_missing(tokens) * 2 < len(tokens):
        return None
    return run.with_resources(replace(resources, settings=short, prompt_history=None))


def _short(settings: CompletionSettings) -> CompletionSettings:
    return replace(
        settings,
        prefix_tokens=min(settings.prefix_tokens, _PREFIX_TOKENS),
        suffix_tokens=min(settings.suffix_tokens, _SUFFIX_TOKENS),
        context_tokens=0,
    )


def better_of_steps(
    decision: Decision, first: GenerationResult, second: GenerationResult
) -> tuple[Decision, GenerationResult]:
    """The text of the whole prompt, unless the provisional one is likelier; both steps' costs."""
    is_whole = bool(second.text) and second.stats.finish_reason != "budget"
    if not first.text or (is_whole and has_higher_likelihood(second.stats, first.stats)):
        return decision, replace(second, stats=second.stats.with_cost_of(first.stats))
    kept = replace(first, stats=first.stats.with_cost_of(second.stats))
    return replace(decision, reason=provisional_kept_reason(decision.reason)), kept
