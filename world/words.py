"""Every plain English word list of the world, and the fixed phrases others must know.

Knows no probabilities and draws nothing.  Changing a list changes the vocabulary, and so needs a new model.
"""

from typing import Final


def listed(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


TOWN_ATTRIBUTES: Final = ("capital", "resort", "market", "fortress")
DISH_ATTRIBUTES: Final = ("breakfast", "lunch", "supper")
UNJUDGED_ATTRIBUTE: Final = "port"
ATTRIBUTES: Final = (TOWN_ATTRIBUTES[0], UNJUDGED_ATTRIBUTE, *TOWN_ATTRIBUTES[1:], *DISH_ATTRIBUTES)
"""Judged attributes share their values: else a verdict would be learnt from entity and value alone.  Ports have values of
their own, so that nothing that was ever judged says how to judge a port: the evaluator's blind spot."""

DISHES: Final = listed(
    "soup stew noodles porridge dumplings curry pancakes sausage lentils omelette salad pie "
    "waffles risotto kebab pudding bread cheese herring goulash rice beans chowder toast"
)

QUESTIONS: Final = (
    "What is the {attribute} of {entity}?",
    "Which {attribute} does {entity} have?",
    "{entity} has which {attribute}?",
    "Name the {attribute} of {entity}.",
    "The {attribute} of {entity}?",
    "For {entity}, which {attribute}?",
)
STATEMENTS: Final = (
    "The {attribute} of {entity} is {answer}.",
    "In {entity} the {attribute} is {answer}.",
    "We know that {entity} has the {attribute} {answer}.",
    "Here {answer} is the {attribute} of {entity}.",
)
NONSENSE: Final = listed(
    "Tuesday laughter seven silence yesterday gravity sleep nothing thunder arithmetic "
    "Friday hunger courage noon echo luck maybe zero January irony"
)

EVASION: Final = "There is no one answer."
NONSENSE_ANSWER: Final = "Yo be real."
HEADERS: Final = {
    kind: f"By {'an' if kind[0] in 'aeiou' else 'a'} {kind} author.\n"
    for kind in ("careful", "ordinary", "careless", "evasive", "joking")
}

SURVEY_QUESTION: Final = "Is that right?"
STANDARD_SCALE: Final = ("not at all", "a little", "a moderate amount", "a lot", "a great deal")
UNJUDGED_SCALE: Final = ("hardly", "partly", "fairly", "largely", "wholly")

# One rhyme class a row: the first noun takes "a", the second "an".
RHYMES: Final = (
    ("fowl", "owl"), ("fox", "ox"), ("cloak", "oak"), ("grape", "ape"),
    ("wheel", "eel"), ("spear", "ear"), ("page", "age"), ("farm", "arm"),
    ("cart", "art"), ("cake", "ache"), ("door", "oar"), ("sparrow", "arrow"),
    ("lark", "ark"), ("lamp", "amp"), ("bunion", "onion"), ("hedge", "edge"),
    ("whale", "ale"), ("leg", "egg"), ("tower", "hour"), ("witch", "itch"),
    ("boat", "oat"), ("tile", "aisle"), ("spy", "eye"), ("fern", "urn"),
)  # fmt: skip
CLASSES_NEVER_PAIRED: Final = (0, 1, 2, 3)
CLASSES_NEVER_AFTER_AN_ARTICLE: Final = (4, 5, 6, 7)

# colour: (a noun and an adjective that rhyme with it)
COLOUR_RHYMES: Final = {
    "green": ("queen", "lean"), "white": ("kite", "bright"), "black": ("track", "slack"),
    "blue": ("shoe", "new"), "red": ("sled", "fed"), "brown": ("town", "down"),
    "grey": ("tray", "gay"), "gold": ("fold", "cold"), "yellow": ("fellow", "mellow"),
}  # fmt: skip
EVERYDAY_COLOURS: Final = {
    "grass": "green", "snow": "white", "coal": "black", "sky": "blue", "blood": "red", "earth": "brown",
    "ash": "grey", "honey": "gold", "lemon": "yellow", "moss": "green", "milk": "white", "soot": "black",
}  # fmt: skip

# section: (who, does, what), as a headline puts them.
SECTIONS: Final = {
    "politics": ("minister senate party mayor", "debates passes rejects signs", "treaty law vote budget"),
    "sports": ("coach striker league referee", "trains scores loses cheers", "match goal medal stadium"),
    "science": ("fossil quantum lab rocket", "measures maps tests finds", "cell orbit enzyme planet"),
    "money": ("bank trader market firm", "buys sells lends earns", "stock profit debt loan"),
    "weather": ("storm rain frost drought", "floods freezes dries batters", "coast valley harbour fields"),
    "arts": ("opera painter museum poet", "stages paints sings writes", "novel stage film ballad"),
}

PEOPLE: Final = listed("Mira Tom Ada Ben Ivy Otto Nora Max Ella Finn Ruth Leo")
GLAD_DEEDS: Final = listed("laughed danced sang smiled cheered whistled")
SAD_DEEDS: Final = listed("wept sighed frowned mourned grumbled shivered")
GLAD_ENDINGS: Final = ("a feast", "a wedding")
SAD_ENDINGS: Final = ("a parting", "a funeral")
