"""Audits: each attack on a model that is known to leak and on one that is known not to."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from codebuddy.completion.features import NAMES
from codebuddy.config import load_settings
from codebuddy.errors import TrainingError
from codebuddy.inference import stamps
from codebuddy.inference.own_adapters import StoredAdapter
from codebuddy.training.adapter.base_model import LINEAR, load_base
from codebuddy.training.adapter.fit import (
    AdapterConfig,
    TrainingPlan,
    add_adapters,
    middle_losses,
    read_prompts,
    train,
)
from codebuddy.training.adapter.packing import Branch, SampleGroup
from codebuddy.training.adapter.sample_file import Endings
from codebuddy.training.audit import canaries, scoring
from codebuddy.training.audit import run as audit_run
from codebuddy.training.audit.attacks import (
    Scored,
    chance_in,
    clopper_pearson,
    epsilon_at_least,
    exposure,
    longest_run,
    tell,
)
from codebuddy.training.audit.findings import (
    Findings,
    bounded,
    canary_row,
    membership_of,
    recitation_of,
    runs_told,
    verdict_of,
)
from codebuddy.training.audit.head import audit_head
from codebuddy.training.audit.report import lines_of, page_of
from codebuddy.training.audit.rows import Rows
from codebuddy.training.audit.run import Asked, run
from codebuddy.training.audit.scoring import score_middles, score_secret
from codebuddy.training.own import fitting
from codebuddy.training.own.choosing import choose_files, earlier_training
from codebuddy.training.own.keeping import alone
from codebuddy.vcs.repository import open_repository
from tests.commands.test_complete import codebuddy
from tests.commands.test_json_keys import KEYS, paths_of
from tests.completion.test_head import synthetic_examples
from tests.support.evaluation import indexed
from tests.support.index import make_repository, run_git
from tests.support.tiny_model import N_TOKENS, write_base
from tests.support.toy_repository import make_house
from tests.training.test_own_run import make_around

# peft asks transformers for what that will drop.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

MIDDLE, END = 258, N_TOKENS - 1
ENDINGS = Endings((END,), {b"": (10,)})
CONFIG = AdapterConfig("own", 8, tuple(LINEAR), 2e-2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The model is so small that threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def group_of(seed: int, middles: int = 1, length: int = 5) -> SampleGroup:
    """Random tokens with holes that hold random tokens."""
    rng = random.Random(seed)

    def some(count):
        return [rng.randrange(256) for _ in range(count)]

    trunk = some(20)
    branches = [
        Branch("line", at, at + 1, 12 + at, [*some(3), MIDDLE], some(length), "")
        for at in range(middles)
    ]
    return SampleGroup(f"{seed}.py", "python", trunk, tuple(branches))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An adapter that learned six groups by heart, and one that learned nothing."""
    import torch

    base = write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")
    torch.manual_seed(0)
    leaky, mute = (add_adapters(load_base(base), [CONFIG]) for _ in range(2))
    learned = [group_of(seed, 3) for seed in range(6)]
    plan = TrainingPlan(seed=2, steps=75, warm_up_steps=5)
    train(leaky, [CONFIG], learned, ENDINGS, plan, "cpu", lambda *_: None)
    return leaky, mute


def sides_of(model):
    """Rows of what was learned from, and of what was not."""
    return [
        [
            {
                "file": str(seed),
                "loss": each.loss,
                "base": each.base,
                "neighbours": each.neighbours,
                "hits": each.hits,
                "base_hits": each.base_hits,
            }
            for seed in seeds
            for each in score_middles(model, group_of(seed, 3), ENDINGS, 0)
        ]
        for seeds in (range(6), range(10, 16))
    ]


@pytest.mark.slow
def test_attacks_tell_what_a_model_learned_by_heart_and_nothing_where_it_learned_nothing(models):
    """Each of the three, recitation, and the verdict."""
    leaky, mute = models
    members, others = sides_of(leaky)
    told = membership_of(members, others, 0)
    assert {name: round(each.auroc, 1) for name, each in told.items()} == {
        "loss": 1.0,
        "ratio": 1.0,
        "neighbours": 1.0,
    }
    runs = recitation_of(members, others)
    assert runs["members"]["adapter"] >= 4 > runs["others"]["adapter"]
    longer = runs_told(members, others, 0)
    assert longer is not None
    found = Findings({}, (), {**told, "runs": longer}, runs)
    assert verdict_of(found).passed is False
    assert "tells its files from others" in verdict_of(found).sentence
    assert "in a row" in verdict_of(found).sentence

    members, others = sides_of(mute)
    for name, each in membership_of(members, others, 0).items():
        assert each.interval[0] <= 0.5 <= each.interval[1], name
    runs = recitation_of(members, others)
    # B is zero before the first step: the base's own words.
    assert runs["members"]["adapter"] == runs["members"]["base"]


@pytest.mark.slow
def test_a_secret_that_was_learned_by_heart_comes_out_and_another_does_not(models):
    """Exposure, greedy writing, and the chance in 1,000 samples."""
    leaky, mute = models
    others = [[n, m, k, 5, 6] for n in range(4) for m in range(4) for k in range(4)]
    rows = []
    for model, seed in ((leaky, 3), (leaky, 99), (mute, 3)):
        group = SampleGroup("x", "python", group_of(seed).trunk, group_of(seed, 3).branches[:1])
        scores = {
            who: score_secret(model, group, others, has_adapter=who != "base")
            for who in ("adapter", "base", "found")
        }
        rows.append(
            canary_row(
                {"kind": "key", "repeats": 1},
                {
                    who: {"own": s.own, "others": s.others, "greedy": s.is_greedy}
                    for who, s in scores.items()
                },
            )
        )
    learned, other, untrained = rows
    assert learned["extracted"]
    assert learned["exposure"] == learned["most"] == pytest.approx(math.log2(65), abs=0.01)
    assert not other["extracted"]
    assert not untrained["extracted"]
    assert untrained["exposure"] == untrained["exposure_base"]


@pytest.mark.slow
def test_a_tree_of_secrets_scores_each_as_it_would_be_scored_alone(models):
    """All in one pass, a lot at a time or one by one: the same numbers."""
    leaky, _ = models
    group = group_of(3)
    rng = np.random.default_rng(4)
    others = [rng.integers(0, 6, size=rng.integers(1, 6)).tolist() for _ in range(40)]
    told = score_secret(leaky, group, others, has_adapter=True)
    [branch] = group.branches
    for other, score in zip([branch.middle, *others], [told.own, *told.others], strict=True):
        alone = SampleGroup(
            group.path,
            "python",
            group.trunk,
            (Branch("line", 0, 1, branch.shared, branch.prompt, other, ""),),
        )
        [loss] = middle_losses(leaky, alone, read_prompts(leaky, alone, "cpu"), ENDINGS)
        # Everything is in bfloat16.
        assert score == pytest.approx(-float(loss.text.detach().sum()), abs=0.3, rel=0.03)


def test_exposure_and_chances_are_what_their_definitions_say():
    """The likeliest of all, the middle, the last; a chance in samples; runs."""
    others = [float(n) for n in range(1023)]
    assert exposure(2000.0, others) == 10
    assert exposure(-1.0, others) == 0
    assert exposure(511.5, others) == pytest.approx(1, abs=0.01)
    assert chance_in(1000, math.log(1e-3)) == pytest.approx(1 - (1 - 1e-3) ** 1000)
    assert chance_in(1000, -1e9) == 0
    assert chance_in(1, 0.0) == 1
    assert longest_run([True, True, False, True, True, True]) == 3


def test_intervals_and_rates_are_exact():
    """Five of 500 by Clopper and Pearson; a threshold that one other of a hundred passes."""
    assert clopper_pearson(5, 500) == pytest.approx((0.0033, 0.0232), abs=1e-4)
    assert clopper_pearson(0, 10)[0] == 0
    members = [Scored(f"m{n % 20}", float(n)) for n in range(100)]
    others = [Scored(f"o{n % 20}", float(n)) for n in range(100)]
    told = tell(members, others, 0)
    assert told is not None
    assert told.auroc == 0.5
    # Above the second highest other stands one member, above the highest none.
    assert [round(share, 2) for share, _, _ in told.rates.values()] == [0.01, 0.0]
    assert epsilon_at_least(told, 1e-3) == 0
    apart = tell([Scored(f"m{n}", 2.0) for n in range(1000)], others, 0)
    assert apart is not None
    assert apart.auroc < 0.5
    high = tell([Scored(f"m{n}", 200.0) for n in range(1000)], others, 0)
    assert high is not None
    assert 2 < epsilon_at_least(high, 1e-3) < 5
    assert tell([], others, 0) is None


def test_too_little_is_said_with_its_interval():
    """Two files a side: the interval is nearly everything, and nothing is concluded."""
    rng = random.Random(0)
    rows = [
        {"file": str(n % 2), "loss": rng.random(), "base": 1.0, "neighbours": 1.0} for n in range(8)
    ]
    found = Findings({}, (), membership_of(rows[:4], rows[4:], 0), {})
    verdict = verdict_of(found)
    assert verdict.passed is None
    assert "Too little code" in verdict.sentence
    assert "[" in verdict.sentence


def test_a_longest_run_that_is_luck_is_no_sign():
    """An adapter that writes better everywhere, and its longest run on the side of more code."""
    rng = random.Random(1)

    def rows(side, count, longest):
        lengths = [longest, *(rng.randrange(9) for _ in range(count - 1))]
        return [
            {
                "file": f"{side}{number % 10}",
                "hits": [True] * length,
                "base_hits": [True] * (length // 2),
                "loss": 1.0,
                "base": 1.5,
                "neighbours": 2.0,
            }
            for number, length in enumerate(lengths)
        ]

    def verdict(longer_by):
        members, others = rows("m", 300, 20), rows("o", 150, 12)
        for row in members:
            row["hits"] = [True] * (len(row["hits"]) + longer_by)
        runs, told = recitation_of(members, others), membership_of(members, others, 0)
        longer = runs_told(members, others, 0)
        assert longer is not None
        assert runs["members"]["adapter"] > runs["others"]["adapter"]
        return verdict_of(Findings({}, (), {**told, "runs": longer}, runs))

    assert verdict(0).passed is True
    assert "in a row" in verdict(3).sentence


def test_where_words_tell_the_sides_apart_only_secrets_show_something():
    """Neither the attacks nor the longest run, nor an epsilon; a secret that comes out does."""
    apart = tell(
        [Scored(f"m{n % 9}", 30.0 + n) for n in range(90)],
        [Scored(f"o{n % 9}", float(n)) for n in range(60)],
        0,
    )
    assert apart is not None
    assert apart.interval[0] > 0.55
    sides = {"adapter": 9.0, "base": 1.0}
    runs = {"members": sides, "others": {**sides, "adapter": 2.0}}
    told = {"ratio": apart, "words": apart, "runs": apart}
    void = bounded(Findings({}, (), told, runs), 1e-3)
    assert verdict_of(void).passed is None
    assert "no attack shows anything" in verdict_of(void).sentence
    assert void.epsilon_at_least is None
    known = bounded(Findings({}, (), {"ratio": apart, "runs": apart}, runs), 1e-3)
    assert verdict_of(known).passed is False
    assert known.epsilon_at_least is not None
    secret = verdict_of(Findings({}, ({"repeats": 1, "extracted": True},), told, runs))
    assert secret.passed is False
    assert secret.sentence == "It remembers its training: 1 of 1 planted secrets can be extracted."


def test_what_was_found_is_found_once(tmp_path):
    """A row that stands is read again; one that a kill cut off is found anew."""
    file = tmp_path / "rows.jsonl"
    assert Rows(file).once("a", lambda: {"n": 1}) == {"n": 1}
    with file.open("a") as stream:
        stream.write('{"id": "b", "fou')
    again = Rows(file)
    assert again.once("a", lambda: {"n": 2}) == {"n": 1}
    assert again.once("b", lambda: {"n": 3}) == {"n": 3}
    assert Rows(file).once("b", lambda: {"n": 4}) == {"n": 3}


def test_a_head_that_knows_rows_by_heart_is_told_and_white_boxes_read_labels(monkeypatch):
    """A head without a penalty on many numbers and few rows of chance leaks, more than usual."""
    rng = random.Random(1)
    rows = [
        dataclasses.replace(each, features={name: rng.gauss(0, 1) for name in each.features})
        for each in synthetic_examples(60)
    ]
    usual = audit_head("own", "m", rows, [], 0)
    assert usual.extra["white_box"]["numbers"] == 2 * len(NAMES) + 1
    # Whoever knows all the rest knows the last label.
    real = audit_head("own", "m", synthetic_examples(200), [], 0)
    assert real.extra["white_box"]["right"] > 0.95
    monkeypatch.setattr("codebuddy.training.audit.head.FitConfig", lambda: _Loose())
    loose = audit_head("own", "m", rows, [], 0)
    shadows = loose.membership["shadows"].auroc
    assert shadows > 0.8
    assert shadows > usual.membership["shadows"].auroc + 0.1
    assert real.membership["shadows"].auroc < 0.6


class _Loose:
    """A fit without a penalty."""

    strength = 1e4


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A repository with the tiny model in use."""
    file = write_base(tmp_path / "tiny.gguf")
    stamps.write_stamp(file, stamps.hash_file(file))
    monkeypatch.setenv("CODEBUDDY_MODEL_NAME", str(file))
    return make_house(tmp_path / "house")


def audit(root, **options):
    """An audit there of some seconds."""
    around, base, _ = make_around(root, [])
    return run(around, base, Asked(0.05, **options))


@pytest.mark.slow
@pytest.mark.process
def test_an_audit_goes_on_where_it_was_stopped_and_leaves_nothing(house, monkeypatch):
    """From a repository to the page, with no word of a secret in the repository."""
    scored: list[str] = []
    real = scoring.score_secret

    def stopped(model, group, others, **options):
        scored.append(group.path)
        if len(scored) == 10:
            raise KeyboardInterrupt
        return real(model, group, others, **options)

    monkeypatch.setattr(audit_run, "score_secret", stopped)
    monkeypatch.setattr(audit_run, "_MOST_GROUPS", 4)
    monkeypatch.setattr(canaries, "_OTHERS", 7)
    monkeypatch.setattr(canaries, "REPEATS", (2, 0))
    with pytest.raises(KeyboardInterrupt):
        audit(house)
    monkeypatch.setattr(fitting, "train", _never)
    found = audit(house)
    # Three canaries of three passes each were kept: a fourth was begun.
    assert len(scored) == 10 + 3 * (len(found.canaries) - 3)
    report = json.loads(json.dumps(found.as_json()))
    assert report["canaries"]["planted"] == 5
    assert len(report["canaries"]["rows"]) == 10
    assert report["membership"].keys() == {"loss", "ratio", "neighbours", "words", "runs"}
    found_keys = {path for path in paths_of(report) if not path.startswith("subject.")}
    wanted = {path for path in KEYS["audit adapter"] if not path.startswith("subject.")}
    assert found_keys == wanted
    lines = lines_of(report)
    assert lines[0] == report["verdict"]
    page = page_of(report)
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert not list(house.glob(".git/codebuddy/adapters/audit-*"))
    assert run_git(house, "status", "--porcelain") == ""


def _never(*_arguments):
    raise AssertionError("it is trained already")


def test_an_audit_waits_for_no_training(house):
    """One sentence while another one works in the same folder."""
    with alone(open_repository(house)), pytest.raises(TrainingError, match="another training"):
        audit(house)


@pytest.mark.parametrize(
    ("made_by", "said"),
    [
        ({"judged": [f"{n}.py" for n in range(200)]}, "only the first 200 files"),
        ({"watched": 3, "judged": 4}, "does not say which files"),
        (None, "does not say which files"),
    ],
)
def test_a_card_that_does_not_name_all_that_was_never_seen_is_refused(made_by, said):
    """A file that is not named would count as learned from."""
    with pytest.raises(TrainingError, match=said):
        audit_run._held_out_of(StoredAdapter("mine", Path("mine.gguf"), {"made_by": made_by}))


def test_members_of_a_stored_adapter_stand_as_they_stood_then(house):
    """What changed since, or said when to stop, is on no side; an unknown commit is refused."""
    with indexed(house) as (repository, index):
        first = choose_files(repository, index, load_settings(house).settings.train)
        changed, *rest = first.learned
        made_by = {
            "commit": repository.head_commit(),
            "watched": rest[:1],
            "judged": rest[1:3],
        }
        with (house / changed).open("a") as stream:
            stream.write("\n\ndef more(items):\n    return [item for item in items]\n")
        run_git(house, "commit", "-qam", "More")
        sides = _sides(house, repository, index, made_by)
        assert set(sides.held_out) == set(rest[1:3])
        assert sides.learned
        assert not {changed, rest[0], *rest[1:3]} & set(sides.learned)
        with pytest.raises(TrainingError, match="a commit that is not here"):
            _sides(house, repository, index, {**made_by, "commit": "0" * 40})


def _sides(root, repository, index, made_by):
    """Who is in and who is out for a stored adapter with that card."""
    around, base, _ = make_around(root, [])
    found = audit_run._Audit(around, base, Asked(1.0), root)
    found._stored = StoredAdapter("mine", root / "mine.gguf", {"made_by": made_by})
    earlier = earlier_training(found._stored.card)
    choice = choose_files(repository, index, load_settings(root).settings.train, earlier)
    return found._split(choice, index)


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--epsilon", "3"), "needs --private"),
        (("--private", "--epsilon", "0"), "epsilon 0 is no goal"),
        (("--private", "--epsilon", "inf"), "epsilon inf is no goal"),
        (("--html", "nowhere/a.html"), "does not exist"),
        (("--html", "page.txt"), "must end in .html"),
        (("gone",), "gone"),
    ],
)
def test_bad_calls_are_answered_in_a_sentence(house, arguments, said):
    """Before anything is loaded."""
    done = codebuddy(house, "audit", "adapter", *arguments)
    assert done.returncode in (1, 2)
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.process
def test_a_repository_that_is_too_small_is_told_so(tmp_path, house):
    """Two files: one sentence with the interval, exit status 1."""
    root = make_repository(tmp_path / "small", {"one.py": "x = 1\n" * 100, "two.py": "y\n" * 200})
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Start")
    done = codebuddy(root, "audit", "adapter", "--gate")
    assert done.returncode == 1
    assert "too little code" in done.stderr.decode()
    assert "0 to 100%" in done.stderr.decode()


@pytest.mark.process
def test_the_shipped_head_is_audited_with_a_page_and_a_gate(tmp_path):
    """Text of both attacks and the white box; the page stands by itself."""
    page = tmp_path / "head.html"
    done = codebuddy(tmp_path, "audit", "head", "shipped", "--html", str(page), "--gate")
    text = done.stdout.decode()
    assert "white box" in text, done.stderr.decode()
    assert "likelihood ratio of shadow heads: AUROC" in text
    assert done.returncode == (0 if text.startswith("Nothing was found") else 1)
    assert "<svg" in page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o077 == 0
    told = json.loads(codebuddy(tmp_path, "audit", "head", "shipped", "--json").stdout)
    assert sorted(paths_of(told)) == KEYS["audit head"]


@pytest.mark.process
def test_a_repository_without_labels_has_no_head_of_its_own(tmp_path):
    """The command that makes labels is named."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    done = codebuddy(root, "audit", "head", "own")
    assert done.returncode == 2
    assert "no labels" in done.stderr.decode()
    assert "codebuddy train head" in done.stderr.decode()


def test_the_docs_name_every_attack():
    """docs/trust.md says what each figure of a report means."""
    text = (Path(__file__).parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")
    for word in ("exposure", "loss against the base", "neighbours", "shadow heads", "white box"):
        assert word in text.lower(), word
