"""Tokenizers of RoBERTa's and ALBERT's kind, trained by the `tokenizers` library on the spot."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from squadlite.answering.charsmap import Charsmap, compile_charsmap

ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ALBERT = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")

# Characters, some followed by a mark, and what a table of SentencePiece's puts in their place.
CHARSMAP: Charsmap = tuple(
    sorted(
        {
            "\t": " ",
            "\n": " ",
            "\x07": "",
            "\u00a0": " ",
            "\u3000": " ",
            "\u200b": " ",
            "Ａ": "A",
            "ｂ": "b",
            "½": "1⁄2",
            "ﬁ": "fi",
            "ﷺ": "صلى الله عليه وسلم",
            "e\u0301": "é",
            "か\u3099": "が",
            "ｶﾞ": "ガ",
            "각": "각",
            "℃": "°C",
            "\U0001d538": "A",
        }.items(),
        key=lambda pair: pair[0].encode(),
    )
)

SENTENCES = (
    "The Time Traveller (for so it will be convenient to speak of him) was expounding a matter.",
    "His pale grey eyes shone and twinkled, and his usually pale face was flushed and animated.",
    "Don't you see?  It's 3.14% of $5,000; we'll say they've won, I'm sure he'd agree.",
    "Überraschung: naïve cafés, crème brûlée, łódź; Ω ά ГДЕ мой дом?",
    "日本語のテキストです。한국어 텍스트와 汉字。",
    "The lighthouse keeper keeps the north lighthouse; the lever of the machine is white ivory.",
    "  Two spaces,\ttabs\nand lines: `code`, ``quoted'' and 'single'.",
)


@cache
def byte_bpe(*, add_prefix_space: bool = False) -> str:
    """A tokenizer.json as RoBERTa's."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(ROBERTA),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES * 3, trainer)
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=add_prefix_space
    )
    text: str = backend.to_str()
    return text


@cache
def unigram(kind: str) -> str:
    """A tokenizer.json as that of ALBERT ("albert"), XLM-R ("xlm") or of other steps ("other")."""
    backend = tokenizers.Tokenizer(models.Unigram())
    special = ROBERTA if kind == "xlm" else ALBERT
    charsmap = normalizers.Precompiled(compile_charsmap(CHARSMAP))
    metaspace = pre_tokenizers.Metaspace()
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    if kind == "albert":
        backend.normalizer = normalizers.Sequence(
            [
                normalizers.Replace("``", '"'),
                normalizers.Replace("''", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                charsmap,
                normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
            ]
        )
    elif kind == "xlm":
        backend.normalizer = normalizers.Sequence(
            [
                charsmap,
                normalizers.Strip(left=False, right=True),
                normalizers.Replace(tokenizers.Regex(" {2,}"), "▁"),
            ]
        )
    else:
        backend.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=list(special), unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(SENTENCES * 3, trainer)
    first, between, last = (
        ("<s>", "</s> </s>", "</s>") if kind == "xlm" else ("[CLS]", "[SEP]", "[SEP]")
    )
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {between} $B:1 {last}:1",
        special_tokens=[(first, special.index(first)), (last, special.index(last))],
    )
    text: str = backend.to_str()
    return text


def write_tokenizer(folder: Path, whole: str | dict[str, Any], kind: str) -> Path:
    """Write a tokenizer.json with the names of its special tokens beside it."""
    text = whole if isinstance(whole, str) else json.dumps(whole)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    robertas = kind in ("byte_bpe", "xlm")
    names = ("<unk>", "<s>", "</s>", "<pad>", "<mask>")
    if not robertas:
        names = ("<unk>", "[CLS]", "[SEP]", "<pad>", "[MASK]")
    roles = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    config = dict(zip(roles, names, strict=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


TOKENIZERS = {
    "byte_bpe": byte_bpe,
    "byte_bpe_space": lambda: byte_bpe(add_prefix_space=True),
    "albert": lambda: unigram("albert"),
    "xlm": lambda: unigram("xlm"),
    "other": lambda: unigram("other"),
}
