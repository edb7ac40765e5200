"""Changes of wording or spelling that leave an utterance's label as it is, for the robustness suite.

A transform keeps what the counselor says and changes how it stands on the page: invariance tests of Ribeiro et al.
(2020), Beyond Accuracy: Behavioral Testing of NLP Models with CheckList. Upper case is left out: nobody transcribes a
session in capitals. What a whole transcript shows (names, case, punctuation, typos, speech recognition) is done to the
client's turn as well; fillers and brackets are put into the counselor's alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from asif_data.encoding import Utterance
from asif_data.labels import MARKS

PLACEHOLDER = "{name}"
# Borne by women and men alike, so that no pronoun of an item contradicts its name.
NAMES = (
    "Akira", "Alex", "Amal", "Amani", "Ariel", "Ayo", "Camille", "Chidi", "Dakota", "Deniz",
    "Dominique", "Evren", "Farai", "Guadalupe", "Gurpreet", "Harpreet", "Hikaru", "Ife", "Imani", "Jamie",
    "Ji-woo", "Kalani", "Kim", "Kiran", "Linh", "Makoto", "Ming", "Minh", "Noor", "Pasang",
    "Robin", "Saša", "Simran", "Tatenda", "Tendai", "Tenzin", "Trinidad", "Wei", "Xin", "Yuki",
)  # fmt: skip
WORDS_PER_CHANGE = 12
_FILLERS = ("um", "uh", "you know", "I mean")
_BRACKETS = ("[sighs]", "[pause]", "[clears throat]", "[long pause]")
# Marks that end a clause; not the dot of 3.5 or the colon of 10:30.
_MARKS = re.compile(r"[.,;:!?\u2026]+(?=[\s\"'\u2019\u201d)\]]|$)")
_CLAUSE_START = re.compile(r"^|(?<=[.,;:!?\u2026])\s+(?=\w)")
# Between two words of one clause, or after a comma: where a speaker hesitates.
_GAP = re.compile(r"(?<=[\w,])\s+(?=\w)")
_BRACKETED = re.compile(r"\[[^\]]*\]")
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
_LONG_WORD = re.compile(r"(?<![\w'\u2019-])[^\W\d_]{4,}(?![\w'\u2019-])")
_NOT_SPOKEN = re.compile(r"[^\w\s'\u2019-]+|(?<!\w)['\u2019-]+|['\u2019-]+(?!\w)")

_Choice = TypeVar("_Choice")


def one_of(marks: Sequence[str]) -> AfterValidator:
    """A validator of fields that hold one of these labels."""

    def known(mark: str) -> str:
        if mark not in marks:
            raise ValueError(f"expected one of {', '.join(marks)}, found {mark!r}")
        return mark

    return AfterValidator(known)


class Item(BaseModel):
    """A reply whose label is known. `text`, `context` and `context_paraphrase` may hold {name} for a first name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    border: str
    label: Annotated[str, one_of(MARKS)]
    text: str
    context: str | None = None
    context_paraphrase: str | None = None

    def utterance(self) -> Utterance:
        """The item as it is asked before any transform, with the name that its id fixes."""
        return self.named(self.name)

    def named(self, name: str) -> Utterance:
        """The item with this name in the place of {name}."""
        return Utterance(_fill(self.text, name), None if self.context is None else _fill(self.context, name))

    @property
    def name(self) -> str:
        """The first name that the id fixes, one of NAMES."""
        return _pick(NAMES, Random(self.id))  # noqa: S311


Transform = Callable[[Item, Random], Utterance]


def transformed(item: Item, name: str) -> Utterance | None:
    """The item's utterance under the transform of this name; None where the transform changes nothing.

    Deterministic: all chance is drawn from the item's id and the transform's name. Raises KeyError for a name that
    TRANSFORMS does not hold.
    """
    # Only random() is drawn from: the one method whose stream Python keeps from version to version.
    found = TRANSFORMS[name](item, Random(f"{name}\0{item.id}"))  # noqa: S311 (chance, not secrets)
    return found if found != item.utterance() and found.text.strip() else None


def _fill(text: str, name: str) -> str:
    return text.replace(PLACEHOLDER, name)


def _pick(options: Sequence[_Choice], rng: Random) -> _Choice:
    return options[int(rng.random() * len(options))]


def _draw(places: Sequence[_Choice], words: int, rng: Random) -> list[_Choice]:
    """About one place for twelve words, at least one where there is any, none twice."""
    order = sorted(range(len(places)), key=lambda _: rng.random())
    return [places[i] for i in order[: max(1, round(words / WORDS_PER_CHANGE))]]


def _replaced(text: str, edits: Mapping[re.Match[str], str]) -> str:
    for match, new in sorted(edits.items(), key=lambda edit: -edit[0].start()):
        text = text[: match.start()] + new + text[match.end() :]
    return text


def _outside_brackets(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    brackets = [match.span() for match in _BRACKETED.finditer(text)]
    return [m for m in pattern.finditer(text) if not any(start < m.start() < end for start, end in brackets)]


def _hesitating(text: str, fillers: Sequence[str], rng: Random, comma: str = ",") -> str:
    gaps = _draw(_outside_brackets(_GAP, text), len(_WORD.findall(text)), rng)
    edits = {}
    for gap in gaps:
        before = "" if text[gap.start() - 1] == "," else comma
        edits[gap] = f"{before} {_pick(fillers, rng)}{comma} "
    return _replaced(text, edits)


def lower_case(text: str, rng: Random) -> str:
    """All letters small. An uncased tokenizer reads it as before: then it tests nothing."""
    return text.lower()


def drop_punctuation(text: str, rng: Random) -> str:
    """Without the marks that end clauses and sentences."""
    return _MARKS.sub("", text)


def double_punctuation(text: str, rng: Random) -> str:
    """Each mark that ends a clause or sentence written twice."""
    return _MARKS.sub(lambda match: match.group() * 2, text)


def dots(text: str, rng: Random) -> str:
    """Trailing off: "..." in the place of every mark but question and exclamation marks."""
    return _MARKS.sub(lambda match: match.group() if set(match.group()) & set("?!") else "...", text)


def fillers(text: str, rng: Random) -> str:
    """A filler in about one of twelve gaps between words of one clause.

    Source: Clark & Fox Tree (2002), Using uh and um in spontaneous speaking.
    """
    return _hesitating(text, _FILLERS, rng)


def typos(text: str, rng: Random) -> str:
    """One word in about twelve with two neighbouring letters swapped or one dropped.

    Words of four letters or more, and never their first letter, so that a reader still reads them right.
    """
    words = _draw(_outside_brackets(_LONG_WORD, text), len(_WORD.findall(text)), rng)
    return _replaced(text, {word: _pick(_misspelt(word.group()), rng) for word in words})


def _misspelt(word: str) -> list[str]:
    swapped = [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(1, len(word) - 1)]
    dropped = [word[:i] + word[i + 1 :] for i in range(1, len(word))]
    return [other for other in (*swapped, *dropped) if other != word]


def speech_recognition(text: str, rng: Random) -> str:
    """As a recogniser writes it: small letters, no punctuation or brackets, an "uh" for about every twelve words."""
    spoken = _NOT_SPOKEN.sub(" ", _BRACKETED.sub(" ", text.lower()))
    return _hesitating(" ".join(spoken.split()), ("uh",), rng, comma="")


def brackets(text: str, rng: Random) -> str:
    """A transcriber's bracket before one clause: by the codebook, a bracket never decides."""
    start = _pick(_outside_brackets(_CLAUSE_START, text), rng)
    space = " " if start.group() else ""
    return _replaced(text, {start: f"{space}{_pick(_BRACKETS, rng)} "})


def _other_name(item: Item, rng: Random) -> Utterance:
    return item.named(_pick([name for name in NAMES if name != item.name], rng))


def _paraphrased_context(item: Item, rng: Random) -> Utterance:
    if item.context_paraphrase is None:
        return item.utterance()
    return item.utterance()._replace(context=_fill(item.context_paraphrase, item.name))


def _both_turns(change: Callable[[str, Random], str]) -> Transform:
    def transform(item: Item, rng: Random) -> Utterance:
        text, context = item.utterance()
        return Utterance(change(text, rng), None if context is None else change(context, rng))

    return transform


def _counselor_turn(change: Callable[[str, Random], str]) -> Transform:
    def transform(item: Item, rng: Random) -> Utterance:
        text, context = item.utterance()
        return Utterance(change(text, rng), context)

    return transform


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "names": _other_name,
        "lower case": _both_turns(lower_case),
        "punctuation dropped": _both_turns(drop_punctuation),
        "punctuation doubled": _both_turns(double_punctuation),
        "punctuation dots": _both_turns(dots),
        "fillers": _counselor_turn(fillers),
        "typos": _both_turns(typos),
        "speech recognition": _both_turns(speech_recognition),
        "brackets": _counselor_turn(brackets),
        "context paraphrase": _paraphrased_context,
    }
)
