"""CB101: callers that a changed signature or return leaves behind."""

from __future__ import annotations

import pytest

from tests.support.hook import evidence, staged_review, told

PRICING = "def discount(amount, percent):\n    result = amount * percent\n    return result\n"


def stale(tmp_path, callers, before=PRICING, after=None):
    """What CB101 says when pricing.py becomes `after` and cart.py holds `callers`."""
    files = {"shop/__init__.py": "", "shop/pricing.py": before, "shop/cart.py": callers}
    return staged_review(tmp_path / "project", files, {"shop/pricing.py": after}, "CB101")


def with_parameters(parameters):
    """pricing.py with other parameters."""
    return PRICING.replace("amount, percent", parameters)


@pytest.mark.parametrize(
    "caller",
    [
        "from shop.pricing import discount\n\nx = discount(1, 2)\n",
        "from .pricing import discount\n\nx = discount(1, 2)\n",
        "from shop.pricing import discount as cut\n\nx = cut(1, 2)\n",
        "from shop import pricing\n\nx = pricing.discount(1, percent=2)\n",
        "import shop.pricing\n\nx = shop.pricing.discount(1, 2)\n",
        "import shop.pricing as p\n\nx = p.discount(amount=1, percent=2)\n",
    ],
)
def test_a_caller_is_found_however_it_imports(tmp_path, caller):
    """A new required parameter is missed by callers through every form of import."""
    found = stale(tmp_path, caller, after=with_parameters("amount, percent, currency"))
    assert told(found) == ["shop/pricing.py:1 discount() needs 'currency'; 1 call did not follow"]
    assert evidence(found[0]) == ["shop/cart.py:3"]
    assert found[0].column == 5


@pytest.mark.parametrize(
    ("parameters", "call", "reason"),
    [
        ("amount", "discount(1, 2)", "takes at most 1 positional argument"),
        ("amount, share", "discount(1, percent=2)", "no longer takes 'percent'"),
        ("amount, *, percent", "discount(1, 2)", "takes at most 1 positional argument"),
        ("percent, amount", "discount(1, percent=2)", "gets 'percent' twice"),
        ("", "discount(1, 2)", "takes at most 0 positional arguments"),
    ],
)
def test_each_way_of_not_fitting_is_named(tmp_path, parameters, call, reason):
    """The sentence says what is wrong with the calls."""
    caller = f"from shop.pricing import discount\n\nx = {call}\n"
    found = stale(tmp_path, caller, after=with_parameters(parameters))
    assert told(found) == [f"shop/pricing.py:1 discount() {reason}; 1 call did not follow"]


@pytest.mark.parametrize(
    ("parameters", "call"),
    [
        ("amount, percent, currency='EUR'", "discount(1, 2)"),
        ("amount, percent, *rest", "discount(1, 2)"),
        ("amount, percent, **rest", "discount(1, percent=2)"),
        ("amount, percent, currency", "discount(*both)"),
        ("amount, percent, currency", "discount(1, **rest)"),
        ("amount, percent, currency", "discount(1, 2, 3)"),
        ("amount, percent=3", "discount(1, 2)"),
        ("amount: int, percent: int", "discount(1, 2)"),
    ],
)
def test_calls_that_fit_or_may_fit_are_left_alone(tmp_path, parameters, call):
    """What the new parameters take, may take, or the old ones never took, is no finding."""
    caller = f"from shop.pricing import discount\n\nx = {call}\n"
    assert stale(tmp_path, caller, after=with_parameters(parameters)) == []


@pytest.mark.parametrize(
    "caller",
    [
        "from elsewhere import discount\n\nx = discount(1, 2)\n",
        "def discount(a, b):\n    return a\n\n\nx = discount(1, 2)\n",
        "from shop.pricing import discount\n\n\ndef f(discount):\n    return discount(1, 2)\n",
        "import other as pricing\n\nx = pricing.discount(1, 2)\n",
        "x = 'discount(1, 2)'  # discount(1, 2)\n",
        "import pytest\nfrom shop.pricing import discount\n\n\ndef test_it():\n"
        "    with pytest.raises(TypeError):\n        discount(1, 2)\n",
        "try:\n    from shop.pricing import discount\nexcept ImportError:\n    discount = None\n"
        "x = discount(1, 2)\n",
    ],
)
def test_another_function_of_the_name_is_not_meant(tmp_path, caller):
    """A name that means something else, or may, is no caller."""
    assert stale(tmp_path, caller, after=with_parameters("amount, percent, currency")) == []


def test_callers_that_follow_in_the_same_commit_are_fine(tmp_path):
    """A commit that changes the callers too has nothing stale."""
    caller = "from shop.pricing import discount\n\nx = discount(1, 2)\n"
    files = {"shop/__init__.py": "", "shop/pricing.py": PRICING, "shop/cart.py": caller}
    staged = {
        "shop/pricing.py": with_parameters("amount, percent, currency"),
        "shop/cart.py": caller.replace("2)", "2, 'EUR')"),
    }
    assert staged_review(tmp_path / "project", files, staged, "CB101") == []


def test_a_caller_through_a_package_that_exports_the_name_is_found(tmp_path):
    """An import from the package resolves through its `__init__`."""
    files = {
        "shop/__init__.py": "from .pricing import discount\n",
        "shop/pricing.py": PRICING,
        "main.py": "from shop import discount\n\nx = discount(1, 2)\n",
    }
    staged = {"shop/pricing.py": with_parameters("amount")}
    found = staged_review(tmp_path / "project", files, staged, "CB101")
    assert [evidence(each) for each in found] == [["main.py:3"]]


def test_more_values_returned_than_unpacked_are_found(tmp_path):
    """A function that returned two values and now returns three breaks who unpacks two."""
    before = "def split(text):\n    return text, 1\n"
    after = "def split(text):\n    return text, 1, 2\n"
    caller = "from .pricing import split\n\na, b = split('x')\nc = split('y')\n"
    found = stale(tmp_path, caller, before, after)
    assert told(found) == [
        "shop/pricing.py:1 split() returns 3 values, no longer 2; 1 call did not follow"
    ]
    assert evidence(found[0]) == ["shop/cart.py:3"]


def test_returns_of_several_shapes_are_not_judged(tmp_path):
    """Where a function may return either, nothing is sure."""
    before = "def split(text):\n    return text, 1\n"
    after = "def split(text):\n    if text:\n        return text, 1, 2\n    return text, 1\n"
    caller = "from .pricing import split\n\na, b = split('x')\n"
    assert stale(tmp_path, caller, before, after) == []


CLASS = (
    "class Cart:\n    def __init__(self, owner):\n        self.owner = owner\n\n"
    "    def compute_total(self, items):\n        return sum(items)\n"
)


@pytest.mark.parametrize(
    "parameters",
    ["currency, amount, percent", "amount, currency, percent", "amount, percent, *, currency"],
)
def test_the_parameter_that_is_new_is_named(tmp_path, parameters):
    """Wherever it stands: it is not the last one that the call forgot."""
    caller = "from shop.pricing import discount\n\nx = discount(1, 2)\n"
    found = stale(tmp_path, caller, after=with_parameters(parameters))
    assert told(found) == ["shop/pricing.py:1 discount() needs 'currency'; 1 call did not follow"]


def test_a_renamed_parameter_is_not_the_missing_one(tmp_path):
    """The call fills the renamed one by its place."""
    caller = "from shop.pricing import discount\n\nx = discount(1, 2)\n"
    found = stale(tmp_path, caller, after=with_parameters("total, percent, currency"))
    assert told(found) == ["shop/pricing.py:1 discount() needs 'currency'; 1 call did not follow"]


def test_a_constructor_has_its_callers(tmp_path):
    """A changed `__init__` breaks calls of the class."""
    after = CLASS.replace("self, owner", "self, owner, name")
    caller = "from .pricing import Cart\n\ncart = Cart('me')\n"
    found = stale(tmp_path, caller, CLASS, after)
    assert told(found) == ["shop/pricing.py:2 Cart() needs 'name'; 1 call did not follow"]


def test_a_method_of_a_unique_name_has_its_callers(tmp_path):
    """`x.compute_total()` can mean only the one method of that name."""
    after = CLASS.replace("self, items", "self, items, tax")
    caller = "def f(cart):\n    return cart.compute_total([1])\n"
    found = stale(tmp_path, caller, CLASS, after)
    assert told(found) == ["shop/pricing.py:5 compute_total() needs 'tax'; 1 call did not follow"]
    assert evidence(found[0]) == ["shop/cart.py:2"]


def test_a_method_that_two_classes_have_is_not_judged(tmp_path):
    """`x.compute_total()` could mean the other class's."""
    after = CLASS.replace("self, items", "self, items, tax")
    caller = (
        "class Bill:\n    def compute_total(self, items):\n        return 0\n\n\n"
        "def f(cart):\n    return cart.compute_total([1])\n"
    )
    assert stale(tmp_path, caller, CLASS, after) == []


def test_a_decorator_that_may_change_the_call_silences_the_rule(tmp_path):
    """A decorated function is not called as it is written."""
    decorated = "import click\n\n\n@click.command()\n" + PRICING
    after = decorated.replace("amount, percent", "amount, percent, currency")
    caller = "from .pricing import discount\n\nx = discount(1, 2)\n"
    assert stale(tmp_path, caller, decorated, after) == []


def test_an_index_older_than_the_files_gives_no_wrong_evidence(tmp_path):
    """A caller that was put right after indexing, in an earlier commit, is not shown."""
    from tests.support.hook import Project

    caller = "from .pricing import discount\n\nx = discount(1, 2)\n"
    project = Project(
        tmp_path / "project",
        {"shop/__init__.py": "", "shop/pricing.py": PRICING, "shop/cart.py": caller},
    )
    project.index()
    project.stage({"shop/cart.py": caller.replace("2)", "2, *more)")})
    project.git("commit", "-qm", "Pass more")
    project.stage({"shop/pricing.py": with_parameters("amount, percent, currency")})
    assert project.findings("CB101") == []
