"""Which patch an id or a rule's name means: of several alike, and of earlier reviews."""

from __future__ import annotations

import json
import re

import pytest

from codebuddy.errors import DocumentError
from codebuddy.hook.apply import apply_edits
from codebuddy.hook.finding import FileEdit, Finding
from codebuddy.hook.record import save_patches
from codebuddy.hook.review import ordered
from codebuddy.vcs.repository import open_repository
from tests.support.hook import Project

pytestmark = pytest.mark.process

PRICING = "def shipping(weight):\n    total = weight * 2\n    return total + 1\n"
CART = "from pricing import shipping\n\n\ndef total(x):\n    return shipping(x)\n"
RENAMED = PRICING.replace("shipping", "shipping_cost")


def found(project, *arguments):
    """The findings of a review by hand."""
    done = project.codebuddy("hook", "run", "--no-update", "--json", *arguments)
    return json.loads(done.stdout)["findings"]


def renaming(tmp_path):
    """A renaming is staged that another file did not follow."""
    project = Project(tmp_path / "p", {"pricing.py": PRICING, "cart.py": CART})
    project.index()
    project.stage({"pricing.py": RENAMED})
    return project


def test_findings_that_say_the_same_have_ids_of_their_own(tmp_path):
    """Each id means its line: two alike in one file, and one without a patch."""
    project = Project(tmp_path / "p", {"a.py": "x = 1\n"})
    lines = [
        *("x = 1", "breakpoint()", "y = 2", "breakpoint()", "z = 3"),
        *("for _ in y:", "    # note", "    breakpoint()"),
    ]
    project.index()
    project.stage({"a.py": "\n".join(lines) + "\n"})
    items = found(project)
    assert [(each["line"], each["has_patch"]) for each in items] == [
        (2, True),
        (4, True),
        (8, False),
    ]
    ids = [each["id"] for each in items]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{8}", each) for each in ids)
    assert project.codebuddy("hook", "apply", ids[1]).returncode == 0
    del lines[3]
    assert (project.root / "a.py").read_text() == "\n".join(lines) + "\n"
    assert "has no patch" in project.codebuddy("hook", "apply", ids[2]).stderr


def test_the_only_finding_of_its_kind_keeps_its_id():
    """The id is that of earlier versions, wherever the line is and whatever else is found."""
    (one,) = ordered([Finding("CB108", "a.py", 3, 1, "m")])
    found_ = ordered(
        [
            Finding("CB108", "a.py", 9, 1, "m"),
            Finding("CB108", "a.py", 7, 1, "m"),
            Finding("CB108", "b.py", 7, 1, "m"),
            Finding("CB108", "a.py", 7, 1, "other"),
        ]
    )
    assert one.id == "f26fb8c1"
    assert [each.id == one.id for each in found_].count(True) == 1
    assert next(each.line for each in found_ if each.id == one.id) == 7
    assert len({each.id for each in found_}) == 4


def test_a_rules_name_means_the_last_review_also_where_that_found_nothing(tmp_path):
    """A patch of an earlier review is called by its id, and only while what it names is there."""
    project = renaming(tmp_path)
    (item,) = found(project)
    project.git("stash", "-q")
    project.stage({"other.py": "x = 1\n"})
    assert found(project) == []
    done = project.codebuddy("hook", "apply", "CB102")
    assert (done.returncode, "the last review found no CB102" in done.stderr) == (2, True)
    done = project.codebuddy("hook", "apply", item["id"])
    assert (done.returncode, "pricing.py has no shipping_cost" in done.stderr) == (1, True)
    assert (project.root / "cart.py").read_text() == CART
    project.write({"pricing.py": RENAMED})
    assert project.codebuddy("hook", "apply", item["id"]).returncode == 0
    assert "return shipping_cost(x)" in (project.root / "cart.py").read_text()


def test_a_patch_of_a_commit_that_was_undone_is_not_applied(tmp_path, monkeypatch):
    """Right after the undoing, and after another commit that has no finding."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    project = renaming(tmp_path)
    assert project.codebuddy("hook", "install").returncode == 0
    project.git("commit", "-q", "-m", "Rename")
    project.git("reset", "-q", "--hard", "HEAD~1")
    done = project.codebuddy("hook", "apply", "CB102")
    assert (done.returncode, "pricing.py has no shipping_cost" in done.stderr) == (1, True)
    project.stage({"other.py": "x = 1\n"})
    project.git("commit", "-q", "-m", "Add other")
    project.write({"pricing.py": RENAMED})
    done = project.codebuddy("hook", "apply", "CB102")
    assert (done.returncode, "the last review found no CB102" in done.stderr) == (2, True)
    assert (project.root / "cart.py").read_text() == CART


def test_reviews_that_find_nothing_age_no_patch(tmp_path):
    """The patches of ten reviews that found something are kept, whatever comes between."""
    project = renaming(tmp_path)
    (item,) = found(project)
    repository = open_repository(project.root)
    for _ in range(12):
        assert save_patches(repository, [])
    assert project.codebuddy("hook", "apply", item["id"]).returncode == 0


@pytest.mark.parametrize(
    "changed",
    [
        "x = 1\nbreakpoint()\ny = 2\n",
        "if x:\n    pass\nbreakpoint()\n",
        "for _ in x:\n    # note\n    breakpoint()\n",
        "if x:\n    y = 2\n    breakpoint()\n",
    ],
)
def test_a_patch_breaks_no_file_that_changed_since(tmp_path, changed):
    """The line may stand alone in a block by now; where it does not, it goes."""
    project = Project(tmp_path / "p", {"a.py": changed})
    line = next(each for each in changed.split("\n") if "breakpoint" in each)
    edit = FileEdit("a.py", 1, 1, line, None)
    left = changed.replace(f"{line}\n", "")
    repository = open_repository(project.root)
    if "# note" in changed:
        with pytest.raises(DocumentError, match="the patch would break it now"):
            apply_edits(repository, [edit])
        left = changed
    else:
        apply_edits(repository, [edit])
    assert (project.root / "a.py").read_text() == left
