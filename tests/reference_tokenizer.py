"""
A second tokenizer, from format_spec.md alone: plain Python, no `tokenizers`, no squadlite.

It goes as far as the standard library does: grapheme clusters are told apart where that matters, in
clusters of less than 6 bytes, and for characters that Python's Unicode has.
"""

import struct
import unicodedata
from itertools import pairwise

WHITE_SPACE = set("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
METASPACE = "\u2581"
SPECIAL = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")


def encode(header, tensors, text):
    """
    The ids of a text.

    header: the `tokenizer` object of a file; tensors: {name: values in C order}, as from
    `reference_reader.read_file`.
    """
    types = {"wordpiece": wordpiece, "byte_bpe": byte_bpe, "unigram": unigram}
    return types[header["type"]](header, tensors, text)


def pieces_of(tensors):
    return bytes(tensors["tokenizer.vocab"]).decode("utf-8").split("\n")


# wordpiece

IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


def wordpiece(header, tensors, text):
    special = {header[name] for name in SPECIAL}
    vocab = pieces_of(tensors)
    known = {piece: number for number, piece in enumerate(vocab) if piece not in special}
    unknown = vocab.index(header["unk_token"])
    found = []
    for word in words_and_punctuation(normalized(header, text)):
        ids = None
        if len(word) <= header["max_chars_per_word"]:
            ids = longest_pieces(word, known, header["continuing_prefix"])
        found += [unknown] if ids is None else ids
    return found


def normalized(header, text):
    if header["clean_text"]:
        text = "".join(" " if c in WHITE_SPACE else c for c in text if not is_dropped(c))
    if header["handle_chinese_chars"]:
        text = "".join(f" {c} " if is_ideograph(c) else c for c in text)
    strips = header["strip_accents"]
    if header["lowercase"] if strips is None else strips:
        text = unicodedata.normalize("NFD", text)
        text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    return "".join(c.lower() for c in text) if header["lowercase"] else text


def is_dropped(character):
    controls = unicodedata.category(character) in ("Cc", "Cf", "Co")
    return character in "\0\ufffd" or (controls and character not in "\t\n\r")


def is_ideograph(character):
    return any(first <= ord(character) <= last for first, last in IDEOGRAPHS)


def words_and_punctuation(text):
    spaced = "".join(
        " " if c in WHITE_SPACE else f" {c} " if is_punctuation(c) else c for c in text
    )
    return [word for word in spaced.split(" ") if word]


def is_punctuation(character):
    symbols = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    return unicodedata.category(character)[0] == "P" or character in symbols


def longest_pieces(word, known, prefix):
    ids, rest = [], word
    while rest:
        begun = prefix if ids else ""
        lengths = range(len(rest), 0, -1)
        length = next((n for n in lengths if begun + rest[:n] in known), None)
        if length is None:
            return None
        ids.append(known[begun + rest[:length]])
        rest = rest[length:]
    return ids


# byte_bpe


def byte_alphabet():
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet, other = {}, 0x100
    for byte in range(256):
        if byte in printed:
            alphabet[byte] = chr(byte)
        else:
            alphabet[byte] = chr(other)
            other += 1
    return alphabet


def byte_bpe(header, tensors, text):
    vocab = pieces_of(tensors)
    ids = {piece: number for number, piece in enumerate(vocab)}
    numbers = tensors["tokenizer.merges"]
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    ranks = {(vocab[a], vocab[b]): rank for rank, (a, b) in enumerate(pairs)}
    alphabet = byte_alphabet()
    if header["add_prefix_space"] and text and text[0] != " ":
        text = " " + text
    found = []
    for word in split_words(text):
        symbols = [alphabet[byte] for byte in word.encode("utf-8")]
        while True:
            ranked = [
                (ranks[pair], place)
                for place, pair in enumerate(pairwise(symbols))
                if pair in ranks
            ]
            if not ranked:
                break
            _, place = min(ranked)
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        found += [ids[symbol] for symbol in symbols]
    return found


def kind(character):
    if character in WHITE_SPACE:
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(character)[0], "other")


def split_words(text):
    at = 0
    while at < len(text):
        end = word_end(text, at)
        yield text[at:end]
        at = end


def word_end(text, at):
    for ending in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
        if text.startswith(ending, at):
            return at + len(ending)
    start = at + 1 if text[at] == " " and at + 1 < len(text) else at
    if kind(text[start]) == "space":
        start = at
    first = kind(text[start])
    end = start
    while end < len(text) and kind(text[end]) == first:
        end += 1
    # Of several spaces before a word the last is left to it.
    if first == "space" and end < len(text) and end - at > 1:
        end -= 1
    return end


# unigram


def unigram(header, tensors, text):
    vocab = pieces_of(tensors)
    scores = tensors["tokenizer.scores"]
    if any(type(score) is int for score in scores):
        scores = [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in scores]
    special = {header[name] for name in SPECIAL}
    known = {
        piece: (number, score)
        for number, (piece, score) in enumerate(zip(vocab, scores, strict=True))
        if piece not in special
    }
    unknown = vocab.index(header["unk_token"]), min(scores) - 10
    for name, *texts in header["normalizer"]:
        text = STEPS[name](text, tensors, *texts)
    found = []
    for words in split_at_spaces(text) if header["split_whitespace"] else [text]:
        word = words.replace(" ", METASPACE)
        if header["add_prefix_space"] and word and word[0] != METASPACE:
            word = METASPACE + word
        for part in split_at_metaspaces(word) if header["split_metaspace"] else [word]:
            found += best_cut(part, known, unknown)
    return found


def split_at_spaces(text):
    return "".join(" " if c in WHITE_SPACE else c for c in text).split(" ")


def split_at_metaspaces(word):
    parts = word.split(METASPACE)
    return [parts[0], *(METASPACE + part for part in parts[1:])]


def best_cut(text, known, unknown):
    longest = max(map(len, known), default=1)
    best = [(0.0, 0, None)] + [None] * len(text)  # sum, where the last piece begins, its id
    for start in range(len(text)):
        candidates = [
            (end, *known[text[start:end]])
            for end in range(start + 1, min(start + longest, len(text)) + 1)
            if text[start:end] in known
        ]
        if text[start] not in known:
            candidates.append((start + 1, *unknown))
        for end, number, score in candidates:
            total = score + best[start][0]
            if best[end] is None or total > best[end][0]:
                best[end] = total, start, number
    cut, end = [], len(text)
    while end > 0:
        _, end, number = best[end]
        # Unknown characters next to each other are one token.
        if not (cut and cut[-1] == number == unknown[0]):
            cut.append(number)
    return cut[::-1]


def charsmap(text, tensors):
    texts = bytes(tensors["tokenizer.charsmap"]).decode("utf-8").split("\0")
    half = len(texts) // 2
    table = dict(zip(texts[:half], texts[half:], strict=True))

    def target(part):
        prefixes = (part[:length] for length in range(1, len(part) + 1))
        return next((table[prefix] for prefix in prefixes if prefix in table), None)

    result = []
    for cluster in clusters(text):
        whole = target(cluster) if len(cluster.encode("utf-8")) < 6 else None
        if whole is not None:
            result.append(whole)
        else:
            result += [c if target(c) is None else target(c) for c in cluster]
    return "".join(result)


def clusters(text):
    found = []
    for character in text:
        joins = unicodedata.category(character)[0] == "M" or character in "\u200c\u200d\uff9e\uff9f"
        joins = joins or "\U0001f3fb" <= character <= "\U0001f3ff"
        before = found[-1][-1] if found else "\n"
        if before + character == "\r\n" or (joins and not is_control(before)):
            found[-1] += character
        else:
            found.append(character)
    return found


def is_control(character):
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") or (
        unicodedata.category(character) == "Cf" and character not in "\u200c\u200d"
    )


def nmt(text, _):
    dropped = {*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F}
    spaces = {0x09, 0x0A, 0x0C, 0x0D, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581}
    spaces |= {0xFEFF, 0xFFFD}
    return "".join(" " if ord(c) in spaces else c for c in text if ord(c) not in dropped)


def form(name):
    return lambda text, _: unicodedata.normalize(name, text)


def collapse_spaces(text, _, by):
    result, at = "", 0
    while at < len(text):
        end = at
        while end < len(text) and text[end] == " ":
            end += 1
        if end - at >= 2:
            result, at = result + by, end
        else:
            result, at = result + text[at], at + 1
    return result


STEPS = {
    "charsmap": charsmap,
    "collapse_spaces": collapse_spaces,
    "lowercase": lambda text, _: "".join(c.lower() for c in text),
    "nfc": form("NFC"),
    "nfd": form("NFD"),
    "nfkc": form("NFKC"),
    "nfkd": form("NFKD"),
    "nmt": nmt,
    "replace": lambda text, _, old, new: text.replace(old, new),
    "strip_accents": lambda text, _: "".join(c for c in text if unicodedata.category(c)[0] != "M"),
    "strip_left": lambda text, _: text.lstrip("".join(WHITE_SPACE)),
    "strip_right": lambda text, _: text.rstrip("".join(WHITE_SPACE)),
}
