"""Bytes of unknown encoding to text."""

import codecs
import re

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: it begins with UTF-16's mark
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""(?:encoding|charset)\s*=\s*["']?\s*([A-Za-z][A-Za-z0-9_.:-]{1,30})""", re.IGNORECASE
)
_DECLARATION_BYTES = 2048
# Python knows more codecs than pages are written in, and some of them are slow or not text at all.
_PAGE_ENCODINGS = re.compile(
    r"utf|iso8859|cp\d|windows|koi8|mac|gb|big5|euc|shift|iso2022|ascii|latin|tis|hz|johab"
)
# Lone surrogates come from UTF-7 alone; they can't be encoded again.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def decode(data: bytes, *, declared: bool = False) -> str:
    """
    The text of a file: by its byte order mark, its own declaration, or what fits.

    Args:
        data: any bytes.
        declared: whether to look for an XML or HTML declaration of the encoding.

    Returns:
        Text with "\\n" line ends. UTF-8 is tried first, then what is declared whatever it costs,
        then CP1252 (a superset of Latin-1's letters); control characters are dropped.
    """
    text = _decode(data, declared=declared)
    return clean_controls(text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_controls(text: str) -> str:
    """Drop the control characters that no text needs and XML and SQLite can't hold."""
    return _CONTROL.sub("", text)


def _decode(data: bytes, *, declared: bool) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    wide = _wide_encoding(data)
    if wide is not None:
        return data.decode(wide, errors="replace")
    named = _declared_encoding(data) if declared else None
    for candidate in filter(None, (named, "utf-8")):
        try:
            return data.decode(candidate)
        except UnicodeError:
            continue
    if named and named not in ("utf-8", "cp1252"):
        return data.decode(named, errors="replace")  # a few bytes are damaged
    return _decode_western(data)


def _decode_western(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _declared_encoding(data: bytes) -> str | None:
    """The encoding that an XML or HTML declaration names, if it can be believed."""
    found = _DECLARED.search(data, 0, _DECLARATION_BYTES)
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii")).name
    except LookupError:
        return None
    if name in ("iso8859-1", "ascii"):
        return None  # said of many files that are CP1252 or UTF-8 in truth
    if name.startswith(("utf-16", "utf-32")) or not _PAGE_ENCODINGS.match(name.replace("_", "")):
        return None  # the declaration was read as ASCII, so it can't be a wide encoding
    return name


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of Western text is zero."""
    sample = data[:1000]
    if len(sample) < 4:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * len(sample) / 2 and even == 0:
        return "utf-16-le"
    if even > 0.4 * len(sample) / 2 and odd == 0:
        return "utf-16-be"
    return None
