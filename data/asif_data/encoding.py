"""The one way from (utterance, context) to what the model reads; training and serving both use it.

The pair is `[CLS] utterance [SEP] context [SEP]` in the base model's own form; without context, the
utterance alone. What does not fit is cut: first the context from its start, because its end stands next to
the reply, then the utterance from its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from asif_data.errors import AsifError

ENCODING_VERSION = 1
MAX_TOKENS = 256
# An utterance leaves the context this many tokens at least, when both are long.
_CONTEXT_SHARE = 64


class Utterance(NamedTuple):
    """A counselor's utterance and, where known, the client's utterance before it."""

    text: str
    context: str | None = None


@dataclass(frozen=True)
class Encoded:
    """One row for the model: lists of equal length, at most `max_tokens`, no padding."""

    input_ids: list[int]
    token_type_ids: list[int]
    truncated: bool

    def __len__(self) -> int:
        return len(self.input_ids)


class InputEncoder:
    """Turns utterances into token ids with a `tokenizer.json`.

    Padding and truncation that the file may carry are switched off: padding belongs to the batch,
    truncation is done here.
    """

    def __init__(self, tokenizer_file: str | Path, max_tokens: int = MAX_TOKENS) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # tokenizers raises bare Exception
            raise AsifError(f"{tokenizer_file}: expected a tokenizer.json that tokenizers can load: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._single = _Frame.of(self._tokenizer.encode("a"))
        self._pair = _Frame.of(self._tokenizer.encode("a", "b"))
        self.max_tokens = max_tokens

    def __call__(self, utterances: Sequence[Utterance]) -> list[Encoded]:
        """Encode each utterance on its own; the order is kept."""
        return [self._encode(u) for u in utterances]

    def _encode(self, utterance: Utterance) -> Encoded:
        text = self._ids(utterance.text)
        context = self._ids(utterance.context) if utterance.context and utterance.context.strip() else None
        frame = self._single if context is None else self._pair
        room = self.max_tokens - frame.size
        truncated = len(text) + len(context or ()) > room
        if truncated:
            text = text[: room - min(len(context or ()), _CONTEXT_SHARE, room // 2)]
        parts = [text] if context is None else [text, context[max(0, len(context) - (room - len(text))) :]]
        return frame.fill(parts, truncated)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids


@dataclass(frozen=True)
class _Frame:
    """The special tokens that the tokenizer puts around one or two texts, as (id, type) pairs before each and at the end."""

    specials: list[list[tuple[int, int]]]
    types: list[int]

    @classmethod
    def of(cls, sample: Encoding) -> "_Frame":
        """Read the frame off an example in which each text has at least one token."""
        specials: list[list[tuple[int, int]]] = [[]]
        types: list[int] = []
        for token, kind, sequence in zip(sample.ids, sample.type_ids, sample.sequence_ids, strict=True):
            if sequence is None:
                specials[-1].append((token, kind))
            elif sequence == len(types):
                types.append(kind)
                specials.append([])
        return cls(specials, types)

    @property
    def size(self) -> int:
        """How many special tokens there are."""
        return sum(map(len, self.specials))

    def fill(self, parts: Sequence[list[int]], truncated: bool) -> Encoded:
        """Put token ids of the texts between the special tokens."""
        ids = [token for token, _ in self.specials[0]]
        kinds = [kind for _, kind in self.specials[0]]
        for part, kind, after in zip(parts, self.types, self.specials[1:], strict=True):
            ids += part + [token for token, _ in after]
            kinds += [kind] * len(part) + [kind for _, kind in after]
        return Encoded(ids, kinds, truncated)
