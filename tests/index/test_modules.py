"""Imports lead to the repository's files by the conventions of each language."""

from __future__ import annotations

import pytest

from codebuddy.index.modules import ModuleMap

PATHS = """
shop/__init__.py shop/pricing.py shop/models/__init__.py shop/models/order.py tools/pricing.py
web/src/app.ts web/src/util/http.ts web/src/util/index.ts web/src/Button.tsx web/src/old.js
go.mod internal/store/store.go internal/store/cache.go cmd/main.go
crates/core/src/lib.rs crates/core/src/search/mod.rs crates/core/src/search/sink.rs
crates/grep-matcher/src/lib.rs crates/printer/src/lib.rs crates/printer/src/color.rs
java/src/main/java/com/foo/Bar.java java/src/main/java/com/foo/Baz.java
java/src/main/java/com/foo/inner/Deep.java
native/include/net/socket.h native/src/socket.c native/src/local.h native/src/main.c
lib/orders/invoice.rb lib/orders.rb src/Domain/Cart.php README.md data.json
""".split()

CASES = {
    "python absolute": ("tools/pricing.py", "shop.pricing", ["shop/pricing.py"]),
    "python package": ("tools/pricing.py", "shop", ["shop/__init__.py"]),
    "python name in a module": ("a.py", "shop.pricing.discount", ["shop/pricing.py"]),
    "python sibling": ("shop/models/order.py", "..pricing", ["shop/pricing.py"]),
    "python own package": ("shop/pricing.py", ".models.order", ["shop/models/order.py"]),
    "python library": ("shop/pricing.py", "os.path", []),
    "typescript relative": ("web/src/app.ts", "./util/http", ["web/src/util/http.ts"]),
    "typescript folder": ("web/src/app.ts", "./util", ["web/src/util/index.ts"]),
    "typescript by its output": ("web/src/app.ts", "./util/http.js", ["web/src/util/http.ts"]),
    "typescript mapped": ("web/src/app.ts", "@/util/http", ["web/src/util/http.ts"]),
    "typescript component": ("web/src/util/http.ts", "../Button", ["web/src/Button.tsx"]),
    "javascript library": ("web/src/app.ts", "react", []),
    "go package": (
        "cmd/main.go",
        "github.com/me/it/internal/store",
        ["internal/store/cache.go", "internal/store/store.go"],
    ),
    "go library": ("cmd/main.go", "net/store", []),
    "rust crate": (
        "crates/core/src/lib.rs",
        "crate::search::sink::Sink",
        ["crates/core/src/search/sink.rs"],
    ),
    "rust super": (
        "crates/core/src/search/sink.rs",
        "super::Searcher",
        ["crates/core/src/search/mod.rs"],
    ),
    "rust self": (
        "crates/core/src/search/mod.rs",
        "self::sink",
        ["crates/core/src/search/sink.rs"],
    ),
    "rust other crate": (
        "crates/core/src/lib.rs",
        "grep_matcher::Matcher",
        ["crates/grep-matcher/src/lib.rs"],
    ),
    "rust crate by its last words": (
        "crates/core/src/lib.rs",
        "grep_printer::color::Spec",
        ["crates/printer/src/color.rs"],
    ),
    "rust library": ("crates/core/src/lib.rs", "std::io", []),
    "java class": (
        "java/src/main/java/com/foo/Baz.java",
        "com.foo.Bar",
        ["java/src/main/java/com/foo/Bar.java"],
    ),
    "java member": (
        "java/src/main/java/com/foo/Baz.java",
        "com.foo.Bar.LIMIT",
        ["java/src/main/java/com/foo/Bar.java"],
    ),
    "java folder": (
        "java/src/main/java/com/foo/Baz.java",
        "com.foo.inner",
        ["java/src/main/java/com/foo/inner/Deep.java"],
    ),
    "java library": ("java/src/main/java/com/foo/Baz.java", "java.util.List", []),
    "c header and what implements it": (
        "native/src/main.c",
        "net/socket.h",
        ["native/include/net/socket.h", "native/src/socket.c"],
    ),
    "c header beside": ("native/src/main.c", "local.h", ["native/src/local.h"]),
    "c library": ("native/src/main.c", "stdio.h", []),
    "ruby": ("lib/orders.rb", "orders/invoice", ["lib/orders/invoice.rb"]),
    "php namespace": ("public/index.php", "App\\Domain\\Cart", ["src/Domain/Cart.php"]),
}


@pytest.mark.parametrize("case", CASES)
def test_an_import_leads_to_its_files(case):
    """Relative, absolute, by folder or by the end of the path; a library leads nowhere."""
    path, text, expected = CASES[case]
    assert ModuleMap(PATHS).resolve([text], path) == expected


def test_a_name_imported_from_a_package_can_be_a_file_of_it():
    """`from . import pricing` means the file beside it."""
    found = ModuleMap(PATHS).resolve(["."], "shop/main.py", ["pricing", "other"])
    assert found == ["shop/__init__.py", "shop/pricing.py"]


def test_the_nearest_of_several_is_meant():
    """Two projects with the same layout in one repository each import their own."""
    modules = ModuleMap(["one/lib/util.py", "two/lib/util.py"])
    assert modules.resolve(["lib.util"], "two/app.py")[0] == "two/lib/util.py"
    assert modules.resolve(["lib.util"], "one/app.py")[0] == "one/lib/util.py"


@pytest.mark.parametrize(
    "text", ["", ".", "..", "....", "/", "::", "\\", "a..b", "../../../../etc", "*", "./", "@"]
)
@pytest.mark.parametrize(
    "path", ["a.py", "a.ts", "a.go", "a.rs", "A.java", "a.c", "a.rb", "a.php", "a", "x/y.cs"]
)
def test_no_import_is_an_error(text, path):
    """Whatever stands there, what comes back is files of the repository."""
    assert set(ModuleMap(PATHS).resolve([text], path)) <= set(PATHS)


def test_a_file_does_not_import_itself():
    """A package that imports from itself leads to the others only."""
    assert ModuleMap(PATHS).resolve(["shop"], "shop/__init__.py") == []


def test_siblings_are_files_of_the_folder_and_family():
    """Same folder, languages that can import each other."""
    modules = ModuleMap(PATHS)
    assert modules.siblings("web/src/app.ts") == ["web/src/Button.tsx", "web/src/old.js"]
    assert modules.siblings("README.md") == []
