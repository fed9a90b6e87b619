"""Names of containers: those that Docker allows, and those that it makes up: an adjective and a scientist.

Source: moby's daemon/names.go (RestrictedNameChars) and pkg/namesgenerator; the lists are a selection of ours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container

PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
ALLOWED = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_ADJECTIVES = ("admiring", "bold", "brave", "busy", "clever", "cool", "curious", "eager", "elastic", "epic", "focused",
               "gallant", "gifted", "happy", "hopeful", "jolly", "keen", "kind", "lucid", "modest", "nifty", "peaceful",
               "quirky", "relaxed", "serene", "sharp", "sweet", "tender", "upbeat", "vibrant", "wise", "zen")
_SURNAMES = ("agnesi", "babbage", "bardeen", "bohr", "brahmagupta", "carson", "curie", "darwin", "dijkstra", "einstein",
             "euclid", "euler", "fermat", "franklin", "galileo", "germain", "goodall", "hamilton", "hopper", "hypatia",
             "johnson", "kepler", "knuth", "lamport", "liskov", "lovelace", "meitner", "mirzakhani", "newton",
             "noether", "pascal", "ritchie", "sammet", "shannon", "tesla", "thompson", "torvalds", "turing", "yukawa")


def made_up(taken: Container[str]) -> str:
    """A name that nobody has; "boring" and "wozniak" never meet here either."""
    while True:
        name = f"{random.choice(_ADJECTIVES)}_{random.choice(_SURNAMES)}"
        if name not in taken:
            return name
        name += str(random.randrange(10))
        if name not in taken:
            return name
