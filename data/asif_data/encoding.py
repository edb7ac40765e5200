"""
The one way from (utterance, context) to what the model reads; training and serving both use it.

The pair is `[CLS] utterance [SEP] context [SEP]` in the base model's own form; without context, the
utterance alone. What does not fit is cut: first the context from its start, because its end stands next to
the reply, then the utterance from its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

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
    """
    Turns utterances into token ids with a `tokenizer.json`.

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
        self.max_tokens = max_tokens

    def __call__(self, utterances: Sequence[Utterance]) -> list[Encoded]:
        """Encode each utterance on its own; the order is kept."""
        return [self._encode(u) for u in utterances]

    def _encode(self, utterance: Utterance) -> Encoded:
        pair = utterance.context if utterance.context and utterance.context.strip() else None
        text = self._tokenizer.encode(utterance.text, add_special_tokens=False)
        context = self._tokenizer.encode(pair, add_special_tokens=False) if pair else None
        room = self.max_tokens - self._tokenizer.num_special_tokens_to_add(context is not None)
        truncated = len(text) + (len(context) if context else 0) > room
        if truncated:
            kept = min(len(context), _CONTEXT_SHARE, room // 2) if context else 0
            text.truncate(room - kept)
            if context:
                context.truncate(room - len(text), direction="left")
        whole = self._tokenizer.post_process(text, context, add_special_tokens=True)
        return Encoded(whole.ids, whole.type_ids, truncated)
