import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqz_files import tokenizer_file
from tiny_tokenizers import SPECIAL, tiny_spec

from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Raw, copy_sqz, open_sqz, write_sqz
from squadlite.errors import CheckpointError, FormatError, HeaderError, TensorError, TokenizerError

SPEC = tiny_spec()


def stored(header: Any = None, version: tuple[int, int] = (2, 0), **tensors: np.ndarray) -> Any:
    """What from_sqz looks at of an open file."""
    header = SPEC.to_header() if header is None else header
    contents = SPEC.to_tensors() | {f"tokenizer.{name}": array for name, array in tensors.items()}
    return tokenizer_file(header, contents, version)


def as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def write_folder(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        path = folder / name.replace("_txt", ".txt").replace("_json", ".json")
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def whole_tokenizer(**changes: Any) -> dict[str, Any]:
    """A tokenizer.json as the tokenizers library writes it, with truncation and padding."""
    return {
        "truncation": {"max_length": 4},
        "padding": {"strategy": {"Fixed": 128}},
        "normalizer": {
            "type": "BertNormalizer",
            "lowercase": True,
            "strip_accents": None,
            "handle_chinese_chars": True,
            "clean_text": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: i for i, piece in enumerate(SPEC.vocab)},
        },
    } | changes


@pytest.mark.parametrize("kept", [None, (0, 1, 2, 3, 4, 9, 70_000)])
def test_survives_a_sqz_file(tmp_path: Path, kept: tuple[int, ...] | None) -> None:
    spec = SPEC if kept is None else replace(SPEC, vocab=(*SPECIAL, "x", "日"), kept_ids=kept)
    tensors = [
        (name, array, Raw("u8" if array.dtype == np.uint8 else "u32"))
        for name, array in spec.to_tensors().items()
    ]
    write_sqz(
        tmp_path / "t.sqz", model={}, tokenizer=spec.to_header(), metadata={}, tensors=tensors
    )
    with open_sqz(tmp_path / "t.sqz") as file:
        assert TokenizerSpec.from_sqz(file) == spec


@given(st.integers(0, 70_000))
def test_old_ids_take_two_bytes_where_they_fit(last: int) -> None:
    spec = replace(SPEC, vocab=(*SPECIAL, "x"), kept_ids=(0, 1, 2, 3, 4, last + 5))
    kept_ids = spec.to_tensors()["tokenizer.kept_ids"]
    assert kept_ids.dtype == (np.uint16 if last + 5 < 2**16 else np.uint32)
    assert kept_ids.tolist() == list(spec.kept_ids or ())


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"vocab": as_bytes("\n".join((*SPECIAL, "a", "b", "a")))}, "'a' stands .* twice"),
        ({"vocab": as_bytes("\n".join((*SPECIAL, "", "b")))}, "piece 5 .* is empty"),
        ({"vocab": as_bytes("[PAD]\n[UNK]\n[CLS]\n[SEP]")}, "mask_token"),
        ({"vocab": as_bytes("")}, "empty"),
        ({"vocab": np.array([0x61, 0xFF], dtype=np.uint8)}, "byte 1 is not UTF-8"),
        ({"vocab": as_bytes("\n".join(SPECIAL)).astype(np.float32)}, "expected u8"),
        ({"vocab": as_bytes("\n".join(SPECIAL)).reshape(1, -1)}, "expected u8 in one row"),
        ({"kept_ids": np.arange(3, dtype=np.uint16)}, "kept_ids has 3 ids"),
        ({"kept_ids": np.zeros(len(SPEC.vocab), dtype=np.uint32)}, "0 follows 0 at 1"),
        ({"kept_ids": np.arange(len(SPEC.vocab), dtype=np.uint32)[::-1]}, "ascending"),
        ({"kept_ids": np.arange(len(SPEC.vocab), dtype=np.float32)}, "expected u16 or u32"),
    ],
)
def test_hostile_tensors_are_refused(tensors: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(TensorError, match=message):
        TokenizerSpec.from_sqz(stored(**tensors))


def test_missing_vocabulary_is_refused() -> None:
    with pytest.raises(TensorError, match=r"'tokenizer\.vocab' is missing"):
        TokenizerSpec.from_sqz(tokenizer_file(SPEC.to_header(), {}))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "unigram"},
        {"type": None},
        {"lowercase": 1},
        {"strip_accents": "yes"},
        {"max_chars_per_word": True},
        {"max_chars_per_word": "100"},
        {"cls_token": None},
        {"template": "{{ evil }}"},
        {"template": "bert"},
        {"template": ["roberta"]},
    ],
)
def test_hostile_headers_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(HeaderError):
        TokenizerSpec.from_sqz(stored(SPEC.to_header() | change))


def test_another_template_than_berts_is_of_version_2(tmp_path: Path) -> None:
    spec = replace(SPEC, template="roberta")
    assert (SPEC.version, spec.version) == ((1, 0), (2, 0))
    assert "template" not in SPEC.to_header()
    assert TokenizerSpec.from_sqz(stored(spec.to_header())) == spec
    with pytest.raises(HeaderError, match=r"template joined the format in 2\.0"):
        TokenizerSpec.from_sqz(stored(spec.to_header(), (1, 0)))
    write_sqz(
        tmp_path / "t.sqz",
        model={},
        tokenizer=spec.to_header(),
        metadata={},
        tensors=[(name, array, Raw("u8")) for name, array in spec.to_tensors().items()],
        needed=spec.version,
    )
    with open_sqz(tmp_path / "t.sqz") as file:
        assert file.version == (2, 0)
        assert TokenizerSpec.from_sqz(file) == spec
        copy_sqz(file, tmp_path / "copy.sqz", metadata={"name": "copy"})
    with open_sqz(tmp_path / "copy.sqz") as copy:
        assert TokenizerSpec.from_sqz(copy) == spec


@pytest.mark.parametrize("name", SPEC.to_header())
def test_every_header_field_is_needed(name: str) -> None:
    header = SPEC.to_header()
    del header[name]
    with pytest.raises(HeaderError, match=name):
        TokenizerSpec.from_sqz(stored(header))


JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(
    st.dictionaries(st.sampled_from(sorted(SPEC.to_header())), JSON_SCALARS),
    st.binary(),
    st.lists(st.integers(0, 2**32 - 1)),
)
def test_anything_stored_is_a_tokenizer_or_a_format_error(
    changes: dict[str, Any], vocab: bytes, kept_ids: list[int]
) -> None:
    file = stored(
        SPEC.to_header() | changes,
        vocab=np.frombuffer("\n".join(SPECIAL).encode() + vocab, dtype=np.uint8),
        kept_ids=np.array(kept_ids, dtype=np.uint32),
    )
    try:
        spec = TokenizerSpec.from_sqz(file)
    except FormatError:
        return
    assert set(SPECIAL) <= set(spec.vocab) or changes


def test_a_special_token_has_one_role() -> None:
    with pytest.raises(TokenizerError, match="five different"):
        replace(SPEC, sep_token="[CLS]")


def test_a_piece_holds_no_line_feed() -> None:
    with pytest.raises(TokenizerError, match="line feed"):
        replace(SPEC, vocab=(*SPEC.vocab, "a\nb"))


def test_keeping_pieces_twice_counts_in_the_full_vocabulary() -> None:
    n_pieces = len(SPEC.vocab)
    once = SPEC.keep([*range(5), *range(10, n_pieces)])
    twice = once.keep(np.array([*range(5), 7, n_pieces - 6]).tolist())
    assert once.kept_ids == (*range(5), *range(10, n_pieces))
    assert twice.kept_ids == (*range(5), 12, n_pieces - 1)
    assert twice.vocab == tuple(SPEC.vocab[i] for i in twice.kept_ids)


@pytest.mark.parametrize("ids", [[0, 2, 1], [0, 1, 2, 3, 4, 4], [-1, 0, 1], [0, 1, 2, 3, 10_000]])
def test_keeping_other_than_ascending_ids_of_the_vocabulary_is_refused(ids: list[int]) -> None:
    with pytest.raises(TokenizerError):
        SPEC.keep(ids)


def test_keeping_without_a_special_token_is_refused() -> None:
    with pytest.raises(TokenizerError, match="mask_token"):
        SPEC.keep([0, 1, 2, 3, 5])


def test_reads_vocab_txt_with_the_settings_beside_it(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        vocab_txt="\r\n".join(SPEC.vocab).encode(),
        tokenizer_config_json={
            "do_lower_case": False,
            "strip_accents": True,
            "tokenize_chinese_chars": False,
            "cls_token": {"content": "[CLS]", "lstrip": False},
        },
    )
    assert TokenizerSpec.from_folder(folder) == replace(
        SPEC, lowercase=False, strip_accents=True, handle_chinese_chars=False
    )


def test_a_piece_may_be_what_python_takes_for_a_line_end(tmp_path: Path) -> None:
    vocab = (*SPECIAL, "\u2028", "\x85", "x")
    folder = write_folder(tmp_path, vocab_txt=("\n".join(vocab) + "\n").encode())
    assert TokenizerSpec.from_folder(folder).vocab == vocab


def test_reads_tokenizer_json_without_its_truncation_and_padding(tmp_path: Path) -> None:
    assert (
        TokenizerSpec.from_folder(write_folder(tmp_path, tokenizer_json=whole_tokenizer())) == SPEC
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"type": "BPE", "vocab": {}}},
        {"model": None},
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"normalizer": {"type": "BertNormalizer", "lowercase": "yes"}},
        {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}},
        {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": "1"}}},
        {"model": {"type": "WordPiece", "vocab": {"a": [0]}}},
        {"model": {"type": "WordPiece", "vocab": ["a"]}},
        {"model": {"type": "WordPiece"}},
    ],
)
def test_other_kinds_of_tokenizer_json_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_folder(tmp_path, tokenizer_json=whole_tokenizer(**changes))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        TokenizerSpec.from_folder(folder)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"vocab_txt": b"[PAD]\n\xff"},
        {"tokenizer_json": b"{"},
        {"tokenizer_json": b"[" * 100_000},
        {"tokenizer_json": [1]},
        {"vocab_txt": b"\n".join(p.encode() for p in SPEC.vocab), "tokenizer_config_json": b"\xff"},
    ],
)
def test_broken_folders_are_refused(tmp_path: Path, files: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError):
        TokenizerSpec.from_folder(write_folder(tmp_path, **files))


def test_a_folder_with_a_duplicate_piece_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vocab_txt="\n".join((*SPECIAL, "a", "a")).encode())
    with pytest.raises(TokenizerError, match="piece 6: 'a'"):
        TokenizerSpec.from_folder(folder)


def pair_processor(*parts: str) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "pair": [
            {"Sequence" if part in ("A", "B") else "SpecialToken": {"id": part, "type_id": 0}}
            for part in parts
        ],
    }


@pytest.mark.parametrize(
    ("processor", "template"),
    [
        ({"type": "BertProcessing"}, "bert"),
        ({"type": "RobertaProcessing"}, "roberta"),
        (pair_processor("[CLS]", "A", "[SEP]", "B", "[SEP]"), "bert"),
        (pair_processor("[CLS]", "A", "[SEP]", "[SEP]", "B", "[SEP]"), "roberta"),
    ],
)
def test_the_template_is_the_post_processors(
    tmp_path: Path, processor: dict[str, Any], template: str
) -> None:
    folder = write_folder(tmp_path, tokenizer_json=whole_tokenizer(post_processor=processor))
    assert TokenizerSpec.from_folder(folder).template == template


@pytest.mark.parametrize(
    "processor",
    [
        7,
        {"type": "ByteLevel"},
        {"type": "TemplateProcessing"},
        {"type": "TemplateProcessing", "pair": ["[CLS]", "A", "[SEP]", "B", "[SEP]"]},
        pair_processor("A", "[SEP]", "B", "[SEP]", "[CLS]"),
        pair_processor("[CLS]", "B", "[SEP]", "A", "[SEP]"),
        pair_processor("[CLS]", "A", "[SEP]", "B", "[END]"),
        pair_processor("<s>", "A", "</s>", "B", "</s>"),
    ],
)
def test_other_templates_are_refused(tmp_path: Path, processor: Any) -> None:
    folder = write_folder(tmp_path, tokenizer_json=whole_tokenizer(post_processor=processor))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: post_processor"):
        TokenizerSpec.from_folder(folder)


@pytest.mark.parametrize(
    ("kind", "template"),
    [("MPNetTokenizer", "roberta"), ("MPNetTokenizerFast", "roberta"), ("BertTokenizer", "bert")],
)
def test_without_tokenizer_json_its_class_tells_the_template(
    tmp_path: Path, kind: str, template: str
) -> None:
    folder = write_folder(
        tmp_path,
        vocab_txt="\n".join(SPEC.vocab).encode(),
        tokenizer_config_json={"tokenizer_class": kind},
    )
    assert TokenizerSpec.from_folder(folder).template == template


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer_config_json": {"tokenizer_class": ["BertTokenizer"]}}, "tokenizer_class is"),
        ({"kept_ids_json": [*range(len(SPEC.vocab) - 1), 2**64]}, f"found {2**64}, expected ids"),
        ({"kept_ids_json": [-1, *range(1, len(SPEC.vocab))]}, "found -1, expected ids from 0"),
    ],
)
def test_values_that_no_tokenizer_has_are_named(
    tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    folder = write_folder(tmp_path, vocab_txt="\n".join(SPEC.vocab).encode(), **files)
    with pytest.raises((CheckpointError, TokenizerError), match=message):
        TokenizerSpec.from_folder(folder)


def test_mpnets_folder_is_word_pieces_with_robertas_template(shared: Path) -> None:
    spec = TokenizerSpec.from_folder(shared / "checkpoints" / "mpnet-squad2-teacher")
    assert spec.template == "roberta"
    assert spec.special_tokens == ("[UNK]", "<s>", "</s>", "<pad>", "<mask>")
    assert (spec.vocab.index("<s>"), len(spec.vocab)) == (0, 30_527)


def test_both_sources_of_the_real_checkpoint_agree(shared: Path, tmp_path: Path) -> None:
    source = shared / "checkpoints" / "minilm-l6-squad2"
    (tmp_path / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    spec = TokenizerSpec.from_folder(source)
    assert spec == TokenizerSpec.from_folder(tmp_path)
    assert len(spec.vocab) == 30_522
