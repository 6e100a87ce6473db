"""Documents that embed code: each part is code of its own language, at its place in the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.completion.context import build_context
from codebuddy.completion.postprocess import clean
from codebuddy.index.analysis import analyze
from codebuddy.index.modules import ModuleMap
from codebuddy.syntax import code_at, language_for
from codebuddy.syntax.embedded import MAX_REGIONS, blank_out, keep_only, regions, script_of
from tests.support.completion import context_at, document_at
from tests.support.engine import codebuddy, json_of
from tests.support.hook import Project, evidence, staged_review
from tests.support.index import make_repository
from tests.support.syntax import uncovered

VUE = """\
<template>
  <p class="é">{{ total(1, 2) }}</p>
</template>

<script lang="ts">
export interface Line { amount: number }
</script>

<script setup lang="ts">
import { formatPrice } from './pricing'
const shown = formatPrice(1)
function total(first: number, second: number): string {
  return formatPrice(first + second)
}
</script>

<style lang="scss" scoped>
.button { color: red; }
</style>
"""
SVELTE = """\
<script context="module">
  export function shared(a) { return a }
</script>
<script>
  import { formatPrice } from './pricing'
  export let amount
  $: shown = formatPrice(amount)
</script>

{#if amount > 1}<b>{shown}</b>{/if}

<style>b { color: red }</style>
"""
ASTRO = """\
---
import Card from './Card.astro'
import { formatPrice } from './pricing'
const shown: string = formatPrice(1)
---
<Card>{shown}</Card>
<script>
  function later(event: Event) { return event }
</script>
"""
HTML = """\
<!doctype html>
<!-- <script>function commented() {}</script> -->
<script type="application/ld+json">{"a": 1}</script>
<script type="text/x-template"><b>no code</b></script>
<script type="module">
import { formatPrice } from './pricing'
function clicked(event) { return formatPrice(event) }
</script>
"""


def found_in(path: str, text: str) -> list[tuple[str, str]]:
    """Language and first line of each region."""
    return [
        (each.language, text[each.start : each.end].strip().split("\n")[0])
        for each in regions(text, language_for(path))
    ]


def test_regions_are_the_code_of_their_languages():
    """By tag, attributes and document; comments and templates hold none."""
    assert found_in("a.vue", VUE) == [
        ("typescript", "export interface Line { amount: number }"),
        ("typescript", "import { formatPrice } from './pricing'"),
        ("css", ".button { color: red; }"),
    ]
    assert [each for each, _ in found_in("a.svelte", SVELTE)] == ["javascript", "javascript", "css"]
    assert found_in("a.astro", ASTRO) == [
        ("typescript", "import Card from './Card.astro'"),
        ("typescript", "function later(event: Event) { return event }"),
    ]
    assert found_in("a.html", HTML) == [
        ("json", '{"a": 1}'),
        ("javascript", "import { formatPrice } from './pricing'"),
    ]
    assert found_in("a.js", VUE) == []


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("<script lang='tsx'>", "tsx"),
        ('<SCRIPT LANG="TS">', "typescript"),
        ("<script lang=ts setup>", "typescript"),
        ('<script setup lang="ts" generic="T extends Record<string, A>">', "typescript"),
        ("<script\n  lang='ts'\n>", "typescript"),
        ("<script type='text/typescript'>", "typescript"),
        ("<script lang='coffee'>", "text"),
        ("<script type='text/babel'>", "javascript"),
    ],
)
def test_attributes_say_the_language(tag, language):
    """However they are written."""
    assert [each for each, _ in found_in("a.vue", f"{tag}\nlet a\n</script>\n")] == [language]


def test_a_script_that_is_being_written_reaches_to_the_end():
    """An unclosed tag, and no tag yet."""
    assert found_in("a.vue", "<script>\nlet a = ") == [("javascript", "let a =")]
    assert found_in("a.astro", "---\nlet a = ") == [("typescript", "let a =")]
    assert found_in("a.vue", "<script lang=") == []
    assert found_in("a.vue", "<script src='x' />\n<p>") == []


@given(
    st.lists(
        st.sampled_from(
            ["<script>", "</script>", "<style lang='", "<template>", "<!--", "-->", "---\n", "é",
             "\r\n", "\n", "x = 'é'", '"', "'", ">", "/>", "<script lang=\"ts\">", " "]
        ),
        max_size=30,
    ),
    st.sampled_from(["vue", "svelte", "astro", "html"]),
)  # fmt: skip
def test_blanking_keeps_every_place(parts, language):
    """Lengths and line breaks stay, in characters and in bytes; regions follow each other."""
    text = "".join(parts)
    found = regions(text, language)
    borders = [place for each in found for place in (each.outer[0], each.start, each.end)]
    assert borders == sorted(borders)
    for blanked in (keep_only(text, found), blank_out(text, found)):
        assert [len(line) for line in blanked.split("\n")] == [
            len(line) for line in text.split("\n")
        ]
        assert blanked.count("\r") == text.count("\r")
    source = text.encode()
    script = script_of(source, language)
    assert script is None or len(script[1]) == len(source)
    name = f"a.{language}"
    assert uncovered(source, analyze(name, source)) == ""
    for place in range(len(text) + 1):
        code = code_at(text, language, place)
        assert len(code.text) == len(text)


@pytest.mark.parametrize(
    "unit",
    ["<script ", '<script "', "<script>", "<!--", "<style '", "---\n", "</script", "<template "],
)  # fmt: skip
def test_hostile_documents_cost_no_more_than_their_length(unit):
    """Four times the text is read in a few times the steps; counted by a tracing profiler."""
    import sys

    def steps(size: int) -> int:
        count = 0

        def tick(_frame, event, _argument):
            nonlocal count
            count += event in ("call", "c_call")

        text = unit * size
        sys.setprofile(tick)
        try:
            regions(text, "vue")
        finally:
            sys.setprofile(None)
        return count

    assert steps(4000) <= 5 * steps(1000) + 100
    assert len(regions("<script></script>" * 5000, "vue")) == MAX_REGIONS


def test_symbols_have_their_lines_in_the_file():
    """Definitions, references and imports of all scripts; none of the style."""
    analysis = analyze("a.vue", VUE.encode())
    places = {each.name: (each.kind, each.line, each.end_line) for each in analysis.definitions}
    assert places["Line"] == ("interface", 6, 6)
    assert places["total"] == ("function", 12, 14)
    assert ".button" not in places
    assert analysis.imports == ("./pricing",)
    assert {(each.name, each.line) for each in analysis.references if each.kind == "call"} == {
        ("formatPrice", 11),
        ("formatPrice", 13),
    }
    total = next(each for each in analysis.definitions if each.name == "total")
    assert VUE.encode()[slice(*total.extent)].startswith(b"function total(first")
    assert analysis.language == "vue"
    names = {each.name for each in analyze("a.svelte", SVELTE.encode()).definitions}
    assert {"shared", "amount"} <= names
    assert "later" in {each.name for each in analyze("a.astro", ASTRO.encode()).definitions}
    assert "clicked" in {each.name for each in analyze("a.html", HTML.encode()).definitions}


def test_large_documents_are_cut_at_their_parts():
    """Functions of the script stand alone, and the template is cut as markup."""
    functions = "".join(
        f"function handle{n}(event) {{\n" + f"  work(event, {n})\n" * 20 + "}\n" for n in range(6)
    )
    template = "".join(f"  <p>line {n}</p>\n" for n in range(200))
    text = f"<template>\n{template}</template>\n<script>\n{functions}</script>\n"
    analysis = analyze("a.vue", text.encode())
    assert uncovered(text.encode(), analysis) == ""
    symbols = [each.symbol for each in analysis.chunks]
    assert [f"handle{n}" for n in range(6)] == [each for each in symbols if each]
    first = next(each for each in analysis.chunks if each.symbol == "handle0")
    assert "<p>" not in text.encode()[first.start_byte : first.end_byte].decode()


def test_imports_lead_from_components_and_back():
    """`.vue` to `.ts`, `.ts` to `.vue` and `.astro` to either."""
    modules = ModuleMap(["src/a.vue", "src/pricing.ts", "src/b.svelte", "src/c.astro"])
    assert modules.resolve(["./pricing"], "src/a.vue") == ["src/pricing.ts"]
    assert modules.resolve(["./a.vue"], "src/pricing.ts") == ["src/a.vue"]
    assert modules.resolve(["./c.astro", "./b.svelte"], "src/pricing.ts") == [
        "src/c.astro",
        "src/b.svelte",
    ]


@pytest.mark.parametrize(
    ("path", "marked", "language"),
    [
        ("a.vue", "<script setup lang='ts'>\nlet a = ‸\n</script>\n<template/>", "typescript"),
        ("a.vue", "<script>\nlet a = ‸\n</script>\n<template/>", "javascript"),
        ("a.vue", "<script lang='ts'></script><template><p :a=‸></p></template>", "html"),
        ("a.vue", "<style>\n.a { ‸ }\n</style>", "css"),
        ("a.svelte", "<script>\n  let a = ‸\n</script>\n<p>{a}</p>", "javascript"),
        ("a.svelte", "<script>let a</script>\n<p>{‸}</p>", "html"),
        ("a.astro", "---\nlet a = ‸\n---\n<p/>", "typescript"),
        ("a.astro", "---\nlet a\n---\n<p>‸</p>", "html"),
        ("a.html", "<script>\nlet a = ‸\n</script>", "javascript"),
        ("a.js", "let a = ‸", "javascript"),
    ],
)
def test_the_language_at_the_cursor_decides(path, marked, language):
    """The model still reads the whole document."""
    context = context_at(marked, path)
    assert context.language == language
    document, _ = document_at(marked, path)
    assert context.prefix + context.suffix == document.text
    assert [len(part) for part in context.code] == [len(context.prefix), len(context.suffix)]


def test_the_context_knows_the_script_alone():
    """Scope, names and the extent are those of the script; also behind other letters."""
    marked = VUE.replace("  return formatPrice(first + second)\n", "  ‸\n")
    context = context_at(marked, "a.vue")
    assert context.scope == ("function total(first: number, second: number): string",)
    assert context.extent == "block" or context.extent == "statement"
    assert "formatPrice" in context.imported
    assert "formatPrice" in context.unresolved
    assert "template" not in context.near
    assert context.inside == "code"


def test_a_suggestion_ends_where_its_script_does():
    """A model that goes on with the next tag is cut; what parses in the script is kept."""
    marked = "<script>\nfunction a() {\n  ‸\n}\n</script>\n<template><p/></template>\n"
    context = context_at(marked, "a.vue")
    text, filters = clean("return 1\n}\n</script>\n<template>", context)
    assert text.startswith("return 1")
    assert "</script>" not in text
    assert "ends the script" in filters
    astro = context_at("---\nlet a = ‸\n---\n", "a.astro")
    assert clean("1\n---\n<p>", astro)[0] == "1"
    markup = context_at("<template>\n‸\n</template>", "a.vue")
    assert clean("<p>one</p>", markup)[0] == "<p>one</p>"


@pytest.mark.process
def test_complete_looks_up_from_a_component_and_back(tmp_path):
    """A function of a `.ts` is found for a `.vue`, and one of a `.vue` for a `.ts`."""
    body = "".join(f"  total += first * {n}\n" for n in range(20))
    wanted = f"export function {{}}(first: number) {{{{\n{body}  return total\n}}}}\n"
    root = make_repository(
        tmp_path / "shop",
        {
            "src/pricing.ts": wanted.format("formatPrice"),
            "src/Cart.vue": "<script lang='ts'>\n" + wanted.format("sumOfCart") + "</script>\n",
            "src/Shop.vue": "<script setup lang='ts'>\nimport { formatPrice } from './pricing'\n"
            "const a = formatPrice(\n</script>\n",
            "src/main.ts": "import { sumOfCart } from './Cart.vue'\nconst a = sumOfCart(\n",
        },
    )
    options = ["--model", "echo", "--retrieve", "always", "--json"]
    for place, symbol in (("src/Shop.vue:3", "formatPrice"), ("src/main.ts:2", "sumOfCart")):
        answer = json_of(codebuddy(root, "complete", place, *options))
        found = [each for each in answer["chunks"] if "call" in each["channels"]]
        assert [each["symbol"] for each in found] == [symbol], place


PRICING = """\
export function formatPrice(cents) {
  const whole = Math.floor(cents / 100)
  const rest = String(cents % 100).padStart(2, '0')
  return `${whole}.${rest}`
}
"""


def component(body: str) -> str:
    """A component with a script below its template."""
    return f"<template>\n  <p>{{{{ shown }}}}</p>\n</template>\n\n<script setup>\n{body}</script>\n"


@pytest.mark.process
def test_the_hook_finds_uses_of_a_renamed_function_in_components(tmp_path):
    """CB102 reaches into `.vue` and `.svelte`, and its patch changes the right line alone."""
    use = "import { formatPrice } from './pricing'\nconst shown = formatPrice(2)\n"
    project = Project(
        tmp_path / "shop",
        {
            "src/pricing.js": PRICING,
            "src/Shop.vue": component(use),
            "src/Shop.svelte": f"<script>\n{use}</script>\n<p>{{shown}}</p>\n",
            "src/Shop.astro": f"---\n{use}---\n<p>{{shown}}</p>\n",
        },
    )
    project.index()
    project.stage({"src/pricing.js": PRICING.replace("formatPrice", "priceText")})
    [finding] = project.findings("CB102")
    found = {"src/Shop.astro:2", "src/Shop.svelte:2", "src/Shop.vue:6"}
    assert set(evidence(finding)) >= found
    assert finding.n_more == 1
    assert {each.path for each in finding.edits} == {
        "src/Shop.vue", "src/Shop.svelte", "src/Shop.astro",
    }  # fmt: skip
    project.codebuddy("hook", "run", "--staged")
    applied = project.codebuddy("hook", "apply", finding.id)
    assert applied.returncode == 0, applied.stderr
    text = (project.root / "src/Shop.vue").read_text()
    assert text == component(use.replace("formatPrice", "priceText"))


def test_a_name_that_markup_uses_too_keeps_it_by_an_alias(tmp_path):
    """Half a renaming would break the component: the import alone changes."""
    use = "import { formatPrice } from './pricing'\n"
    shop = component(use).replace("shown", "formatPrice(1)")
    before = {"src/pricing.js": PRICING, "src/Shop.vue": shop}
    staged = {"src/pricing.js": PRICING.replace("formatPrice", "priceText")}
    [finding] = staged_review(tmp_path / "shop", before, staged, "CB102")
    assert evidence(finding) == ["src/Shop.vue:6"]
    [edit] = finding.edits
    assert (edit.first_line, edit.new) == (
        6,
        "import { priceText as formatPrice } from './pricing'",
    )


def test_the_hook_knows_a_component_that_is_gone_and_a_name_that_is_not_there(tmp_path):
    """Deleted components that are still imported; imports of a component that lead nowhere."""
    before = {
        "src/Card.vue": component("const a = 1\n"),
        "src/main.ts": "import Card from './Card.vue'\nexport const app = Card\n",
        "src/pricing.js": PRICING,
    }
    [finding] = staged_review(tmp_path / "one", before, {"src/Card.vue": None}, "CB102")
    assert evidence(finding) == ["src/main.ts:1"]
    new = component("import { formatPrise } from './pricing'\nconst a = formatPrise(1)\n")
    [finding] = staged_review(tmp_path / "two", before, {"src/New.vue": new}, "CB103")
    assert (finding.line, finding.column) == (6, 10)
    assert "formatPrice" in finding.message
    assert [(edit.first_line, edit.new) for edit in finding.edits] == [
        (6, "import { formatPrice } from './pricing'"),
        (7, "const a = formatPrice(1)"),
    ]
    fine = component("import Card from './Card.vue'\nimport Own from './New.vue'\n")
    assert staged_review(tmp_path / "three", before, {"src/New.vue": fine}, "CB103") == []


def test_the_hook_reads_leftovers_in_the_script_alone(tmp_path):
    """`debugger` in a script is one; in the template it is a word."""
    staged = {
        "a.vue": component("function a() {\n  debugger\n}\n").replace("<p>", "debugger\n<p>"),
        "b.svelte": "<script>\n  debugger;\n</script>\n",
    }
    found = staged_review(tmp_path / "one", {}, staged, "CB108")
    assert [(each.path, each.line) for each in found] == [("a.vue", 8), ("b.svelte", 2)]


def test_a_document_with_its_own_line_endings_and_mark_is_read(tmp_path):
    """Carriage returns and a byte order mark move nothing."""
    text = "\ufeff" + VUE.replace("\n", "\r\n")
    analysis = analyze("a.vue", text.encode())
    assert {each.name: each.line for each in analysis.definitions}["total"] == 12
    document, position = document_at(text.replace("formatPrice(1)", "formatPrice(‸)"), "a.vue")
    assert build_context(document, position, "vue").language == "typescript"
