"""A small WordPiece vocabulary that can spell any lower-case ASCII word."""

import string

from squadlite.answering.tokenizer_spec import WordPieceSpec

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation + "é日’"
WORDS = ("the", "time", "machine", "traveller", "##ing", "##er", "##ll", "lever", "white", "ivory")


def tiny_spec() -> WordPieceSpec:
    singles = [*CHARACTERS, *(f"##{character}" for character in CHARACTERS)]
    return WordPieceSpec(vocab=(*SPECIAL, *singles, *WORDS))
