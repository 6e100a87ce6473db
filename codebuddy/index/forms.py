"""Other forms of a word: `retries` of `retry`, `config` of `cfg`.

A query's words are widened, not what is stored. It knows words alone: a form that no code
holds costs a look-up and finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

_MIN_LENGTH = 3
_MIN_STEM = 3
_VOWELS = "aeiou"
_SIBILANTS = ("s", "x", "z", "ch", "sh")

# Words of one line mean the same in names.
_SHORT_FORMS = """
abbr abbreviation abbreviate
addr address
alloc allocate allocation
arg argument
arr array
asc ascending
async asynchronous
attr attribute
auth authentication authenticate authorization
avg average mean
bool boolean
buf buffer
calc calculate
cert certificate
char character
cfg conf config configuration configure
cls class
cmd command
col column
concat concatenate
cond condition
conn connection
coord coordinate
ctx context
cur curr current
db database
decl declaration
def definition
del delete
deps dependency
desc description descending
dest dst destination
dev development
dict dictionary mapping
diff difference
dir directory folder
dist distance distribution
doc docs documentation
elem element
env environment
err error
eval evaluate
exc exception
exec execute
expr expression
ext extension
fmt format
fn func function
freq frequency
gen generate
hex hexadecimal
id identifier
idx index
img image
impl implementation
info information
init initialize initialise
int integer
iter iterate iterator
lang language
len length
lib library
loc location
max maximum
mem memory
min minimum
mod module
msg message
num number
obj object
op operation operator
opt option optional
orig original
param parameter
perm permission
pkg package
pos position
prev previous
proc process
prop property
ptr pointer
pwd password
rand random
recv receive
ref reference
regex regexp
rel relative
repo repository
req request
res resp response
rm remove
sep separator
seq sequence
src source
stat statistics
str string
sync synchronize
temp tmp temporary
usr user
util utility
val value
var variable
ver version
"""


def _table() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in _SHORT_FORMS.split("\n"):
        of_line = line.split()
        for word in of_line:
            found[word] = tuple(each for each in of_line if each != word)
    return found


_SAME = _table()


@lru_cache(maxsize=4096)
def other_forms(word: str) -> tuple[str, ...]:
    """Forms of a lower-cased English `word` other than itself, the likeliest first.

    A guess by endings and a table of abbreviations; some are no words.
    """
    if len(word) < _MIN_LENGTH or not (word.isascii() and word.isalpha()):
        return _SAME.get(word, ())
    stems = list(_stems(word)) or [word]
    found = [*stems]
    for stem in (word, *stems):
        found.extend(_SAME.get(stem, ()))
    for stem in stems:
        found.extend(_inflected(stem))
    return tuple(each for each in dict.fromkeys(found) if each != word)


def _stems(word: str) -> Iterator[str]:
    """What `word` may be a plural, participle or past form of."""
    for ending, others in (
        ("ies", ("y", "ie")),
        ("ied", ("y",)),
        ("es", ("", "e")),
        ("s", ("",)),
        ("ing", ("", "e")),
        ("ed", ("", "e")),
    ):
        if word.endswith(ending) and not word.endswith(("ss", "us", "is")):
            stem = word.removesuffix(ending)
            if len(stem) < _MIN_STEM - (ending in ("s", "ies")):
                return
            if ending in ("ing", "ed") and stem[-1] == stem[-2] and stem[-1] not in _VOWELS:
                yield stem[:-1]
            if ending != "es" or stem.endswith(_SIBILANTS):
                yield from (stem + other for other in others)
                return


def _inflected(stem: str) -> Iterator[str]:
    if stem.endswith("y") and stem[-2:-1] not in tuple(_VOWELS):
        yield stem[:-1] + "ies"
        yield stem[:-1] + "ied"
    elif stem.endswith(_SIBILANTS):
        yield stem + "es"
    else:
        yield stem + "s"
    without_e = stem.removesuffix("e")
    yield without_e + "ing"
    yield without_e + "ed"


# Ends of words made of others (`cancellation`), and of names of products (`postgresql`).
_DERIVED = frozenset(
    "e s es d ed er ers or ors ing ion ions ation ations ition ization isation ize ise izes izer"
    " ized izing ment ments able ible ance ence ive al ally ly y ity ness ful less ic ical ist"
    " sql js db py io".split()
)
_LONGEST_ENDINGS_FIRST = sorted(_DERIVED, key=lambda each: (-len(each), each))
_MIN_DERIVED_STEM = 4


@lru_cache(maxsize=4096)
def derived_stems(word: str) -> tuple[str, ...]:
    """What a lower-cased English `word` may be derived from: `cancel` of `cancellation`.

    Looser than `other_forms`: too loose to rank by, fit to tell whether anything akin is there.
    """
    found: list[str] = []
    for ending in _LONGEST_ENDINGS_FIRST:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _MIN_DERIVED_STEM:
            found.append(stem)
            if stem[-1] == stem[-2] and len(stem) > _MIN_DERIVED_STEM:
                found.append(stem[:-1])
    return tuple(dict.fromkeys([*found, word] if len(word) >= _MIN_DERIVED_STEM else found))


def is_derived_ending(ending: str) -> bool:
    """Whether what stands behind such a stem makes a word that is akin to it."""
    return not ending or ending in _DERIVED
