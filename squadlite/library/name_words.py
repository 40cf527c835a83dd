"""Words that names are made of, and words that stand around them. Mostly English."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Title:
    """
    What a title says.

    Attributes:
        rank: the title itself, written out; "" for one that anybody has, such as "Mr.".
        bearer: "man", "woman", "wife" or "girl" (a woman, too); "": anybody.
    """

    rank: str
    bearer: str


_ANYBODYS = {
    "man": "mr mister messrs sir lord don master monsieur herr señor signor",
    "wife": "mrs lady dame madam madame mme frau señora signora donna doña",
    "girl": "miss ms mademoiselle mlle fräulein señorita signorina",
}
# In the books that are read here an officer or a clergyman is a man.
_RANKS = {
    "man": """
        king prince duke earl count baron marquis emperor father uncle brother squire
        captain colonel general major lieutenant sergeant corporal admiral commodore inspector
        constable bishop archbishop cardinal pope abbé reverend mynheer friar
    """,
    "woman": """
        queen princess duchess countess baroness marquise empress mother aunt
        sister nurse widow
    """,
    "": "doctor professor judge justice president governor chancellor minister senator mayor",
}
_SHORT = {
    "dr": "doctor", "prof": "professor", "rev": "reverend", "revd": "reverend", "capt": "captain",
    "col": "colonel", "gen": "general", "maj": "major", "lt": "lieutenant", "lieut": "lieutenant",
    "serjt": "sergeant", "sergt": "sergeant", "sgt": "sergeant",
}  # fmt: skip

# By the title in small letters, without its stop.
TITLES = {
    **{word: Title("", bearer) for bearer, words in _ANYBODYS.items() for word in words.split()},
    **{word: Title(word, bearer) for bearer, words in _RANKS.items() for word in words.split()},
}
TITLES |= {short: TITLES[word] for short, word in _SHORT.items()}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# After these "of" goes on with a name; elsewhere it ends one, as in "Mr. Holmes of Baker Street".
BEFORE_OF = _set(
    """
    king queen prince princess duke duchess earl count countess marquis bishop archbishop knave
    knight lord lady emperor son bay gulf cape isle isles island islands strait straits sea
    river port mount house houses city tower bank church palace
    """
)
# How streets, islands and houses end, and how they begin.
LAST_OF_PLACES = _set(
    """
    street road lane square court park hall house castle abbey island islands isle isles sea
    ocean river bay cape hill hills mountain mountains valley bridge station town city county
    inn hotel wood woods forest farm gate place terrace crescent gardens channel strait straits
    harbour harbor gulf lake falls beach point fort port church cathedral college cottage lodge
    manor mount avenue moor
    """
)
FIRST_OF_PLACES = _set(
    """
    port fort cape mount lake isle isles strait straits gulf bay
    """
)
# Capitalised wherever they stand, and yet no people or places.
NO_NAMES = _set(
    """
    i o oh ah aye ay ha hey hi ho yes no well why what god gods heaven heavens hell devil
    providence monday tuesday wednesday thursday friday saturday sunday january february march
    april may june july august september october november december christmas easter michaelmas
    whitsun lent chapter book part volume act scene adventure illustration bible parliament
    english englishman englishmen englishwoman french frenchman frenchmen frenchwoman german
    germans spanish spaniard spaniards italian italians dutch dutchman dutchmen irish irishman
    irishmen scotch scottish scotchman scotsman welsh welshman british briton britons american
    americans indian indians russian russians chinese chinaman japanese turk turks turkish greek
    greeks roman romans latin jew jews jewish hebrew arab arabs african africans european
    europeans portuguese danish dane danes swedish swede norwegian polish pole austrian
    hungarian mexican australian canadian christian christians christianity catholic catholics
    protestant protestants papist papists puritan puritans moor moors norman saxon gothic yankee
    """
)
# Nor is anything with one of these.
HONOURS = _set(
    """
    majesty excellency highness lordship ladyship honour honor worship eminence
    """
)

# Where these stand beside a name, somebody speaks: in a few languages.
SPEAKS = _set(
    """
    said says cried asked answered replied exclaimed whispered remarked observed returned
    rejoined murmured shouted called muttered continued added demanded inquired enquired growled
    gasped sighed laughed interposed interrupted begged dit répondit demanda sagte fragte rief
    antwortete dijo respondió preguntó disse rispose chiese
    """
)
# What mostly people do, what everything does, what only people are and mostly people have.
DOES = _set(
    """
    would could did does came went took looked saw knew felt thought stood sat ran made gave got
    told spoke began shook rose left put held found heard kept
    """
)
IS = _set(
    """
    was is had has
    """
)
WHO = _set(
    """
    who whom whose
    """
)
OWNED = _set(
    """
    face eyes eye voice hand hands head heart mind hair arm arms father mother wife husband son
    daughter brother sister friend uncle aunt manner feet lips words mouth shoulder
    """
)
# May stand between a preposition and a name.
DESCRIBING = _set(
    """
    the old poor little young dear good
    """
)
