"""
The one JSON text that a header may have for a given value.

Every value has exactly one canonical text, and `loads` takes nothing else: no second spelling of a
number, no other order of keys, no duplicate key, no space. Equal headers are equal bytes.

Source: format_spec.md, "Canonical JSON".
"""

import json
import math
import re
from collections import Counter
from itertools import accumulate
from typing import Any, NoReturn

from squadlite.container.layout import MAX_HEADER_BYTES, MAX_HEADER_DEPTH, MAX_HEADER_NODES
from squadlite.errors import HeaderError

# Integers beyond this lose digits in readers that keep every JSON number as a binary64.
MAX_INTEGER = 2**53 - 1

# A string is matched to its end or to the end of the text, so that scanning stays linear.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def dumps(value: object) -> bytes:
    """
    Write a value as canonical JSON.

    Args:
        value: dicts with string keys, lists or tuples, strings, integers, finite floats, booleans
            and None, within the limits of a header.

    Returns:
        UTF-8 bytes, at most MAX_HEADER_BYTES.

    Raises:
        HeaderError: a value that canonical JSON can't hold, and where it is.
    """
    _check_value(value, "header", MAX_HEADER_DEPTH)
    text = _encode(value)
    _check_size(text)
    _check_nesting(text)
    return text


def loads(text: bytes) -> Any:
    """
    Read canonical JSON.

    Args:
        text: the bytes of a header, of any content.

    Returns:
        The value; containers are dicts and lists.

    Raises:
        HeaderError: bytes that are not the canonical text of a value within the limits.
    """
    _check_size(text)
    _check_nesting(text)
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_refuse_constant,
        )
        canonical = _encode(value)
    except UnicodeError as error:
        raise HeaderError(f"header: not UTF-8 text ({error})") from error
    except json.JSONDecodeError as error:
        raise HeaderError(f"header: not JSON ({error})") from error
    if canonical != text:
        at = next(
            (i for i, (a, b) in enumerate(zip(canonical, text, strict=False)) if a != b),
            min(len(canonical), len(text)),
        )
        raise HeaderError(
            f"header: not canonical JSON at byte {at}: found {text[at : at + 20]!r}, "
            f"expected {canonical[at : at + 20]!r}"
        )
    return value


def _encode(value: object) -> bytes:
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return text.encode("utf-8")


def _check_size(text: bytes) -> None:
    if len(text) > MAX_HEADER_BYTES:
        raise HeaderError(f"header: {len(text)} bytes, expected at most {MAX_HEADER_BYTES}")


def _check_nesting(text: bytes) -> None:
    """Bound depth and number of values before anything is built from the text."""
    structure = _STRING.sub(b"", text)
    if sum(map(structure.count, (b"[", b"{", b","))) > MAX_HEADER_NODES:
        raise HeaderError(f"header: more than {MAX_HEADER_NODES} values")
    steps = (1 if byte in b"[{" else -1 for byte in structure if byte in b"[{]}")
    if max(accumulate(steps), default=0) > MAX_HEADER_DEPTH:
        raise HeaderError(f"header: nested deeper than {MAX_HEADER_DEPTH}")


def _check_value(value: object, where: str, depth: int) -> None:
    """Refuse what json.dumps would change in silence, say wrongly, or recurse on without end."""
    if depth < 0:
        raise HeaderError(f"{where}: nested deeper than {MAX_HEADER_DEPTH}")
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str) or not _is_unicode(key):
                    raise HeaderError(f"{where}: key {key!r}, expected a string of Unicode")
                _check_value(item, f"{where}.{key}", depth - 1)
        case list() | tuple():
            for index, item in enumerate(value):
                _check_value(item, f"{where}[{index}]", depth - 1)
        case _:
            _check_scalar(value, where)


def _check_scalar(value: object, where: str) -> None:
    match value:
        case None | bool():
            pass
        case str():
            if not _is_unicode(value):
                raise HeaderError(f"{where}: a string with a lone surrogate, expected Unicode")
        case int():
            if abs(value) > MAX_INTEGER:
                raise HeaderError(f"{where}: an integer beyond 2**53 - 1 in size")
        case float():
            if not math.isfinite(value):
                raise HeaderError(f"{where}: {value}, expected a finite number")
        case _:
            raise HeaderError(f"{where}: a {type(value).__name__}, which JSON can't hold")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        (duplicate, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise HeaderError(f"header: duplicate key {duplicate!r}")
    return result


def _integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)) or abs(int(digits)) > MAX_INTEGER:
        raise HeaderError(f"header: integer {digits[:24]}, expected at most 2**53 - 1 in size")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise HeaderError(f"header: number {digits[:24]} is not finite")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise HeaderError(f"header: {name} is not JSON")
