import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from tiny_tokenizers import tiny_spec

from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import pad_batch, split_into_windows

TINY = Tokenizer(tiny_spec())
VARIED = [
    "",
    " \t\r\n\u00a0\u3000 ",
    "The old miller (who was seldom seen without his dog)",
    "Überraschung: naïve cafés, crème brûlée; İstanbul ẞ ŉ ǰ",
    "cafe\u0301 e\u0301\u0327 \u0301",
    "日本語のテキスト、한국어 汉字 𠀀𠀁 mixed漢字text",
    "👍🏽 👨‍👩‍👧 ❤️ :-) ☃",
    "zero\u200bwidth\u2060joiner\ufeffbom soft\u00adhyphen \u202eright-to-left",
    "control\x00\x07\x1b[0m \x85 \ufffd \u2028 \u2029",
    "x" * 100 + " " + "y" * 101 + " " + "ab" * 5000,
    "don't—“well”…'tis 3.14% $5,000 #hash @at a_b a/b a\\b http://x.y/z?q=1&r=2",
    "Ω ά ГДЕ мой עברית العربية हिन्दी ไทย",
    "ﬁ ﬂ ½ ² ™ № Ａｂｃ",
]
# Half of it drawn from what a normalizer treats in its own way.
SPECIAL_CASES = "aÀ éÉ\u0301\u0327日本한'’-.\t\n\r\x00\x1f\x7f\u00ad\u200b\u2028\ufeff\ufffd👍🏽İẞ"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(SPECIAL_CASES))


@pytest.fixture(scope="module")
def pair(shared: Path) -> tuple[Tokenizer, Any]:
    """Ours and transformers' tokenizer for the real checkpoint."""
    return both(shared, {})


def both(shared: Path, changes: dict[str, Any]) -> tuple[Tokenizer, Any]:
    import transformers

    folder = shared / "checkpoints" / "minilm-l6-squad2"
    names = {
        "lowercase": "do_lower_case",
        "strip_accents": "strip_accents",
        "handle_chinese_chars": "tokenize_chinese_chars",
    }
    spec = TokenizerSpec.from_folder(folder)
    theirs = transformers.BertTokenizerFast(
        vocab={piece: i for i, piece in enumerate(spec.vocab)},
        split_special_tokens=True,
        **{names[name]: value for name, value in changes.items()},
    )
    return Tokenizer(replace(spec, **changes)), theirs


def assert_same(pair: tuple[Tokenizer, Any], text: str) -> None:
    ours, theirs = pair
    expected = theirs(text, add_special_tokens=False, return_offsets_mapping=True)
    found = ours.encode(text)
    assert found.ids.tolist() == expected["input_ids"]
    assert found.offsets.tolist() == [list(offset) for offset in expected["offset_mapping"]]
    assert ours.encode_ids([text])[0].tolist() == expected["input_ids"]


@pytest.mark.parametrize("text", VARIED)
def test_ids_and_offsets_equal_those_of_transformers(
    pair: tuple[Tokenizer, Any], text: str
) -> None:
    assert_same(pair, text)


@given(text=TEXTS)
def test_ids_and_offsets_equal_those_of_transformers_on_any_text(
    pair: tuple[Tokenizer, Any], text: str
) -> None:
    assert_same(pair, text)


@pytest.mark.parametrize(
    "changes",
    [
        {"lowercase": False},
        {"lowercase": False, "strip_accents": True},
        {"strip_accents": False},
        {"handle_chinese_chars": False},
    ],
)
def test_every_setting_means_what_it_means_in_transformers(
    shared: Path, changes: dict[str, Any]
) -> None:
    tokenizers = both(shared, changes)
    for text in VARIED:
        assert_same(tokenizers, text)


def test_the_real_checkpoints_own_tokenizer_gives_the_same_ids(shared: Path) -> None:
    import transformers

    folder = shared / "checkpoints" / "minilm-l6-squad2"
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer(TokenizerSpec.from_folder(folder))
    for text in VARIED:
        assert ours.encode(text).ids.tolist() == theirs(text, add_special_tokens=False)["input_ids"]


def test_mpnets_own_tokenizer_gives_the_same_ids_and_windows(shared: Path) -> None:
    import transformers

    folder = shared / "checkpoints" / "mpnet-squad2-teacher"
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer(TokenizerSpec.from_folder(folder))
    found = ours.encode_ids(VARIED)
    for text, ids in zip(VARIED, found, strict=True):
        assert ids.tolist() == theirs(text, add_special_tokens=False)["input_ids"]
    (window,) = split_into_windows(
        0, *found[2:4], ours.template, max_seq_length=99, max_question_length=64, doc_stride=64
    )
    assert pad_batch([window]).input_ids[0].tolist() == theirs(*VARIED[2:4])["input_ids"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lowercase": False, "max_chars_per_word": 5},
        {"lowercase": False, "strip_accents": True, "clean_text": False},
        {"strip_accents": False, "handle_chinese_chars": False},
    ],
)
def test_ids_equal_the_spec(changes: dict[str, Any]) -> None:
    spec = replace(TINY.spec, **changes)
    tensors = {name: array.tolist() for name, array in spec.to_tensors().items()}
    for text in [*VARIED, " ".join(VARIED), SPECIAL_CASES, f"{SPECIAL_CASES[::-1]} [SEP]"]:
        ids = reference_tokenizer.encode(spec.to_header(), tensors, text)
        assert Tokenizer(spec).encode(text).ids.tolist() == ids, text


@given(st.text(), st.text())
def test_offsets_walk_forward_through_the_original_text(left: str, right: str) -> None:
    text = left + right  # lone surrogates too
    tokens = TINY.encode(text)
    assert tokens.ids.shape == (len(tokens),)
    assert tokens.offsets.shape == (len(tokens), 2)
    starts, ends = tokens.offsets[:, 0], tokens.offsets[:, 1]
    assert (starts >= 0).all()
    assert (starts < ends).all()
    assert (ends <= len(text)).all()
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()


@given(TEXTS)
def test_a_token_begins_and_ends_at_something_visible(text: str) -> None:
    for start, end in TINY.encode(text).offsets:
        assert text[start:end] == text[start:end].strip()
        assert unicodedata.category(text[start]) not in ("Cc", "Zs")


def test_a_lone_surrogate_is_passed_over() -> None:
    assert TINY.encode("a \ud800 b").offsets.tolist() == [[0, 1], [4, 5]]


@pytest.mark.parametrize("encode", [TINY.encode_batch, TINY.encode_ids])
def test_a_batch_gives_what_single_texts_give(encode: Callable[[list[str]], Any]) -> None:
    assert len(encode([])) == 0
    for text, found in zip(VARIED, encode(VARIED), strict=True):
        ids = getattr(found, "ids", found)
        assert ids.dtype == np.int64
        assert ids.tolist() == TINY.encode(text).ids.tolist()


@pytest.mark.parametrize("name", TINY.spec.special_tokens)
def test_a_special_tokens_name_in_a_text_is_plain_text(name: str) -> None:
    special = {TINY.cls_id, TINY.sep_id, TINY.pad_id, TINY.spec.vocab.index("[MASK]")}
    assert not special & set(TINY.encode(f"a {name} b{name}").ids.tolist())


@pytest.mark.parametrize("prefix", ["##", "x"])
def test_special_tokens_that_are_words_are_plain_text_too(prefix: str) -> None:
    names = ("none", "start", f"{prefix}end", ".", "x")
    letters = "adenorst"
    spec = replace(
        TINY.spec,
        vocab=(*names, *letters, *(prefix + letter for letter in letters)),
        continuing_prefix=prefix,
        unk_token=names[0],
        cls_token=names[1],
        sep_token=names[2],
        pad_token=names[3],
        mask_token=names[4],
    )
    tokenizer = Tokenizer(spec)
    pieces = [spec.vocab[i].removeprefix(prefix) for i in tokenizer.encode("start aend none").ids]
    assert pieces == [*"start", *"aend", *"none"]
    assert tokenizer.encode(". x").ids.tolist() == [tokenizer.unk_id] * 2


def test_a_word_beyond_the_longest_is_unknown() -> None:
    tokenizer = Tokenizer(replace(TINY.spec, max_chars_per_word=3))
    assert tokenizer.encode("abc abcd").ids.tolist()[-1] == tokenizer.unk_id
    assert tokenizer.unk_id not in tokenizer.encode("abc").ids
