"""Names as people, tools and languages write them -> their parts as the index has them."""

from __future__ import annotations

import re

from codebuddy.errors import UsageError

# `#` parts a Ruby class from its method, and begins a private member in JavaScript.
_SEPARATORS = re.compile(r"::|->|(?<=\w)#|[./\\]")
# `(*Cart).Total`, as Go writes methods.
_RECEIVER = re.compile(r"(^|\.)\(\*?(\w+)\)(?=\.)")


def parts_of(name: str) -> list[str]:
    """`Cart::total()` gives Cart and total.

    Raises:
        UsageError: There is no name in it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError("the name is no text") from None
    bare = _RECEIVER.sub(r"\1\2", name.strip()).partition("(")[0].strip()
    parts = [part for part in _SEPARATORS.split(bare) if part]
    if not parts:
        raise UsageError("the name is empty", hint="give a name as code spells it: Cart.total")
    return parts
