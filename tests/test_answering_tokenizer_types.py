"""Byte-level BPE and unigram tokenizers: folders, files, ids, and what is refused."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference_reader
import reference_tokenizer
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from sqz_files import (
    BYTE_BPE,
    GOLDEN,
    UNIGRAM,
    raw_codec,
    tokenizer_file,
    write_tokenizer_file,
)

from benchmarks.example_tokenizers import (
    CHARSMAP,
    ROBERTA,
    SENTENCES,
    TOKENIZERS,
    hard_lines,
    unigram,
    write_tokenizer,
)
from squadlite.answering.charsmap import check_charsmap, compile_charsmap, parse_charsmap
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.spans import TokenSpan, make_reading
from squadlite.answering.squad import GoldAnswer, SquadExample
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import (
    BYTE_ALPHABET,
    MAX_VALUES,
    TokenizerSpec,
)
from squadlite.answering.vocabulary import choose_pieces, count_pieces
from squadlite.answering.windows import pad_batch, split_into_windows
from squadlite.container import Codec, Linear, Raw, Uniform, open_sqz, write_sqz
from squadlite.errors import CheckpointError, FormatError, HeaderError, TensorError, TokenizerError
from tools.data import make_features

N_LINES = 10_000
TEXTS = st.text() | st.lists(
    st.sampled_from(
        [*"aeThlo \t\n▁'sé\u0301日か\u3099👍🏽\u200d\x00½ﷺ", "the", "  ", "<s>", "[SEP]"]
    )
).map("".join)
GOLDENS = {"byte_bpe": BYTE_BPE, "unigram": UNIGRAM}


def kind_of(name: str) -> str:
    return name.removesuffix("_space")


@pytest.fixture(scope="module", params=TOKENIZERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[Tokenizer, Any]:
    """Ours and the library's own tokenizer of one folder."""
    folder = tmp_path_factory.mktemp("folder")
    write_tokenizer(folder, TOKENIZERS[request.param](), kind_of(request.param))
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    if request.param in ("albert", "xlm", "other"):
        # The library reads some numbers of a JSON file to a neighbour of the one that stands there,
        # which decides between cuts that are equally likely.
        model = json.loads((folder / "tokenizer.json").read_bytes())["model"]
        vocab = [(piece, score) for piece, score in model["vocab"]]
        theirs.model = tokenizers.models.Unigram(vocab, model["unk_id"])
    return Tokenizer(TokenizerSpec.from_folder(folder)), theirs


def spec_of(name: str, folder: Path) -> Any:
    write_tokenizer(folder, TOKENIZERS[name](), kind_of(name))
    return TokenizerSpec.from_folder(folder)


def stored(spec: TokenizerSpec, header: dict[str, Any] | None = None, **tensors: Any) -> Any:
    """What from_sqz looks at of an open file of version 2.0."""
    contents = spec.to_tensors() | {f"tokenizer.{name}": array for name, array in tensors.items()}
    contents = {name: array for name, array in contents.items() if array is not None}
    return tokenizer_file(spec.to_header() | (header or {}), contents)


def as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


# Ids


def test_ids_equal_the_folders_own_tokenizers_on_hard_lines(pair: tuple[Tokenizer, Any]) -> None:
    ours, theirs = pair
    lines = hard_lines(N_LINES, seed=11)
    expected = theirs.encode_batch(lines, add_special_tokens=False)
    found = ours.encode_batch(lines)
    ids = ours.encode_ids(lines)
    for line, tokens, alone, theirs_of_it in zip(lines, found, ids, expected, strict=True):
        assert tokens.ids.tolist() == alone.tolist() == theirs_of_it.ids, line


def test_ids_equal_the_spec_on_hard_lines(pair: tuple[Tokenizer, Any]) -> None:
    ours, _ = pair
    lines = hard_lines(1500, seed=12)
    tensors = {name: array.ravel().tolist() for name, array in ours.spec.to_tensors().items()}
    header = ours.spec.to_header()
    for line, ids in zip(lines, ours.encode_ids(lines), strict=True):
        assert ids.tolist() == reference_tokenizer.encode(header, tensors, line), line


@settings(deadline=None)
@given(text=TEXTS)
def test_offsets_walk_forward_to_what_is_seen(pair: tuple[Tokenizer, Any], text: str) -> None:
    tokens = pair[0].encode(text)
    starts, ends = tokens.offsets[:, 0], tokens.offsets[:, 1]
    assert ((starts >= 0) & (starts <= ends) & (ends <= len(text))).all()
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()
    for start, end in tokens.offsets:
        assert text[start:end] == text[start:end].strip()


@settings(deadline=None)
@given(text=TEXTS)
def test_no_text_holds_a_special_token(pair: tuple[Tokenizer, Any], text: str) -> None:
    ours, _ = pair
    names = " ".join(ours.spec.special_tokens)
    special = {ours.spec.vocab.index(name) for name in ours.spec.special_tokens} - {ours.unk_id}
    assert not special & set(ours.encode(text + names + text).ids.tolist())


def test_a_token_goes_on_with_a_word_where_its_characters_do(pair: tuple[Tokenizer, Any]) -> None:
    text = "The lighthouse keeper's lever, naïvely said"
    tokens = pair[0].encode(text)
    begins = [
        start
        for (start, end), continues in zip(tokens.offsets, tokens.continues, strict=True)
        if not continues and start < end and text[start].isalpha()
    ]
    words = ("The", "lighthouse", "keeper", "lever", "naïvely", "said")
    places = [text.index(word) for word in words]
    # Of "'s" the letter may be a token of its own.
    assert set(places) <= set(begins) <= {*places, text.index("'s") + 1}


def test_ideographs_are_no_words_that_go_on(pair: tuple[Tokenizer, Any]) -> None:
    tokens = pair[0].encode("日語")
    assert not tokens.continues[tokens.offsets[:, 0].tolist().index(1)]


@pytest.mark.parametrize("sentence", SENTENCES[:6])
def test_an_answers_tokens_are_found_and_read_again(
    pair: tuple[Tokenizer, Any], sentence: str
) -> None:
    ours, _ = pair
    places = [(match.start(), match.group()) for match in re.finditer(r"[^\W_]+", sentence)]
    examples = [
        SquadExample(f"{start}", "who?", sentence, (GoldAnswer(text, start),), "")
        for start, text in places
    ]
    tokens = ours.encode(sentence)
    for feature in make_features(examples, ours, ReaderSettings()):
        start, text = places[feature.window.pair]
        first = feature.start - feature.window.context_start
        last = feature.end - feature.window.context_start
        (span,) = make_reading(sentence, tokens, [TokenSpan(first, last, 1.0)], 0.0, 1).spans
        assert span.start <= start < start + len(text) <= span.end
        # Some pieces hold several words.
        assert " " not in span.text or not getattr(ours.spec, "split_metaspace", True)


def test_the_exported_tokenizer_gives_our_ids(pair: tuple[Tokenizer, Any]) -> None:
    ours, _ = pair
    theirs = tokenizers.Tokenizer.from_str(ours.to_json())
    for line in hard_lines(300, seed=13):
        assert (
            theirs.encode(line, add_special_tokens=False).ids == ours.encode_ids([line])[0].tolist()
        )
    laid_out = theirs.encode("the lever?", "the machine")
    template = ours.template
    question, context = (ids.tolist() for ids in ours.encode_ids(["the lever?", "the machine"]))
    assert laid_out.ids == [
        *template.before,
        *question,
        *template.between,
        *context,
        *template.after,
    ]


# Files


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_holds_the_tokenizer(name: str, compressed: bool, tmp_path: Path) -> None:
    spec = spec_of(name, tmp_path)
    write_tokenizer_file(tmp_path / "t.sqz", spec, compressed=compressed)
    with open_sqz(tmp_path / "t.sqz") as file:
        assert file.version == (2, 0)
        assert TokenizerSpec.from_sqz(file) == spec
    header, tensors = reference_reader.read_file((tmp_path / "t.sqz").read_bytes())
    text = "Don't you see?  The naïve lever."
    ids = reference_tokenizer.encode(header["tokenizer"], tensors, text)
    assert ids == Tokenizer(spec).encode(text).ids.tolist()


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_files_load_with_the_ids_stated(name: str) -> None:
    with open_sqz(GOLDEN / f"{name}.sqz") as file:
        file.verify()
        spec = TokenizerSpec.from_sqz(file)
        expected = file.metadata["ids"]
    assert spec == GOLDENS[name]
    header, tensors = reference_reader.read_file((GOLDEN / f"{name}.sqz").read_bytes())
    for text, ids in expected.items():
        assert Tokenizer(spec).encode(text).ids.tolist() == ids
        assert reference_tokenizer.encode(header["tokenizer"], tensors, text) == ids


def test_the_specs_example_of_byte_bpe() -> None:
    tokenizer = Tokenizer(BYTE_BPE)
    pieces = [BYTE_BPE.vocab[i] for i in tokenizer.encode("the then").ids]
    assert pieces == ["the", "Ġth", "e", "n"]


def test_an_old_file_has_no_such_tokenizer() -> None:
    file = stored(BYTE_BPE)
    file.version = (1, 0)
    with pytest.raises(HeaderError, match=r"'byte_bpe' joined the format in 2\.0"):
        TokenizerSpec.from_sqz(file)


@pytest.mark.parametrize("score", [-1.5, -0.1])
def test_scores_are_binary64_only_where_they_have_to_be(score: float) -> None:
    spec = replace(UNIGRAM, scores=(score,) * len(UNIGRAM.vocab))
    dtype = spec.to_tensors()["tokenizer.scores"].dtype
    assert dtype == (np.float32 if score == -1.5 else np.uint64)
    assert TokenizerSpec.from_sqz(stored(spec)) == spec


# What is refused

MERGES = BYTE_BPE.to_tensors()["tokenizer.merges"]
SCORES = UNIGRAM.to_tensors()["tokenizer.scores"]
TOO_MANY = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (2**26,), (0,))


def with_score(score: float) -> np.ndarray:
    scores = SCORES.astype(np.float64)
    scores[7] = score
    return scores.view(np.uint64)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        (None, "is missing"),
        (MERGES.astype(np.float32), "expected u16 or u32"),
        (MERGES.ravel(), "rows and columns"),
        (MERGES.reshape(1, -1), "expected pairs"),
        (MERGES + np.uint16(60_000), "merge 0: .*the vocabulary has"),
        (MERGES[::-1] * 0, "twice"),
        (np.array([[5, 6]], np.uint16), "make no piece"),
        (np.array([[0, 6]], np.uint16), "make no piece"),
        (np.lib.stride_tricks.as_strided(MERGES, (2**21, 2), (0, 0)), "expected at most"),
    ],
)
def test_hostile_merges_are_refused(merges: Any, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        TokenizerSpec.from_sqz(stored(BYTE_BPE, merges=merges))


def test_merges_that_make_a_special_token_are_refused() -> None:
    # "<s" and ">" would become the separator's piece out of a book's text.
    vocab = (*BYTE_BPE.vocab, "<s")
    merge = vocab.index("<s"), vocab.index(">")
    with pytest.raises(TokenizerError, match="special token"):
        replace(BYTE_BPE, vocab=vocab, merges=(merge,))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (None, "is missing"),
        (SCORES[:-1], "scores, the vocabulary has"),
        (SCORES.astype(np.float16), "expected f32 or u64"),
        (SCORES.reshape(1, -1), "one row"),
        (with_score(float("nan")), "has the score nan"),
        (with_score(float("inf")), "has the score inf"),
        (with_score(-1e300), "has the score"),
        (np.lib.stride_tricks.as_strided(SCORES, (2**21,), (0,)), "expected at most"),
    ],
)
def test_hostile_scores_are_refused(scores: Any, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        TokenizerSpec.from_sqz(stored(UNIGRAM, scores=scores))


@pytest.mark.parametrize("codec", [Raw("f16"), Raw("bf16"), Linear(8), Uniform(0.5)])
def test_scores_are_stored_as_they_are(codec: Codec, tmp_path: Path) -> None:
    write_sqz(
        tmp_path / "t.sqz",
        model={},
        tokenizer=UNIGRAM.to_header(),
        metadata={},
        tensors=[
            (name, values, codec if name == "tokenizer.scores" else raw_codec(values))
            for name, values in UNIGRAM.to_tensors().items()
        ],
        needed=UNIGRAM.version,
    )
    with open_sqz(tmp_path / "t.sqz") as file, pytest.raises(TensorError, match="f32 or u64"):
        TokenizerSpec.from_sqz(file)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("\0x", "source '' becomes"),
        ("", "expected a target for each source"),
        ("a", "expected a target for each source"),
        ("b\0a\0x\0y", "expected ascending"),
        ("a\0ab\0x\0y", "begins with another"),
        ("a\0a\0x\0y", "expected ascending"),
        ("a" * 65 + "\0x", "64 bytes at most"),
        ("a\0" + "x" * 65, "64 bytes at most"),
        ("\0".join([*(f"{n:05d}" for n in range(70_000)), *["x"] * 70_000]), "sources, expected 1"),
        ("\0".join([*(f"{n:04x}." for n in range(9000)), *["x"] * 9000]), "at most 7900"),
    ],
)
def test_hostile_charsmaps_are_refused(texts: str, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        TokenizerSpec.from_sqz(stored(UNIGRAM, charsmap=as_bytes(texts)))


def test_a_charsmap_and_its_step_come_together() -> None:
    with pytest.raises(TensorError, match="expected both"):
        TokenizerSpec.from_sqz(stored(UNIGRAM, charsmap=None))
    with pytest.raises(TensorError, match="expected both"):
        TokenizerSpec.from_sqz(stored(UNIGRAM, {"normalizer": []}))


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("tensor", MAX_VALUES)
def test_huge_tensors_are_refused_before_they_are_read(name: str, tensor: str) -> None:
    file = stored(GOLDENS[name])
    file.tensors = file.tensors | {tensor: SimpleNamespace(shape=(2**27,))}
    with pytest.raises(TensorError, match=f"'{tensor}': {2**27} values, expected at most"):
        TokenizerSpec.from_sqz(file)


@pytest.mark.parametrize("spec", GOLDENS.values(), ids=GOLDENS)
def test_huge_pieces_are_refused(spec: Any) -> None:
    with pytest.raises(TokenizerError, match="has 1025 bytes, expected at most 1024"):
        replace(spec, vocab=(*spec.vocab[:-1], "x" * 1025))


def test_a_byte_without_a_piece_is_refused() -> None:
    vocab = tuple(piece if piece != "Ā" else "none" for piece in BYTE_BPE.vocab)
    with pytest.raises(TokenizerError, match=r"byte 0x00 has no piece, expected 'Ā'"):
        replace(BYTE_BPE, vocab=vocab)


def test_a_special_token_is_no_byte() -> None:
    with pytest.raises(TokenizerError, match="special token '!' is a byte's piece"):
        replace(BYTE_BPE, pad_token="!")


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        (BYTE_BPE, {"add_prefix_space": 1}),
        (BYTE_BPE, {"lowercase": True}),
        (BYTE_BPE, {"type": "bpe"}),
        (BYTE_BPE, {"type": ["byte_bpe"]}),
        (UNIGRAM, {"split_whitespace": None}),
        (UNIGRAM, {"normalizer": None}),
        (UNIGRAM, {"normalizer": ["nfkc"]}),
        (UNIGRAM, {"normalizer": [[]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["rot13"]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["nfkc", "nfkd"]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], [["nfkc"]]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["replace", "a", 1]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["replace", "a", "aa"]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["replace", "", ""]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["collapse_spaces", ""]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], ["charsmap"]]}),
        (UNIGRAM, {"normalizer": [["charsmap"], *(["replace", f"{n:02}", ""] for n in range(40))]}),
    ],
)
def test_hostile_headers_are_refused(spec: TokenizerSpec, change: dict[str, Any]) -> None:
    with pytest.raises(HeaderError, match="tokenizer"):
        TokenizerSpec.from_sqz(stored(spec, change))


@pytest.mark.parametrize("spec", GOLDENS.values(), ids=GOLDENS)
@given(data=st.data())
def test_anything_stored_is_a_tokenizer_or_a_format_error(spec: Any, data: st.DataObject) -> None:
    tensors = spec.to_tensors()
    name = data.draw(st.sampled_from(sorted(tensors)))
    octets = bytearray(tensors[name].tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    values = np.frombuffer(bytes(octets), tensors[name].dtype).reshape(tensors[name].shape)
    try:
        read = TokenizerSpec.from_sqz(stored(spec, **{name.removeprefix("tokenizer."): values}))
    except FormatError:
        return
    Tokenizer(read).encode("The then ½ \x00 日本 <s>")


# Folders


def changed(name: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(TOKENIZERS[name]())
    change(whole)
    return whole


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("byte_bpe", lambda w: w.update(normalizer={"type": "NFC"}), "normalizer is 'NFC'"),
        ("byte_bpe", lambda w: w["pre_tokenizer"].update(use_regex=False), "use_regex is False"),
        ("byte_bpe", lambda w: w.update(pre_tokenizer={"type": "Split"}), "pre_tokenizer is 'Spl"),
        ("byte_bpe", lambda w: w["model"].update(ignore_merges=True), "ignore_merges is True"),
        ("byte_bpe", lambda w: w["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
        ("byte_bpe", lambda w: w["model"].update(merges=[["Ġ", "zzz"]]), "merge 0 is"),
        ("byte_bpe", lambda w: w["model"].update(merges=["a b c"]), "merge 0 is"),
        ("byte_bpe", lambda w: w["model"].update(merges=7), "merges is 7"),
        ("byte_bpe", lambda w: w["model"].update(type="WordLevel"), "model is 'WordLevel'"),
        ("byte_bpe", lambda w: w.update(added_tokens=[{"content": "x"}]), "added token"),
        ("byte_bpe", lambda w: w["added_tokens"][0].update(id=9), "id of '<s>' is 9"),
        ("albert", lambda w: w.update(normalizer={"type": "Prepend"}), "normalizer is 'Prepend'"),
        ("albert", lambda w: w.update(normalizer=[1]), "normalizer is"),
        (
            "albert",
            lambda w: w.update(
                normalizer={"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"}
            ),
            "pattern is {'Regex': 'a+'}",
        ),
        (
            "albert",
            lambda w: w.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            "precompiled_charsmap: found",
        ),
        ("albert", lambda w: w.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer is"),
        ("albert", lambda w: w.update(pre_tokenizer=None), "pre_tokenizer is"),
        (
            "albert",
            lambda w: w.update(pre_tokenizer={"type": "Metaspace", "replacement": "_"}),
            "replacement is '_'",
        ),
        (
            "other",
            lambda w: w["pre_tokenizer"].update(prepend_scheme="first"),
            "prepend_scheme is 'first'",
        ),
        ("albert", lambda w: w["model"].update(byte_fallback=True), "byte_fallback is True"),
        ("albert", lambda w: w["model"].update(unk_id=None), "unk_id is None"),
        ("albert", lambda w: w["model"].update(unk_id=3), "unk_id is 3"),
        ("albert", lambda w: w["model"].update(vocab=[["a", "b"]]), "entry of model's vocab"),
        ("albert", lambda w: w["model"].update(vocab=[["a", 0.5]] * 2), "each piece once"),
        ("albert", lambda w: w.update(post_processor=None), "post_processor is None"),
        ("albert", lambda w: w["model"]["vocab"][9].__setitem__(1, 10**400), "entry of model's"),
        ("albert", lambda w: w.update(normalizer="Strip"), "normalizer is 'Strip', expected an"),
        ("albert", lambda w: w.update(normalizer={"type": "Sequence"}), "normalizers is None"),
        ("albert", lambda w: w.update(pre_tokenizer="Metaspace"), "pre_tokenizer is 'Metaspace'"),
        ("albert", lambda w: w.update(pre_tokenizer={"type": []}), "pre_tokenizer's type is []"),
        ("byte_bpe", lambda w: w.update(post_processor="BertProcessing"), "post_processor is 'B"),
        ("byte_bpe", lambda w: w.update(added_tokens={"x": 1}), "added_tokens is {'x': 1}"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    name: str, change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path, changed(name, change), kind_of(name))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: ") as error:
        TokenizerSpec.from_folder(tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1e300])
def test_a_folders_scores_are_numbers(score: float, tmp_path: Path) -> None:
    whole = changed("albert", lambda w: w["model"]["vocab"][9].__setitem__(1, score))
    write_tokenizer(tmp_path, whole, "albert")
    with pytest.raises(TokenizerError, match="has the score"):
        TokenizerSpec.from_folder(tmp_path)


def test_vocab_json_and_merges_txt_are_the_same_tokenizer(tmp_path: Path) -> None:
    spec = spec_of("byte_bpe", tmp_path)
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in whole["model"]["merges"]), ""]
    (tmp_path / "merges.txt").write_text("\n".join(lines))
    whole["model"]["merges"] = lines[1:-1]
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    assert TokenizerSpec.from_folder(tmp_path) == spec
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    assert TokenizerSpec.from_folder(tmp_path) == spec


@pytest.mark.parametrize("name", ["byte_bpe", "albert", "xlm"])
def test_what_transformers_saves_is_read_as_it_tokenizes(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="comes with squadlite[bench]")
    model = json.loads(TOKENIZERS[name]())["model"]
    if name == "byte_bpe":
        merges = [tuple(merge) for merge in model["merges"]]
        theirs = transformers.RobertaTokenizer(vocab=model["vocab"], merges=merges)
    else:
        kind = {"albert": "AlbertTokenizer", "xlm": "XLMRobertaTokenizer"}[name]
        vocab = [(piece, score) for piece, score in model["vocab"]]
        charsmap = compile_charsmap(CHARSMAP)
        theirs = getattr(transformers, kind)(vocab=vocab, _spm_precompiled_charsmap=charsmap)
    theirs.save_pretrained(tmp_path)
    spec = TokenizerSpec.from_folder(tmp_path)
    assert spec.template == ("bert" if name == "albert" else "roberta")
    ours = Tokenizer(spec)
    lines = [line for line in hard_lines(300, seed=15) if line]
    found = ours.encode_ids(lines)
    expected = theirs(lines, add_special_tokens=False)["input_ids"]
    assert [ids.tolist() for ids in found] == expected
    (window,) = split_into_windows(
        0, *found[:2], ours.template, max_seq_length=500, max_question_length=99, doc_stride=99
    )
    assert pad_batch([window]).input_ids[0].tolist() == theirs(*lines[:2])["input_ids"]


def test_a_sentencepiece_model_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"\n\x07")
    with pytest.raises(CheckpointError, match=r"found spiece\.model alone, .*save_pretrained"):
        TokenizerSpec.from_folder(tmp_path)


def test_special_tokens_may_stand_beside_the_models_vocabulary(tmp_path: Path) -> None:
    spec = spec_of("xlm", tmp_path)
    whole = json.loads(unigram("xlm"))
    n_pieces = len(whole["model"]["vocab"])
    del whole["model"]["vocab"][4]  # "<mask>", where XLM-RoBERTa's own has nothing more behind it
    whole["added_tokens"] = [
        token | ({"id": n_pieces - 1} if token["content"] == "<mask>" else {})
        for token in whole["added_tokens"]
    ]
    found: Any = TokenizerSpec.from_folder(write_tokenizer(tmp_path, whole, "xlm"))
    assert found.vocab == (*spec.vocab[:4], *spec.vocab[5:], "<mask>")
    assert found.scores == (*spec.scores[:4], *spec.scores[5:], 0.0)


# Pruning


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_pruned_tokenizer_spells_what_the_whole_one_does(name: str, tmp_path: Path) -> None:
    spec = spec_of(name, tmp_path)
    lines = hard_lines(200, seed=14)
    size = (int(spec.must_keep().sum()) + len(spec.vocab)) // 2
    kept = choose_pieces(spec, count_pieces(spec, lines), size)
    assert size - 1 <= len(kept) <= size
    pruned = spec.keep(kept)
    assert pruned.vocab == tuple(spec.vocab[i] for i in kept)
    whole, small = Tokenizer(spec), Tokenizer(pruned)
    for line in lines:
        texts = [
            "".join(t.spec.vocab[i] for i in t.encode(line).ids if i != t.unk_id)
            for t in (whole, small)
        ]
        assert texts[0] == texts[1]


def test_pieces_of_merges_are_kept_with_what_they_are_made_of(tmp_path: Path) -> None:
    spec = spec_of("byte_bpe", tmp_path)
    counts = np.zeros(len(spec.vocab), dtype=np.int64)
    longest = max(range(len(spec.vocab)), key=lambda i: len(spec.vocab[i]))
    counts[longest] = 1
    n_bytes = len(BYTE_ALPHABET) + len(ROBERTA)
    pruned = spec.keep(choose_pieces(spec, counts, n_bytes + len(spec.vocab[longest])))
    text = bytes(BYTE_ALPHABET.index(c) for c in spec.vocab[longest]).decode()
    assert [pruned.vocab[i] for i in Tokenizer(pruned).encode(text).ids] == [spec.vocab[longest]]


def test_pruning_away_a_byte_is_refused() -> None:
    ids = [i for i, piece in enumerate(BYTE_BPE.vocab) if piece != "a"]
    with pytest.raises(TokenizerError, match="byte 0x61 has no piece"):
        BYTE_BPE.keep(ids)


# Words and tables of characters


def test_pieces_tell_what_words_they_spell() -> None:
    words = dict(zip(BYTE_BPE.vocab, BYTE_BPE.words(), strict=True))
    assert (words["Ġth"], words["the"], words["<s>"]) == ("th", "", "")
    words = dict(zip(UNIGRAM.vocab, UNIGRAM.words(), strict=True))
    assert (words["▁the"], words["the"]) == ("the", "")


SOURCES = st.text(st.sampled_from("aбか👍\u0301é"), min_size=1, max_size=3)


@given(st.dictionaries(SOURCES, st.text(max_size=3).filter(lambda t: "\0" not in t), min_size=1))
def test_a_compiled_charsmap_is_the_table(entries: dict[str, str]) -> None:
    try:
        table = tuple(sorted(entries.items(), key=lambda pair: pair[0].encode()))
        check_charsmap(table)
    except (ValueError, UnicodeEncodeError):
        return
    compiled = compile_charsmap(table)
    assert parse_charsmap(compiled) == table
    normalizer = tokenizers.normalizers.Precompiled(compiled)
    for source, target in table:
        if len(source) == 1:
            assert normalizer.normalize_str(source) == target


@given(st.data())
def test_a_damaged_charsmap_is_a_table_or_refused(data: st.DataObject) -> None:
    octets = bytearray(compile_charsmap(CHARSMAP))
    places = np.flatnonzero(np.frombuffer(octets, np.uint8)).tolist()
    for _ in range(data.draw(st.integers(1, 5))):
        octets[data.draw(st.sampled_from(places))] = data.draw(st.integers(0, 255))
    try:
        table = parse_charsmap(bytes(octets[: data.draw(st.integers(0, len(octets)))]))
    except ValueError:
        return
    check_charsmap(table)
