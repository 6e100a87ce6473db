"""The rules that look at one change alone or at its twins: fires, and does not on the near miss."""

from __future__ import annotations

import json
import random
import string

import pytest

from codebuddy.hook.catalog import RETIRED, RULES
from codebuddy.settings import HookSettings
from tests.support.hook import Project, evidence, staged_review, told

TWIN = """\
def average_price(orders, currency):
    total = 0
    count = 0
    for order in orders:
        if order.currency == currency and not order.is_cancelled():
            total += order.price * order.quantity
            count += order.quantity
    if count == 0:
        raise ValueError("no orders")
    return total / count
"""


def renamed(text):
    """The twin under another name, with other variables, comments and documentation."""
    text = text.replace("average_price", "mean_cost").replace("total", "amount")
    text = (
        text.replace("orders", "sales")
        .replace("order", "sale")
        .replace('"no sales"', '"no orders"')
    )
    head, _, body = text.partition("\n")
    return f'{head}\n    """Work out the mean."""\n    # Begin with nothing.\n{body}'


def test_the_same_function_under_other_names_is_found(tmp_path):
    """Other names, comments and documentation do not hide a twin; the call to use is told."""
    found = staged_review(
        tmp_path / "p",
        {"orders.py": TWIN},
        {"sales.py": "import os\n\n\n" + renamed(TWIN)},
        "CB104",
    )
    assert told(found) == [
        "sales.py:4 mean_cost() does what average_price() in orders.py:1 does; "
        "call average_price(orders, currency) instead"
    ]
    assert evidence(found[0]) == ["orders.py:1"]


def test_two_new_twins_in_one_commit_are_found(tmp_path):
    """Twins need not be indexed."""
    staged = {"orders.py": TWIN, "sales.py": renamed(TWIN)}
    found = staged_review(tmp_path / "p", {"a.py": "x = 1\n"}, staged, "CB104")
    assert [each.path for each in found] == ["sales.py"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("is_cancelled", "is_open").replace("quantity", "weight"),
        lambda text: text.replace("total / count", "total").replace("count += ", "count -= ")
        .replace("raise ValueError", "return print").replace("==", "!="),
        lambda text: text.replace('"no orders"', '"no sales at all"'),
        lambda text: text.replace("raise ValueError", "raise LookupError"),
        lambda text: "\n".join(text.split("\n")[:3]) + "\n    return total + count\n",
    ],
)  # fmt: skip
def test_a_function_that_does_something_else_is_no_twin(tmp_path, change):
    """Other calls, other operations, or little in common."""
    staged = {"sales.py": renamed(change(TWIN))}
    assert staged_review(tmp_path / "p", {"orders.py": TWIN}, staged, "CB104") == []


def test_a_function_that_moved_is_no_twin(tmp_path):
    """What goes from one file to another is still there once."""
    staged = {"orders.py": "x = 1\n", "sales.py": renamed(TWIN)}
    assert staged_review(tmp_path / "p", {"orders.py": TWIN}, staged, "CB104") == []


def test_the_same_method_of_two_classes_is_no_twin(tmp_path):
    """Classes of one interface have methods alike."""
    method = "\n".join("    " + line for line in TWIN.rstrip().split("\n")) + "\n"
    staged = {"sales.py": "class Sales:\n" + method}
    before = {"orders.py": "class Orders:\n" + method}
    assert staged_review(tmp_path / "p", before, staged, "CB104") == []


def test_twins_in_tests_are_nobodys_business(tmp_path):
    """Tests repeat themselves on purpose."""
    staged = {"tests/test_sales.py": renamed(TWIN)}
    assert staged_review(tmp_path / "p", {"orders.py": TWIN}, staged, "CB104") == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "    breakpoint()"),
        ("a.py", "    import pdb; pdb.set_trace()"),
        ("a.py", "    ipdb.set_trace()"),
        ("a.js", "  debugger;"),
        ("a.ts", "  debugger"),
        ("a.test.js", "  it.only('adds', () => {"),
        ("a.rs", "    dbg!(x);"),
        ("a.rb", "  binding.pry"),
        ("a.php", "  var_dump($x);"),
    ],
)
def test_what_stops_or_focuses_is_a_leftover(tmp_path, path, line):
    """Each language's way of stopping, or of running one test alone, on a new line."""
    before = {path: "\n"}
    found = staged_review(tmp_path / "p", before, {path: f"\n{line}\n"}, "CB108")
    assert [(each.path, each.line) for each in found] == [(path, 2)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "import pdb\n"),
        ("a.py", "text = '''\nbreakpoint()\n'''\n"),
        ("a.py", "# breakpoint()\n"),
        ("a.py", "def set_trace():\n    pass\n"),
        ("a.py", "print('x')\n"),
        ("a.py", "self.breakpoint()\n"),
        ("debugger.py", "breakpoint()\n"),
        ("a.js", "console.log('x');\n"),
        ("a.js", "const debuggerName = 1;\n"),
        ("a.test.js", "it('adds only', () => {});\n"),
        ("a.md", "breakpoint()\n"),
        ("vendor/a.py", "breakpoint()\n"),
    ],
)
def test_what_only_looks_like_a_leftover_is_none(tmp_path, path, text):
    """Strings, comments, other names, output, debuggers' own code and others' code."""
    assert staged_review(tmp_path / "p", {"x.py": "x = 1\n"}, {path: text}, "CB108") == []


def test_an_old_leftover_is_no_news(tmp_path):
    """Only new lines count."""
    before = {"a.py": "x = 1\nbreakpoint()\n"}
    staged = {"a.py": "x = 2\nbreakpoint()\n"}
    assert staged_review(tmp_path / "p", before, staged, "CB108") == []


MARKERS = "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> side\n"


def test_a_conflict_left_in_the_file_is_found(tmp_path):
    """All three markers, in order, at the beginning of new lines."""
    found = staged_review(tmp_path / "p", {"a.txt": "a\n"}, {"a.txt": "a\n" + MARKERS}, "CB109")
    assert told(found) == ["a.txt:2 a merge conflict is left in lines 2 to 6"]


@pytest.mark.parametrize(
    "text",
    [
        "Title\n=======\n",
        "<<<<<<< HEAD\nx\n",
        "=======\n<<<<<<< a\n>>>>>>> b\n",
        "    <<<<<<< a\n    =======\n    >>>>>>> b\n",
        "<<<<<<<<<< a\n==========\n>>>>>>>>>> b\n",
    ],
)
def test_what_is_no_conflict_is_none(tmp_path, text):
    """Headlines, one marker alone, another order, indented or longer ones."""
    assert staged_review(tmp_path / "p", {"a.txt": "a\n"}, {"a.txt": text}, "CB109") == []


def test_a_conflict_in_a_string_is_a_test_of_somebodys(tmp_path):
    """Markers inside a string literal are text."""
    staged = {"a.py": f'text = """\n{MARKERS}"""\n'}
    assert staged_review(tmp_path / "p", {"b.py": "x = 1\n"}, staged, "CB109") == []


def test_a_large_binary_is_found_and_a_large_text_is_not(tmp_path):
    """Size and kind both count, by the limit of the settings."""
    project = Project(tmp_path / "p", {"small.bin": b"\0" * 10})
    project.index()
    noise = random.Random(1).randbytes(1_200_000)
    project.stage({"large.bin": noise, "text.txt": "a\n" * 700_000, "small.bin": b"\0" * 999_999})
    assert told(project.findings("CB111")) == [
        "large.bin:1 a binary file of 1.1 MiB would stay in the history for good"
    ]
    settings = HookSettings(max_binary_bytes=2_000_000)
    assert [each.rule for each in project.review(settings).findings] == []


DEPRECATED = {
    "decorator": "@deprecated('use new_way instead')\ndef old_way(a):\n    return a\n",
    "docstring": 'def old_way(a):\n    """Old.\n\n    .. deprecated:: 2.0\n'
    '       Use :func:`new_way` instead.\n    """\n    return a\n',
    "comment": "# Deprecated: use new_way\ndef old_way(a):\n    return a\n",
}


@pytest.mark.parametrize("form", sorted(DEPRECATED))
def test_a_new_use_of_what_is_deprecated_is_found(tmp_path, form):
    """The mark may be a decorator, documentation or a comment; its advice is passed on."""
    before = {"ways.py": DEPRECATED[form], "user.py": "x = 1\n"}
    staged = {"user.py": "from ways import old_way\n\nx = old_way(1)\n"}
    found = staged_review(tmp_path / "p", before, staged, "CB112")
    line = 2 if form != "docstring" else 1
    assert told(found) == [
        f"user.py:1 old_way is marked as deprecated in ways.py:{line}; use new_way instead"
    ]


@pytest.mark.parametrize(
    "user",
    [
        "from elsewhere import old_way\n\nx = old_way(1)\n",
        "def old_way(a):\n    return a\n\n\nx = old_way(1)\n",
        "# old_way(1)\n",
    ],
)
def test_another_name_alike_is_not_deprecated(tmp_path, user):
    """Only what resolves to the marked definition counts."""
    before = {"ways.py": DEPRECATED["decorator"], "user.py": "x = 1\n"}
    assert staged_review(tmp_path / "p", before, {"user.py": user}, "CB112") == []


def test_an_old_use_of_what_is_deprecated_is_no_news(tmp_path):
    """Only new lines count."""
    use = "from ways import old_way\n\nx = old_way(1)\n"
    before = {"ways.py": DEPRECATED["decorator"], "user.py": use}
    assert staged_review(tmp_path / "p", before, {"user.py": use + "y = 1\n"}, "CB112") == []


def key(prefix, n, alphabet=string.ascii_letters + string.digits, seed=5):
    """A made-up key, put together here so that no scanner finds one in this file."""
    chosen = random.Random(seed)
    return prefix + "".join(chosen.choice(alphabet) for _ in range(n))


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
HEX = "0123456789abcdef"
KEYS = {
    "AWS access key": key("AKIA", 16, UPPER),
    "GitHub token": key("ghp_", 36),
    "GitHub fine-grained token": key("github_pat_", 82),
    "GitLab token": key("glpat-", 20),
    "Slack token": "xoxb-" + key("", 12, "123456789") + "-" + key("", 24),
    "Stripe key": key("sk_" + "live_", 24),
    "Google API key": key("AIza", 35),
    "SendGrid key": "SG." + key("", 22) + "." + key("", 43),
    "npm token": key("npm_", 36),
    "OpenAI key": key("sk-proj-", 24) + "T3Blbk" + "FJ" + key("", 24),
    "Anthropic key": key("sk-ant-api03-", 93),
    "DigitalOcean token": key("dop_v1_", 64, HEX),
    "Databricks token": key("dapi", 32, HEX),
    "Shopify token": key("shpat_", 32, HEX),
    "Telegram bot token": key("", 9, "123456789") + ":AA" + key("", 33),
    "Docker token": key("dckr_pat_", 27),
    "Azure storage key": "AccountKey=" + key("", 86) + "==",
    "signed token": "eyJ" + key("", 20) + ".eyJ" + key("", 30) + "." + key("", 43),
    "password in an address": "postgres://admin:" + key("", 16) + "@prod.acme.io/x",
    "private key": "-----BEGIN RSA PRIVATE " + "KEY-----\n" + key("", 64) + "\n" + key("", 64),
}


@pytest.mark.process
def test_keys_of_known_formats_are_found_and_not_told(tmp_path):
    """Each format on a new line is found, nearly all in tests too, and is never shown whole."""
    project = Project(tmp_path / "p", {"x.py": "x = 1\n"})
    project.index()
    names = [kind.replace(" ", "_") for kind in sorted(KEYS)]
    for name, kind in zip(names, sorted(KEYS), strict=True):
        text = f"before\nvalue {KEYS[kind]}\n"
        project.write({f"{name}.txt": text, f"tests/test_{name}.txt": text})
    project.git("add", "-A")
    expected = {(f"{name}.txt", 2) for name in names} | {
        # Of private keys, tests have their own.
        (f"tests/test_{name}.txt", 2)
        for name in names
        if name != "private_key"
    }
    assert {(each.path, each.line) for each in project.findings("CB110")} == expected
    for style in ("text", "json", "sarif", "github"):
        told_ = project.codebuddy("hook", "run", "--format", style, "--max", "0", "--no-update")
        assert told_.stdout.count("CB110") >= len(expected)
        for secret in KEYS.values():
            core = secret.split("\n")[-1].split(":")[-1].split("@")[0]
            assert core[6:] not in told_.stdout + told_.stderr


def test_a_secret_by_its_name_and_disorder_is_found(tmp_path):
    """A telling name and a random value are enough outside tests."""
    value = key("", 32)
    staged = {"app.py": f'client_secret = "{value}"\n'}
    found = staged_review(tmp_path / "p", {"x.py": "x = 1\n"}, staged, "CB110")
    assert [each.line for each in found] == [1]
    in_test = {"tests/test_app.py": f'client_secret = "{value}"\n'}
    assert staged_review(tmp_path / "q", {"x.py": "x = 1\n"}, in_test, "CB110") == []


@pytest.mark.parametrize(
    "line",
    [
        'password = "changeme-please-now"',
        'password = os.environ["PASSWORD_OF_THE_DATABASE"]',
        'api_key = "${API_KEY_FROM_VAULT_12}"',
        'secret_name = "projects/main/secrets/database"',
        'token = "<your-token-goes-here-1>"',
        'access_key = "AKIAIOSFODNN7EXAMPLE"',
        'password = "aaaaaaaaaaaaaaaaaaaa1"',
        'SECRET_KEY_HEADER = "X-Secret-Key-Header"',
        'url = "postgres://user:password@localhost/db"',
        'url = "https://user:hunter22@example.com/x"',
        'text = "-----BEGIN RSA PRIVATE KEY-----"',
        'digest = "d41d8cd98f00b204e9800998ecf8427e"',
        'password_field = "user.profile.password_hash"',
    ],
)
def test_a_placeholder_is_no_secret(tmp_path, line):
    """Examples, names, lookups and headers alone are not real."""
    staged = {"app.py": line + "\n"}
    assert staged_review(tmp_path / "p", {"x.py": "x = 1\n"}, staged, "CB110") == []


def test_marks_for_other_scanners_switch_nothing_off(tmp_path):
    """A repository's own allowlists are not read."""
    secret = KEYS["GitHub token"]
    staged = {
        "app.py": f'x = "{secret}"  # pragma: allowlist secret  # gitleaks:allow\n',
        ".gitleaks.toml": '[allowlist]\npaths = [".*"]\n',
        ".secrets.baseline": "{}",
    }
    found = staged_review(tmp_path / "p", {"x.py": "x = 1\n"}, staged, "CB110")
    assert [(each.path, each.line) for each in found] == [("app.py", 1)]


@pytest.mark.parametrize(
    ("text", "is_off"),
    [
        ("breakpoint()  # codebuddy: ignore[CB108]\n", True),
        ("breakpoint()  # codebuddy: ignore\n", True),
        ("# codebuddy: ignore[CB101, CB108]\nbreakpoint()\n", True),
        ("breakpoint()  # codebuddy: ignore[CB101]\n", False),
        ("x = 1  # codebuddy: ignore[CB108]\nbreakpoint()\n", False),
        ("breakpoint()  # noqa\n", False),
    ],
)
def test_a_comment_switches_a_finding_off(tmp_path, text, is_off):
    """On the line or above it, for the rules that it names."""
    project = Project(tmp_path / "p", {"x.py": "x = 1\n"})
    project.index()
    project.stage({"a.py": text})
    outcome = project.review()
    assert ([each.rule for each in outcome.findings] == []) is is_off
    assert outcome.n_suppressed == int(is_off)


@pytest.mark.process
def test_settings_of_the_repository_switch_rules_on_and_off(tmp_path):
    """`disable` and `enable` name rules; a name that is none is an error."""
    project = Project(tmp_path / "p", {"x.py": "x = 1\n"})
    project.index()
    config = "[tool.codebuddy.hook]\ndisable = ['CB108']\nenable = ['CB112']\n"
    project.stage({"a.py": "breakpoint()\n", "pyproject.toml": config})
    assert project.codebuddy("hook", "run", "--no-update").stdout == ""
    rules = project.codebuddy("hook", "status").stdout
    assert "CB108 off" in rules
    assert "CB112 on" in rules
    project.write({"pyproject.toml": "[tool.codebuddy.hook]\ndisable = ['CB999']\n"})
    done = project.codebuddy("hook", "run", "--no-update")
    assert done.returncode == 1
    assert "CB999 is not a rule of the hook" in done.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("enable = ['CB107']", "CB107 is retired and finds nothing any more: take it out of "),
        ("disable = ['CB105']", "CB105 is retired and finds nothing any more: take it out of "),
        (
            "enable = ['CB113', 'CB105']\ndisable = ['CB107']",
            "CB105, CB107 and CB113 are retired and find nothing any more: take them out of ",
        ),
    ],
)
def test_a_retired_rule_in_the_settings_is_told_and_the_others_run(tmp_path, config, told):
    """Settings of earlier versions stay valid, and cost a sentence."""
    project = Project(tmp_path / "p", {"x.py": "x = 1\n"})
    project.index()
    project.stage({"a.py": "breakpoint()\n", ".codebuddy.toml": f"[hook]\n{config}\n"})
    told = f"{told}hook.enable and hook.disable"
    for arguments in (("run", "--no-update"), ("run", "--no-update", "--json"), ("status",)):
        done = project.codebuddy("hook", *arguments)
        assert (done.returncode, done.stderr.count(told)) == (0, 1)
    found = json.loads(project.codebuddy("hook", "run", "--no-update", "--json").stdout)
    assert [each["rule"] for each in found["findings"]] == ["CB108"]
    assert found["failed"] == {}


@pytest.mark.process
def test_retired_rules_are_listed_as_off(tmp_path):
    """Their ids keep their place in what `status` prints."""
    project = Project(tmp_path / "p", {".codebuddy.toml": "[hook]\nenable = ['CB105', 'CB113']\n"})
    rules = json.loads(project.codebuddy("hook", "status", "--json").stdout)["rules"]
    assert list(rules) == sorted({rule.id for rule in RULES} | RETIRED.keys())
    assert [each for each in RETIRED if rules[each]] == []
    assert "CB105 off left-out: retired" in project.codebuddy("hook", "status").stdout


def test_without_an_index_the_rules_that_need_none_still_speak(tmp_path):
    """What one look at the change shows needs no index."""
    project = Project(tmp_path / "p", {"x.py": "x = 1\n"})
    project.stage({"a.py": "breakpoint()\n" + TWIN})
    outcome = project.review(has_index=False)
    assert [each.rule for each in outcome.findings] == ["CB108"]
    assert outcome.failed == ()


def test_findings_come_in_the_order_of_their_worth(tmp_path):
    """A secret before a leftover, whatever the order of files and rules."""
    project = Project(tmp_path / "p", {"x.py": "x = 1\n"})
    project.index()
    project.stage({"a.py": "breakpoint()\n", "b.py": f'x = "{KEYS["GitHub token"]}"\n'})
    assert [each.rule for each in project.review().findings] == ["CB110", "CB108"]


def test_every_rule_has_an_own_id_and_a_page():
    """docs/hook.md describes each rule under its id."""
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "hook.md").read_text(encoding="utf-8")
    assert len({rule.id for rule in RULES} | RETIRED.keys()) == len(RULES) + len(RETIRED)
    for retired, name in RETIRED.items():
        assert f"| {retired} {name} |" in page
    headings = [f"### {rule.id} {rule.name}" for rule in RULES]
    assert [each for each in headings if f"{each}\n" not in page] == []
