"""English words that comments about code are written with: forms, and synonyms by hand.

Terms of art (list, set, tree, hash, key) have no synonyms here, since another word would be
another thing.
"""

from __future__ import annotations

# Base forms of verbs; irregular ones with their past and participle behind a slash.
VERBS = """
accept access add adjust advance allocate allow append apply ask assert assign assume attach avoid
be/was/been become/became/become begin/began/begun bind/bound/bound break/broke/broken
bring/brought/brought build/built/built calculate call cancel cast/cast/cast catch/caught/caught
change check choose/chose/chosen clean clear clone close collect combine come/came/come compare
compile complete compute configure connect consider construct contain continue convert copy count
create cut/cut/cut decide declare decode decrease define delete describe detect determine disable
discard display divide do/did/done download drop dump emit enable encode end ensure enter escape
evaluate exclude execute exit expand expect export extend extract fail fetch fill filter
find/found/found finish fix flatten flush follow force format generate get/got/got give/gave/given
go/went/gone group grow/grew/grown guess handle happen have/had/had help hide/hid/hidden
hold/held/held ignore implement import include increase indicate inherit initialize insert inspect
install invoke iterate join keep/kept/kept know/knew/known launch lead/led/led leave/left/left
let/let/let limit link list load lock log look lose/lost/lost make/made/made map mark match
mean/meant/meant measure merge modify move multiply need normalize notify obtain omit open order
override pad parse pass perform pick place point pop populate prepare present prevent print
process produce protect provide pull push put/put/put raise reach read/read/read receive record
recover reduce refer register reject release reload remember remove rename render repeat replace
report represent request require reset resize resolve respond restart restore retrieve return
reverse round run/ran/run save scale scan schedule search see/saw/seen select send/sent/sent
separate serialize serve set/set/set share show/showed/shown shut/shut/shut skip sort specify
split/split/split stand/stood/stood start stay stop store strip submit subtract supply support
suppose swap switch take/took/taken tell/told/told test think/thought/thought transform translate
trigger trim try turn unlock unpack update upload use validate verify wait walk want warn watch
wrap write/wrote/written yield
"""

# Nouns, most of which stand in the plural as often as in the singular.
NOUNS = """
action address amount answer area argument attempt attribute base beginning block body bound
branch bug button byte case category change channel character child/children choice client column
command comment component condition connection constant container content context copy cost count
cursor date day default definition description detail device dimension directory distance document
duration edge edit editor element end entry environment error event example exception expression
factor failure feature field file flag folder font form format frame function gap goal group
handle head header height hint hour image index/indices input instance instruction interval item
iteration job kind label language layer length letter level limit line link location loop machine
mark message method minute mode model moment month name neighbour node note number object offset
operation operator option order output owner package page pair parameter parent part path pattern
person/people piece place point pointer position prefix price problem process product program
prompt property protocol quantity query question range rank rate ratio reader reason record
reference region repository request resource response result role root route row rule sample scope
score screen second section sequence server session shape share sign size slot source space speed
stage state statement status step string style subject suffix sum symbol system table target task
term test text thing thread time title token tool total type unit user value variable vector
version view warning way weight width window word worker year zone
"""

ADJECTIVES = """
big/bigger/biggest bright/brighter/brightest close/closer/closest deep/deeper/deepest
early/earlier/earliest easy/easier/easiest fast/faster/fastest few/fewer/fewest good/better/best
great/greater/greatest hard/harder/hardest high/higher/highest large/larger/largest
late/later/latest long/longer/longest low/lower/lowest near/nearer/nearest new/newer/newest
old/older/oldest safe/safer/safest short/shorter/shortest simple/simpler/simplest
slow/slower/slowest small/smaller/smallest strong/stronger/strongest weak/weaker/weakest
wide/wider/widest young/younger/youngest
"""

# Words in their base forms; each may stand for the others.
SYNONYMS = """
add append attach | allow permit | answer reply | apply employ | ask query | avoid prevent begin
start | big large | build construct | calculate compute | change modify alter check verify examine
| choose select pick | clear erase | close shut | collect gather combine merge join | complete
finish | contain hold include | convert transform | count tally create make produce | decide
determine | decrease reduce lower | delete remove | describe explain detect discover | display
show | drop discard | end stop | ensure guarantee | error fault mistake execute run | expand
extend | fast quick rapid | fetch retrieve | fill populate | find locate fix repair | follow obey
| force compel | generate produce | get obtain receive | give provide supply handle treat | happen
occur | help assist | ignore disregard | important significant increase raise | indicate signal |
insert put | invoke call | keep retain preserve launch start | leave quit | limit restrict bound |
load read | look search | match fit mean signify | move shift | need require | notify inform |
number amount quantity | obtain acquire old previous former | omit skip | open unlock | part
portion section | pass hand | perform do place position location | prepare ready | present show |
print output | protect guard provide supply offer | reach attain | reject refuse | remember recall
| repeat iterate replace substitute | report announce | request demand | restore recover | result
outcome return yield | reverse invert | save store | scan inspect | search seek | send transmit
dispatch separate divide split | shape form | short brief | size extent | skip omit | slow
sluggish small little tiny | specify state | stay remain | step stage | supply furnish | support
back take accept | task job | tell inform | test try | trim cut | try attempt | turn rotate update
refresh | use utilize employ | validate verify | value worth | wait pause | want desire warn
caution | way manner | whole entire | word term | wrap enclose | write record all every | also
additionally | always invariably | before prior | but however | current present different other
distinct | each every | empty blank vacant | equal identical same | exactly precisely final last |
first initial | given provided | maximum most | minimum least | missing absent new fresh | next
following | often frequently | only solely | usually normally | valid legal wrong incorrect | text
wording | folder directory | kind sort | beginning start | length extent
"""

# Ways of saying it and other ways, as back-translation finds them.
PHRASES = (
    ("in order to", "to"),
    ("in case of", "when there is"),
    ("as well as", "and also"),
    ("a number of", "several"),
    ("such as", "like"),
    ("at least", "no less than"),
    ("at most", "no more than"),
    ("more than", "over"),
    ("less than", "under"),
    ("instead of", "rather than"),
    ("because of", "due to"),
    ("for example", "for instance"),
    ("that is", "i.e."),
    ("whether or not", "whether"),
    ("there are", "one finds"),
    ("there is", "one finds"),
    ("must be", "has to be"),
    ("must not", "may not"),
    ("should be", "ought to be"),
    ("can be", "may be"),
    ("cannot", "can not"),
    ("is called", "gets called"),
    ("are called", "get called"),
    ("one of", "any of"),
    ("each of", "every one of"),
    ("all of", "the whole of"),
    ("the same", "an identical"),
    ("if the", "in case the"),
    ("so that", "in such a way that"),
    ("based on", "depending on"),
    ("with the", "using the"),
    ("from the", "out of the"),
    ("into the", "in the"),
    ("whether", "if"),
    ("when", "as soon as"),
    ("where", "in which"),
    ("without", "with no"),
    ("until", "up to when"),
    ("unless", "if not"),
    ("given", "passed"),
    ("otherwise", "else"),
)
