"""The training of the ranker: what pieces teach, weights fitted to it, and the command."""

from __future__ import annotations

import sys

import pytest

from codebuddy.completion.lookalikes import Likeness, cursor_text, likeness
from codebuddy.completion.ranking import KIND_GAINS, Candidate, expected_gain
from codebuddy.datatypes import Chunk
from codebuddy.training.ranker import __main__ as ranker
from codebuddy.training.ranker.gains import cut_text, gain_of
from tests.support.completion import context_at
from tests.support.evaluation import make_shop

PLACE = "import shop\n\nprice = \u2038\nprint(price)\n"


def test_a_piece_teaches_lines_and_names_that_the_file_does_not_hold():
    """The answer itself is worth most, its name something, what the file says already nothing."""
    cut = cut_text("apply_discount(100, 10)", context_at(PLACE))
    assert cut.lines == ("price = apply_discount(100, 10)",)
    assert cut.names == {"apply_discount"}
    whole = gain_of(cut, ["price = apply_discount(100, 10)\n"])
    name = gain_of(cut, ["def apply_discount(cents): ...\n"])
    assert whole > name > 0
    for known in ("import shop\nprint(price)\n", "", "\n \n"):
        assert gain_of(cut, [known]) == 0
    assert gain_of(cut, ["zebra\n", "price = apply_discount(100, 10)\n"]) == whole


def test_what_cannot_be_told_is_worth_nothing():
    """A hole of blanks has neither lines nor names."""
    assert gain_of(cut_text(" ", context_at("\u2038")), ["anything\n"]) == 0


def labelled(repository, text, gain):
    """A hole with one candidate."""
    chunk = Chunk(1, "a.py", "python", "window", "", "", 1, 1, 0, 0, text)
    candidate = Candidate("window", chunk, {})
    context = context_at(PLACE)
    cursor = cursor_text(context)
    return ranker.LabelledHole(
        repository,
        "line",
        cut_text("x", context),
        cursor,
        (candidate,),
        (likeness(text, cursor),),
        (gain,),
        0.0,
    )


def test_weights_foretell_what_they_were_fitted_to():
    """What reads like the cursor's code, and was worth more, is worth more than what does not."""
    holes = [labelled("a", "price = price\n", 10.0), labelled("a", "zebra\n", 0.0)] * 50
    weights = ranker.fit(holes)
    assert weights.kinds.keys() == KIND_GAINS.keys()
    like, unlike = (
        expected_gain("window", hole.alike[0], weights) for hole in (holes[0], holes[1])
    )
    assert like == pytest.approx(10.0, abs=1.0)
    assert unlike == pytest.approx(0.0, abs=1.0)
    assert weights.likeness != Likeness(0.0, 0.0, 0.0)


def test_pieces_fill_the_budget_as_a_prompt_does():
    """Whole where they fit, else cut after a line, and left out where that is too little."""
    texts = ["a" * 30 + "\n", "b" * 20 + "\n" + "c" * 30 + "\n", "d" * 90 + "\n"]
    assert ranker.packed(texts, 18) == [texts[0], "b" * 20]
    assert ranker.packed(texts, 0) == []


def test_the_command_judges_each_repository_by_the_others(tmp_path, monkeypatch, capsys):
    """Of the same name, too; one alone cannot be judged."""
    folders = [str(make_shop(tmp_path / name / "shop")) for name in ("one", "two")]
    monkeypatch.setattr(sys, "argv", ["ranker", "--per-kind", "3", *folders])
    ranker.main()
    said = capsys.readouterr().out
    assert said.startswith("Weights(")
    assert "| all |" in said
    monkeypatch.setattr(sys, "argv", ["ranker", "--per-kind", "3", folders[0], folders[0]])
    with pytest.raises(SystemExit):
        ranker.main()
    assert "two repositories" in capsys.readouterr().err
