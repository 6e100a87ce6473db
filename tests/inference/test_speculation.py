"""Prompt lookup: what it guesses, and when it stays silent."""

from __future__ import annotations

from codebuddy.inference.speculation import MAX_DRAFT, MIN_MATCH, PromptLookup

TEXT = list(range(100, 130))


def after(tokens: list[int], generated: list[int], logprob: float = -0.01) -> PromptLookup:
    """A lookup that has seen those tokens generated."""
    lookup = PromptLookup(tokens)
    for token in generated:
        lookup.extend(token, logprob)
    return lookup


def test_a_repeated_beginning_is_continued():
    """After four tokens that stood in the prompt, the ones that followed there are drafted."""
    assert after(TEXT, TEXT[:MIN_MATCH]).draft(10) == TEXT[MIN_MATCH : MIN_MATCH + 2]
    assert after(TEXT, TEXT[:MIN_MATCH]).draft(1) == TEXT[MIN_MATCH : MIN_MATCH + 1]


def test_what_never_stood_there_is_not_guessed():
    """New text, too short a match and no room give no draft."""
    assert after(TEXT, [1, 2, 3, 4]).draft(10) == []
    assert after(TEXT, [1, *TEXT[: MIN_MATCH - 1]]).draft(10) == []
    assert after(TEXT, TEXT[:MIN_MATCH]).draft(0) == []
    assert PromptLookup([]).draft(5) == []


def test_an_unsure_token_begins_no_draft():
    """Where the model itself hesitated, copying is a poor guess."""
    assert after(TEXT, TEXT[:MIN_MATCH], logprob=-3.0).draft(10) == []


def test_the_longest_match_wins():
    """Of two places with the same last tokens, the one that agrees further back is copied."""
    tokens = [1, 2, 3, *TEXT[:4], 50, 51, 9, 9, 9, *TEXT[:4], 60, 61]
    assert after(tokens, [1, 2, 3, *TEXT[:4]]).draft(2) == [50, 51]


def test_drafts_grow_with_success_and_pause_after_failure():
    """What held is trusted further, up to a limit; failures silence it, longer each time."""
    lookup = after(TEXT, TEXT[:MIN_MATCH])
    lookup.learn(2, 2)
    assert len(lookup.draft(30)) == 4
    lookup.learn(4, 4)
    assert len(lookup.draft(30)) == MAX_DRAFT
    lookup.learn(6, 0)
    assert lookup.draft(30) == []
    for token in TEXT[:MIN_MATCH] * 10:
        lookup.extend(token, 0.0)
    lookup.learn(4, 0)
    silences = []
    for _ in range(3):
        silent = 0
        while not lookup.draft(30):
            for token in TEXT[:MIN_MATCH]:
                lookup.extend(token, 0.0)
            silent += MIN_MATCH
        silences.append(silent)
        lookup.learn(4, 0)
    assert silences[0] < silences[1] < silences[2]


def test_a_draft_that_did_not_pay_asks_for_a_longer_match():
    """One token of six cost more than it gave: the next draft needs more that agrees."""
    lookup = after(TEXT, TEXT[:MIN_MATCH])
    lookup.learn(6, 1)
    for token in [*[7] * 64, *TEXT[:MIN_MATCH]]:
        lookup.extend(token, 0.0)
    assert lookup.draft(10) == []
    for token in TEXT[MIN_MATCH : 2 * MIN_MATCH]:
        lookup.extend(token, 0.0)
    assert lookup.draft(10) == TEXT[2 * MIN_MATCH : 2 * MIN_MATCH + 2]


def test_generated_text_is_looked_up_too():
    """A generation that repeats itself drafts from its own past."""
    assert after([1], [*TEXT, *TEXT[:MIN_MATCH]]).draft(3) == TEXT[MIN_MATCH : MIN_MATCH + 2]
