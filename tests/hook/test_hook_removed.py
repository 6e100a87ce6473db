"""CB102 and CB103: names and files that are gone, and imports that lead nowhere."""

from __future__ import annotations

import pytest

from tests.support.hook import Project, evidence, staged_review, told

BODY = "    total = 0\n    for item in items:\n        total += item.price\n    return total\n"
MODULE = f"import os\n\n\ndef add_up(items):\n{BODY}\n\ndef other():\n    return os.name\n"


def gone(tmp_path, user, after, before=MODULE, rule="CB102"):
    """What the rule says when shop/sums.py becomes `after` and main.py holds `user`."""
    files = {"shop/__init__.py": "", "shop/sums.py": before, "main.py": user}
    return staged_review(tmp_path / "project", files, {"shop/sums.py": after}, rule)


@pytest.mark.parametrize(
    ("user", "line"),
    [
        ("from shop.sums import add_up\n", 1),
        ("from shop import sums\n\nx = sums.add_up([])\n", 3),
        ("import shop.sums\n\nx = shop.sums.add_up\n", 3),
        ("import os\nfrom shop.sums import (\n    other,\n    add_up as total,\n)\n", 4),
    ],
)
def test_a_removed_function_that_is_used_is_found(tmp_path, user, line):
    """Every form of import shows the use of what is gone."""
    found = gone(tmp_path, user, "import os\n\n\ndef other():\n    return os.name\n")
    assert told(found) == [
        f"main.py:{line} add_up is removed from shop/sums.py, and is still used here"
    ]


def test_a_renamed_function_is_named_and_its_uses_can_be_changed(tmp_path):
    """The same body under another name is a renaming; the patch changes import and call."""
    user = "from shop.sums import add_up\n\nx = add_up([]) + add_up([])\n"
    found = gone(tmp_path, user, MODULE.replace("add_up", "sum_of"))
    assert told(found) == [
        "main.py:1 add_up is renamed to sum_of in shop/sums.py, and is still used here"
    ]
    assert [(edit.path, edit.new) for edit in found[0].edits] == [
        ("main.py", "from shop.sums import sum_of"),
        ("main.py", "x = sum_of([]) + sum_of([])"),
    ]


@pytest.mark.process
def test_an_import_on_a_new_line_of_what_is_gone_is_told_once(tmp_path):
    """CB102 says what became of the name; what else is missing on the line is CB103's."""
    files = {"shop/__init__.py": "", "shop/sums.py": MODULE, "shop/old.py": "x = 1\n", "a.py": ""}
    project = Project(tmp_path / "project", files)
    project.index()
    staged = {"shop/sums.py": MODULE.replace("add_up", "sum_of"), "shop/old.py": None}
    user = "from shop.sums import add_up, otter\nimport shop.old\n\nx = add_up([])\n"
    project.stage({**staged, "a.py": user})
    assert sorted((each.rule, each.line, each.message) for each in project.review().findings) == [
        ("CB102", 1, "add_up is renamed to sum_of in shop/sums.py, and is still used here"),
        ("CB102", 2, "shop/old.py is deleted, and is still imported here"),
        ("CB103", 1, "shop/sums.py has no otter; did you mean other?"),
    ]
    project.write({".codebuddy.toml": "[hook]\ndisable = ['CB102']\n"})
    done = project.codebuddy("hook", "run", "--no-update")
    assert [line.split()[1] for line in done.stdout.splitlines() if "CB1" in line] == ["CB103"] * 3


def test_a_use_in_the_same_file_is_found(tmp_path):
    """A name that its own file no longer binds cannot be called there."""
    before = MODULE + "\n\ndef caller():\n    return add_up([])\n"
    after = "import os\n\n\ndef other():\n    return os.name\n\n\ndef caller():\n"
    after += "    return add_up([])\n"
    found = gone(tmp_path, "", after, before)
    assert [evidence(each) for each in found] == [["shop/sums.py:9"]]


def test_a_module_that_looks_at_loaded_modules_is_judged(tmp_path):
    """Reading `sys.modules` binds nothing."""
    after = "import sys\n\n\ndef loaded(name):\n    return sys.modules[name] == 1\n"
    user = "from shop.sums import add_up\n"
    assert [evidence(each) for each in gone(tmp_path, user, after)] == [["main.py:1"]]


def test_a_parameter_of_the_name_is_no_use_of_what_is_gone(tmp_path):
    """Fixtures of pytest's, for one, go on as parameters of the same name."""
    after = "import os\n\n\ndef caller(add_up):\n    return add_up([])\n"
    assert gone(tmp_path, "", after) == []


@pytest.mark.parametrize(
    "after",
    [
        "from .deep import add_up\n",
        "from .deep import *\n",
        "add_up = sum\n",
        "def __getattr__(name):\n    return name\n",
        "if True:\n    def add_up(items):\n        return 0\n",
        "try:\n    from fast import add_up\nexcept ImportError:\n    add_up = None\n",
        "globals()['add_up'] = 1\n",
        "import sys\nthis = sys.modules[__name__]\nthis.add_up = sum\n",
        "import sys\nsys.modules['shop.sums'] = object()\n",
        "class Keep:\n    pass\n\n\nfor add_up in [1]:\n    pass\n",
        "def add_up(items:\n",
    ],
)
def test_a_name_that_may_still_be_there_is_not_judged(tmp_path, after):
    """Another binding, or code that may bind anything, keeps the rule silent."""
    assert gone(tmp_path, "from shop.sums import add_up\n", after) == []


@pytest.mark.parametrize(
    "user",
    [
        "from elsewhere.sums import add_up\n",
        "from other import sums\n\nx = sums.add_up\n",
        "add_up = 1\nprint(add_up)\n",
        "# add_up\ntext = 'add_up'\n",
        "try:\n    from shop.sums import add_up\nexcept ImportError:\n    pass\n",
        "from shop import sums\n\n\ndef f(sums):\n    return sums.add_up\n",
    ],
)
def test_a_name_that_means_something_else_is_no_use(tmp_path, user):
    """Only what certainly resolves to the file counts."""
    assert gone(tmp_path, user, "import os\n") == []


def test_a_user_that_goes_in_the_same_commit_is_no_user(tmp_path):
    """A use that this commit takes away is none."""
    files = {
        "shop/__init__.py": "",
        "shop/sums.py": MODULE,
        "main.py": "from shop.sums import add_up\n",
    }
    staged = {"shop/sums.py": "import os\n", "main.py": "x = 1\n"}
    assert staged_review(tmp_path / "project", files, staged, "CB102") == []


def test_a_deleted_module_that_is_imported_is_found(tmp_path):
    """Imports of a file that is deleted lead nowhere."""
    user = "import shop.sums\nfrom shop.sums import other\n"
    found = gone(tmp_path, user, None)
    assert told(found) == ["main.py:1 shop/sums.py is deleted, and is still imported here"]
    assert evidence(found[0]) == ["main.py:1", "main.py:2"]


def test_a_renamed_module_says_where_it_went(tmp_path):
    """git's rename is told."""
    project = Project(
        tmp_path / "project",
        {"shop/__init__.py": "", "shop/sums.py": MODULE, "main.py": "from shop import sums\n"},
    )
    project.index()
    project.git("mv", "shop/sums.py", "shop/totals.py")
    assert told(project.findings("CB102")) == [
        "main.py:1 shop/sums.py is renamed to shop/totals.py, and is still imported here"
    ]


def test_a_module_that_becomes_a_package_is_still_there(tmp_path):
    """`sums.py` replaced by `sums/__init__.py` breaks nobody."""
    files = {"shop/__init__.py": "", "shop/sums.py": MODULE, "main.py": "from shop import sums\n"}
    staged = {"shop/sums.py": None, "shop/sums/__init__.py": MODULE}
    assert staged_review(tmp_path / "project", files, staged, "CB102") == []


def test_a_removed_method_that_the_class_still_calls_is_found(tmp_path):
    """`self.name` in a class without bases that lost the method."""
    before = (
        "class Cart:\n    def weigh(self):\n        return 1\n\n"
        "    def show(self):\n        return self.weigh()\n"
    )
    after = "class Cart:\n    def show(self):\n        return self.weigh()\n"
    found = gone(tmp_path, "", after, before)
    assert told(found) == ["shop/sums.py:3 Cart.weigh is removed, and is still called here"]


@pytest.mark.parametrize(
    "after",
    [
        "class Cart(Base):\n    def show(self):\n        return self.weigh()\n",
        "class Cart:\n    weigh = None\n\n    def show(self):\n        return self.weigh()\n",
        "class Cart:\n    def __init__(self, f):\n        self.weigh = f\n\n"
        "    def show(self):\n        return self.weigh()\n",
    ],
)
def test_a_method_that_may_come_from_elsewhere_is_not_judged(tmp_path, after):
    """A base class, an attribute or an assignment may provide it."""
    before = (
        "class Cart:\n    def weigh(self):\n        return 1\n\n"
        "    def show(self):\n        return self.weigh()\n"
    )
    assert gone(tmp_path, "", after, before) == []


def test_typescript_imports_are_followed(tmp_path):
    """An import of a name that its module no longer exports is found by its relative path."""
    files = {
        "src/sums.ts": "export function addUp(n: number) { return n; }\nexport const one = 1;\n",
        "src/main.ts": "import { addUp, one } from './sums';\nconsole.log(addUp(one));\n",
    }
    staged = {"src/sums.ts": "export const one = 1;\n"}
    found = staged_review(tmp_path / "project", files, staged, "CB102")
    assert told(found) == [
        "src/main.ts:1 addUp is removed from src/sums.ts, and is still used here"
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("from shop.sums import add_upp\n", "shop/sums.py has no add_upp; did you mean add_up?"),
        ("from shop.sums import zebra\n", "shop/sums.py has no zebra"),
        ("from shop import nothing\n", "shop/__init__.py has no nothing"),
    ],
)
def test_a_new_import_of_a_name_that_is_not_there_is_found(tmp_path, line, sentence):
    """CB103 judges imports on new lines."""
    files = {"shop/__init__.py": "", "shop/sums.py": MODULE, "main.py": "x = 1\n"}
    found = staged_review(tmp_path / "project", files, {"main.py": "x = 1\n" + line}, "CB103")
    assert told(found) == [f"main.py:2 {sentence}"]


@pytest.mark.parametrize(
    ("text", "patched"),
    [
        ("from shop.sums import add_upp\n", "from shop.sums import add_up\n"),
        (
            "from shop.sums import add_upp\n\nprint(add_upp([1]), add_upp)\n",
            "from shop.sums import add_up\n\nprint(add_up([1]), add_up)\n",
        ),
        (
            "from shop.sums import add_upp as total\n\nprint(total([1]))\n",
            "from shop.sums import add_up as total\n\nprint(total([1]))\n",
        ),
        ("from shop.sums import add_upp\n\nadd_upp = add_upp or len\n", ""),
    ],
)
def test_the_patch_of_a_mistyped_import_renames_its_uses_too(tmp_path, text, patched):
    """Half of it would only move the error; where it is unclear what to rename, there is none."""
    files = {"shop/__init__.py": "", "shop/sums.py": MODULE, "main.py": "x = 1\n"}
    (found,) = staged_review(tmp_path / "project", files, {"main.py": text}, "CB103")
    lines = text.split("\n")
    for edit in found.edits:
        lines[edit.first_line - 1 : edit.last_line] = (edit.new or "").split("\n")
    assert ("\n".join(lines) if found.edits else "") == patched


@pytest.mark.parametrize(
    "line",
    [
        "from shop.sums import add_up\n",
        "from shop import sums\n",
        "from shop.sums import os\n",
        "import sums\n",
        "from third_party import zebra\n",
        "from shop.missing import zebra\n",
        "try:\n    from shop.sums import zebra\nexcept ImportError:\n    zebra = None\n",
        "from shop.sums import __doc__\n",
        "from shop.sums import *\n",
    ],
)
def test_an_import_that_holds_or_is_not_ours_is_left_alone(tmp_path, line):
    """What exists, what may exist and what belongs to others is no finding."""
    files = {"shop/__init__.py": "", "shop/sums.py": MODULE, "main.py": "x = 1\n"}
    assert staged_review(tmp_path / "project", files, {"main.py": line}, "CB103") == []


def test_an_old_broken_import_is_nobodys_news(tmp_path):
    """An import that was broken before this commit is not its business."""
    files = {
        "shop/__init__.py": "",
        "shop/sums.py": MODULE,
        "main.py": "from shop.sums import zz\n",
    }
    staged = {"main.py": "from shop.sums import zz\n\nx = 1\n"}
    assert staged_review(tmp_path / "project", files, staged, "CB103") == []


def test_a_module_named_like_one_of_pythons_own_is_not_meant(tmp_path):
    """In a namespace package, `from json import ...` still means Python's json."""
    files = {"src/shop/json/__init__.py": "x = 1\n", "src/shop/config/config.py": "x = 1\n"}
    staged = {"src/shop/config/config.py": "from json import JSONDecodeError\n"}
    assert staged_review(tmp_path / "project", files, staged, "CB103") == []
