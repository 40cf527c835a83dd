"""Small tokenizers of all types, trained by the `tokenizers` library on the spot; hard texts."""

import json
import unicodedata
from functools import cache
from pathlib import Path
from random import Random
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
    "The old miller (who was seldom seen without his dog) explained the matter to the travellers.",
    "Her small brown hands were never still, and the lamp beside her window burned all night long.",
    "Don't you see?  It's 3.14% of $5,000; we'll say they've won, I'm sure he'd agree.",
    "Überraschung: naïve cafés, crème brûlée, łódź; Ω ά ГДЕ мой дом?",
    "日本語のテキストです。한국어 텍스트와 汉字。",
    "The lighthouse keeper keeps the north lighthouse; the lever of the machine is white ivory.",
    "  Two spaces,\ttabs\nand lines: `code`, ``quoted'' and 'single'.",
)


@cache
def word_pieces(special: tuple[str, ...]) -> tuple[str, ...]:
    """The pieces of a vocabulary as BERT's, those with a role of their own first."""
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=list(special), show_progress=False
    )
    backend.train_from_iterator(SENTENCES * 3, trainer)
    ids = backend.get_vocab()
    return tuple(sorted(ids, key=ids.__getitem__))


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
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
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


def hard_lines(number: int, seed: int) -> list[str]:
    """
    Lines of what tokenizers treat in different ways.

    Words, white space of all kinds, combining marks, CJK, emoji, control characters, and any
    character of Unicode 3.2, so that it is the same one for everybody.
    """
    random = Random(seed)
    words = [word for sentence in SENTENCES for word in sentence.split(" ")]
    pools = (
        "abcdefghij   ",
        "ÀéÖñ\u0301\u0327\u0308e\u0301",
        "日本語漢字かがか\u3099ｶﾞ한각각",
        "\x00\x01\x07\x1b\t\n\r\r\n\x0b\x0c\x1c\x7f\x85\x8f\x9f",
        "👍🏽👨‍👩‍👧❤️☃🇫🇷",
        "\u00a0\u1680\u2002\u2028\u2029\u3000\u200b\u200d\ufeff\ufffd\u2581\u00ad\u202e",
        "'\"`.,;:!?()[]{}<>/\\|@#$%^&*-_=+~``''",
        "0123456789½²№™ﬁﷺ℃𝔸Ａｂ",
        "'s 're'll don't 'LL'd",
    )

    def part() -> str:
        which = random.random()
        if which < 0.5:
            return random.choice(words) + random.choice((" ", "", "  ", "\n"))
        if which < 0.9:
            return "".join(random.choice(random.choice(pools)) for _ in range(random.randint(1, 6)))
        code = random.choice((random.randrange(0x20, 0x3000), random.randrange(0xA000, 0x1FFFF)))
        known = unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co")
        return chr(code) if known else "\ufffe"

    return ["".join(part() for _ in range(random.randint(0, 13))) for _ in range(number)]
