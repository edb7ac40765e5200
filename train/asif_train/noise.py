"""Noise in the text of training rows: how chats, transcripts and speech recognition write, which decides nothing.

Its words, marks and misspellings are others than those of the robustness suite (transforms.py), so that the suite asks
whether a model has learnt to look past such things, not whether it has seen these.
"""

import re
from random import Random

from asif_data.encoding import Utterance

WORDS_PER_CHANGE = 10
_FILLERS = ("er", "erm", "hmm", "like", "well", "so", "sort of", "right", "mm")
_ASIDES = ("(laughs)", "[crosstalk]", "[inaudible]", "(nods)", "[silence]", "(softly)", "*smiles*", "[tearful]")
_STOPS = ("..", " -", ",", "!", " \u2026", ";", "")
_STOP = re.compile(r"[.,;:\u2026]+(?=\s|$)")
_SPOKEN = re.compile(r"[^\w\s'\u2019-]+")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def noisy(utterance: Utterance, rng: Random) -> Utterance:
    """The utterance written in another way; its label is the same.

    What a whole transcript shows (stops, misspellings, speech recognition) is done to the client's turn as well; fillers
    and asides are put into the counselor's alone.
    """
    change = rng.choice((_stops, _misspelt, _recognised, _hesitating, _with_aside))
    alone = change in (_hesitating, _with_aside) or utterance.context is None
    return Utterance(change(utterance.text, rng), utterance.context if alone else change(utterance.context or "", rng))


def _stops(text: str, rng: Random) -> str:
    stop = rng.choice(_STOPS)
    return _STOP.sub(stop, text)


def _recognised(text: str, rng: Random) -> str:
    return _hesitating(" ".join(_SPOKEN.sub(" ", text.lower()).split()), rng)


def _hesitating(text: str, rng: Random) -> str:
    words = text.split()
    for _ in range(_changes(words)):
        words.insert(rng.randrange(len(words) + 1), rng.choice(_FILLERS) + rng.choice(("", ",")))
    return " ".join(words)


def _with_aside(text: str, rng: Random) -> str:
    words = text.split()
    words.insert(rng.choice((0, len(words), rng.randrange(len(words) + 1))), rng.choice(_ASIDES))
    return " ".join(words)


def _misspelt(text: str, rng: Random) -> str:
    words = text.split()
    long = [i for i, word in enumerate(words) if len(word) > 4]
    for i in rng.sample(long, min(len(long), _changes(words))):
        words[i] = _slip(words[i], rng.randrange(1, len(words[i])), rng)
    return " ".join(words)


def _slip(word: str, at: int, rng: Random) -> str:
    """A letter doubled, or the key beside it hit; never the first letter."""
    row = next((keys for keys in _KEYS if word[at] in keys), "")
    if not row or rng.random() < 0.5:
        return word[:at] + word[at] + word[at:]
    place = row.index(word[at])
    return word[:at] + rng.choice(row[max(0, place - 1) : place] + row[place + 1 : place + 2]) + word[at + 1 :]


def _changes(words: list[str]) -> int:
    return max(1, round(len(words) / WORDS_PER_CHANGE))
