"""The patches of CB102 and CB103 rename only where all names go on meaning what they meant."""

from __future__ import annotations

import pytest

from codebuddy.hook.finding import Finding
from tests.support.hook import Files, Project, staged_review

PRICING = (
    "def shipping(weight):\n    total = weight * 2\n    print(total)\n    return total\n\n\n"
    "def other():\n    return 1\n"
)
RENAMED = PRICING.replace("shipping", "shipping_cost")
IMPORT = "from shop.pricing import shipping\n"
ALIASED = "from shop.pricing import shipping_cost as shipping\n"
PLAIN = "from shop.pricing import shipping_cost\n"
TOTAL = "\n\ndef total(x):\n    return shipping(x)\n"
NEW_TOTAL = TOTAL.replace("shipping", "shipping_cost")
# What each file that uses the name becomes; where the import alone changes, the rest stays.
USERS = {
    "a.py": (IMPORT + TOTAL, PLAIN + NEW_TOTAL),
    "collision.py": (
        f"{IMPORT}shipping_cost = shipping(3)\n",
        f"{ALIASED}shipping_cost = shipping(3)\n",
    ),
    "own_value.py": (f"shipping_cost = 3\n{IMPORT}{TOTAL}", f"shipping_cost = 3\n{ALIASED}{TOTAL}"),
    "captured.py": (
        f"{IMPORT}{TOTAL}\n\nmatch total(1):\n    case shipping_cost:\n        pass\n",
        f"{ALIASED}{TOTAL}\n\nmatch total(1):\n    case shipping_cost:\n        pass\n",
    ),
    "parameter.py": (
        f"{IMPORT}\n\ndef f(shipping):\n    return shipping\n{TOTAL}",
        f"{ALIASED}\n\ndef f(shipping):\n    return shipping\n{TOTAL}",
    ),
    "comprehension.py": (
        f"{IMPORT}x = [shipping for shipping in y]{TOTAL}",
        f"{ALIASED}x = [shipping for shipping in y]{TOTAL}",
    ),
    "shop/__init__.py": (
        "from .pricing import other, shipping\n\n__all__ = ['other', 'shipping']\n",
        "from .pricing import other, shipping_cost as shipping\n"
        "\n__all__ = ['other', 'shipping']\n",
    ),
    "exported.py": (
        f"{IMPORT}{TOTAL}\n\n__all__ = ['shipping']\n",
        f"{ALIASED}{TOTAL}\n\n__all__ = ['shipping']\n",
    ),
    "annotated.py": (
        f"{IMPORT}\n\ndef f(x: 'shipping | None'):\n    return shipping\n",
        f"{ALIASED}\n\ndef f(x: 'shipping | None'):\n    return shipping\n",
    ),
    "prose.py": (
        f"{IMPORT}print('the shipping of', shipping(3), f'{{shipping(4)}}')\n",
        f"{PLAIN}print('the shipping of', shipping_cost(3), f'{{shipping_cost(4)}}')\n",
    ),
    "keyword.py": (
        f"{IMPORT}f(shipping=shipping(3))\n",
        f"{PLAIN}f(shipping=shipping_cost(3))\n",
    ),
    "again.py": (
        "from shop.pricing import shipping as shipping\n" + TOTAL,
        ALIASED + TOTAL,
    ),
    "under_another.py": (
        "from shop.pricing import shipping as cost\n\nshipping_cost = cost(1)\n",
        "from shop.pricing import shipping_cost as cost\n\nshipping_cost = cost(1)\n",
    ),
    "both.py": (
        "from shop.pricing import shipping as cost, shipping\n\nx = cost(1) + shipping(2)\n",
        "from shop.pricing import shipping_cost as cost, shipping_cost\n"
        "\nx = cost(1) + shipping_cost(2)\n",
    ),
    "module.py": (
        "from shop import pricing\n\nshipping_cost = pricing.shipping(3)\n",
        "from shop import pricing\n\nshipping_cost = pricing.shipping_cost(3)\n",
    ),
    "passed_on.py": (IMPORT + TOTAL, ALIASED + TOTAL),
    "patched.py": (IMPORT + TOTAL, ALIASED + TOTAL),
    "starred.py": (IMPORT + TOTAL, ALIASED + TOTAL),
}
OTHERS = {
    "shop/pricing.py": PRICING,
    "user.py": "from passed_on import shipping, total\n",
    "tests/test_it.py": "patch('patched.shipping')\n",
    "user_of_all.py": "from starred import *\n\nprint(shipping(3))\n",
}


def applied(project: Project, found: Finding) -> dict[str, str]:
    """The texts of the files that the patch changes, with it in them."""
    texts: dict[str, list[str]] = {}
    for edit in sorted(found.edits, key=lambda each: -each.first_line):
        lines = texts.setdefault(edit.path, (project.root / edit.path).read_text().split("\n"))
        assert "\n".join(lines[edit.first_line - 1 : edit.last_line]) == edit.old
        lines[edit.first_line - 1 : edit.last_line] = (edit.new or "").split("\n")
    return {path: "\n".join(lines) for path, lines in texts.items()}


def patched(root, files: Files, staged: Files) -> tuple[dict[str, str], str]:
    """The files that CB102's only finding changes, and why there are none."""
    project = Project(root, files)
    project.index()
    project.stage(staged)
    (found,) = project.findings("CB102")
    return applied(project, found), found.unpatched


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """All users of one function that was renamed, with the patch in them."""
    files = {**OTHERS, **{path: before for path, (before, _) in USERS.items()}}
    texts, reason = patched(
        tmp_path_factory.mktemp("renames") / "p", files, {"shop/pricing.py": RENAMED}
    )
    assert reason == ""
    assert texts.keys() == USERS.keys()
    return texts


@pytest.mark.parametrize("path", USERS)
def test_each_use_of_a_renamed_function_means_it_again(python, path):
    """All uses get the new name; where that is not safe, the import keeps the old one."""
    assert python[path] == USERS[path][1]


SCRIPT = (
    "export function shipping(weight) {\n  const total = weight * 2;\n  log(total);\n"
    "  return total;\n}\nexport const one = 1;\n"
)
SCRIPT_USERS = {
    "a.js": (
        "import { shipping } from './pricing';\nexport const x = shipping(3);\n",
        "import { shippingCost } from './pricing';\nexport const x = shippingCost(3);\n",
    ),
    "collision.js": (
        "import { shipping } from './pricing';\nconst shippingCost = shipping(3);\n",
        "import { shippingCost as shipping } from './pricing';\n"
        "const shippingCost = shipping(3);\n",
    ),
    "keys.js": (
        "import { shipping } from './pricing';\n"
        "export const api = { shipping, a: { shipping: 1 } };\n",
        "import { shippingCost } from './pricing';\n"
        "export const api = { shipping: shippingCost, a: { shipping: 1 } };\n",
    ),
    "index.js": (
        "export { shipping } from './pricing';\n",
        "export { shippingCost as shipping } from './pricing';\n",
    ),
    "renamed.js": (
        "export { shipping as cost } from './pricing';\n",
        "export { shippingCost as cost } from './pricing';\n",
    ),
    "local.js": (
        "import { one, shipping } from './pricing';\nexport { shipping };\n",
        "import { one, shippingCost as shipping } from './pricing';\nexport { shipping };\n",
    ),
    "required.js": (
        "const { shipping, one } = require('./pricing');\nf(shipping(one));\n",
        "const { shippingCost: shipping, one } = require('./pricing');\nf(shipping(one));\n",
    ),
    "type.ts": (
        "import { type shipping } from './pricing';\n"
        "let x: typeof shipping;\nlet y: ns.shipping;\n",
        "import { type shippingCost } from './pricing';\n"
        "let x: typeof shippingCost;\nlet y: ns.shipping;\n",
    ),
}


def test_a_script_keeps_the_names_that_others_see(tmp_path):
    """Keys of objects, exports and names that are taken stay as they are."""
    files = {"pricing.js": SCRIPT, **{path: before for path, (before, _) in SCRIPT_USERS.items()}}
    staged = {"pricing.js": SCRIPT.replace("shipping", "shippingCost")}
    texts, reason = patched(tmp_path / "p", files, staged)
    assert reason == ""
    assert texts == {path: after for path, (_, after) in SCRIPT_USERS.items()}


REFUSED = {
    "assigned.py": (
        "from shop import pricing\n\npricing.shipping = len\nx = pricing.shipping([])\n",
        "shipping is assigned to in assigned.py",
    ),
    "text.py": (
        "from shop import pricing\n\nsetattr(pricing, 'shipping', len)\nx = pricing.shipping([])\n",
        "shipping stands in a text in text.py",
    ),
}


@pytest.mark.parametrize("path", REFUSED)
def test_a_use_that_may_mean_something_else_leaves_the_patch_out(tmp_path, path):
    """The finding stays, and says why it has no patch."""
    user, reason = REFUSED[path]
    files = {"shop/__init__.py": "", "shop/pricing.py": PRICING, path: user}
    assert patched(tmp_path / "p", files, {"shop/pricing.py": RENAMED}) == ({}, reason)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("def f(x):\n    return shipping(x)\n", "def f(x):\n    return shipping_cost(x)\n"),
        ("def f(shipping_cost):\n    return shipping(shipping_cost)\n", ""),
        ("def f(x):\n    shipping_cost = shipping(x)\n    return shipping_cost\n", ""),
    ],
)
def test_a_use_in_the_same_file_means_the_definition_again(tmp_path, user, expected):
    """Where a parameter or a variable has the new name, there is no patch."""
    files = {"pricing.py": f"{PRICING}\n\n{user}"}
    texts, reason = patched(tmp_path / "p", files, {"pricing.py": f"{RENAMED}\n\n{user}"})
    assert texts == ({"pricing.py": f"{RENAMED}\n\n{expected}"} if expected else {})
    assert bool(reason) == (not expected)


METHODS = (
    "class Cart:\n    def weigh(self):\n        total = 0\n        print(total)\n"
    "        return total\n\n"
)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            "    def show(self):\n        return self.weigh() + self.weigh()\n",
            "    def show(self):\n        return self.weigh2() + self.weigh2()\n",
        ),
        ("    def show(self):\n        self.weigh2 = 3\n        return self.weigh()\n", ""),
        ("    def show(self):\n        return self.weigh()\n\n    weigh2 = 3\n", ""),
    ],
)
def test_a_renamed_method_is_called_by_its_new_name(tmp_path, rest, expected):
    """All calls of a line at once; an attribute of that name means something else."""
    renamed = METHODS.replace("weigh", "weigh2")
    texts, _ = patched(tmp_path / "p", {"cart.py": METHODS + rest}, {"cart.py": renamed + rest})
    assert texts == ({"cart.py": renamed + expected} if expected else {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "from shop.pricing import shiping\nshipping = shiping(3)\n",
            "shipping stands there already in main.py",
        ),
        (
            "from shop.pricing import shiping\n\ndef f(shiping):\n    return shiping\n",
            "shiping means something else, too, in main.py",
        ),
        (
            "from shop.pricing import shiping\n\ndef f(shipping):\n    return shiping(shipping)\n",
            "shipping stands there already in main.py",
        ),
    ],
)
def test_a_mistyped_import_is_not_mended_with_a_name_that_is_taken(tmp_path, text, reason):
    """CB103 says what is meant, and leaves the change to the author."""
    files = {"shop/__init__.py": "", "shop/pricing.py": PRICING, "main.py": ""}
    (found,) = staged_review(tmp_path / "p", files, {"main.py": text}, "CB103")
    assert found.message == "shop/pricing.py has no shiping; did you mean shipping?"
    assert (found.edits, found.unpatched) == ((), reason)


def test_a_name_that_is_not_exported_is_not_imported(tmp_path):
    """A script's function of the right name is of no use to others."""
    files = {
        "pricing.js": "function shipping() {}\nexport const one = 1;\n",
        "a.js": "x();\n",
    }
    staged = {"a.js": "import { shiping } from './pricing';\nshiping();\n"}
    (found,) = staged_review(tmp_path / "p", files, staged, "CB103")
    assert (found.edits, found.unpatched) == ((), "pricing.js does not export shipping")
