"""Prompt lookup: the next tokens guessed from where the last ones stood before.

Drafts are copied from the prompt (the file, retrieved chunks) and from what was generated;
the model then checks a whole draft in one call. A pure state machine over token ids: how
long to draft and when to stay silent follows from what held so far, so that text that does
not repeat costs next to nothing. Source: Saxena, Prompt Lookup Decoding (2023).
"""

from __future__ import annotations

from collections.abc import Sequence

# Tokens that must have stood there before: fewer match by chance.
MIN_MATCH = 4
# Longer matches are preferred up to this many tokens.
_MAX_MATCH = 24
_FIRST_DRAFT = 2
# What checking a draft costs, in single steps: for its first token, and for each further one.
# Of the slowest processor measured (docs/log.md); not of this one now, since what is drafted
# must not depend on the clock.
_FIRST_COST = 0.85
_FURTHER_COST = 0.4
# Up to 7 rows at once llama.cpp computes with the kernels that it takes for one, on some
# processors bit for bit; from 8 on with others, which round differently (docs/completion.md).
MAX_DRAFT = 6
# After drafts that cost more than they gave: that many tokens without any, and as long a match
# before the next one, both doubled each time.
_FIRST_PAUSE = 4
_MAX_PAUSE = 64
# The latest places where an n-gram stood; the best continuation is nearly always among them.
_MAX_PLACES = 4
# A token that the model itself was unsure of is no beginning to copy from (natural log).
_LEAST_LOGPROB = -0.7


class PromptLookup:
    """Guesses for one generation."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """Begin with the prompt's tokens."""
        self._tokens = list(tokens)
        self._places: dict[tuple[int, ...], list[int]] = {}
        for end in range(MIN_MATCH, len(self._tokens)):
            self._remember(end)
        self._length = _FIRST_DRAFT
        self._least_match = MIN_MATCH
        self._pause = 0
        self._next_pause = _FIRST_PAUSE
        self._logprob = 0.0

    def extend(self, token: int, logprob: float) -> None:
        """Take the next generated token, with the logarithm of its probability."""
        self._tokens.append(token)
        self._remember(len(self._tokens) - 1)
        self._logprob = logprob
        self._pause = max(0, self._pause - 1)

    def draft(self, limit: int) -> list[int]:
        """Up to `limit` tokens that may come next; often none."""
        if self._pause or self._logprob < _LEAST_LOGPROB or limit < 1:
            return []
        end = len(self._tokens)
        places = self._places.get(tuple(self._tokens[end - MIN_MATCH : end]), [])
        if not places:
            return []
        length, best = max((self._match_length(place, end), place) for place in places)
        if length < self._least_match:
            return []
        return self._tokens[best : best + min(limit, self._length)]

    def learn(self, drafted: int, accepted: int) -> None:
        """Adapt to how much of a draft held: longer, shorter, or silent for a while."""
        if accepted == drafted:
            self._length = min(MAX_DRAFT, self._length * 2)
        else:
            self._length = max(_FIRST_DRAFT, accepted + 1)
        if accepted > _FIRST_COST + _FURTHER_COST * (drafted - 1):
            self._least_match = MIN_MATCH
            self._next_pause = _FIRST_PAUSE
            return
        self._least_match = min(_MAX_MATCH, self._least_match * 2)
        self._pause = self._next_pause
        self._next_pause = min(_MAX_PAUSE, self._next_pause * 2)

    def _remember(self, end: int) -> None:
        """Note that the tokens before `end` are followed by the one there."""
        places = self._places.setdefault(tuple(self._tokens[end - MIN_MATCH : end]), [])
        places.append(end)
        if len(places) > _MAX_PLACES:
            del places[0]

    def _match_length(self, place: int, end: int) -> int:
        tokens, length = self._tokens, MIN_MATCH
        while (
            length < _MAX_MATCH
            and place > length
            and tokens[place - length - 1] == tokens[end - length - 1]
        ):
            length += 1
        return length
