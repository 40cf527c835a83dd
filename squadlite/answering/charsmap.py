"""
SentencePiece's table of characters and what stands in their place, in two forms.

A checkpoint folder has it as SentencePiece compiles it: a double array (Darts) over the UTF-8 of
all sources, and the targets, each ended by a zero byte. Of all sources that a text goes on with
the `tokenizers` library takes the shortest, so that those which begin with another one never
count: without them a table of 225,000 has 7,000, and is what a .sqz file holds.

Source: Kudo & Richardson 2018, section 3.3; Aoe 1989 (double arrays); format_spec.md, "charsmap".
"""

import numpy as np
from numpy.typing import NDArray

Charsmap = tuple[tuple[str, str], ...]  # (source, target), by the sources' UTF-8

MAX_TEXT_BYTES = 64  # of a source or target; U+FDFA becomes 33
MAX_SOURCES = 65_536
MAX_PREFIXES = 7900  # each needs 256 units, of which a step in a double array spans 2^21

_LEAF = 1 << 31  # a unit that holds a target's place
_HAS_LEAF = 1 << 8


def check_charsmap(charsmap: Charsmap) -> None:
    """
    Find out whether a table is one.

    Raises:
        ValueError: no source, too many or too long ones, an empty one, a zero character, sources
            that don't ascend by their UTF-8, or of which one begins with another.
    """
    if not 1 <= len(charsmap) <= MAX_SOURCES:
        raise ValueError(f"found {len(charsmap)} sources, expected 1 to {MAX_SOURCES}")
    before = b""
    prefixes: set[bytes] = set()
    for source, target in charsmap:
        key, value = source.encode(), target.encode()
        if not key or max(len(key), len(value)) > MAX_TEXT_BYTES or b"\0" in key + value:
            raise ValueError(
                f"source {source!r} becomes {target!r}, expected {MAX_TEXT_BYTES} bytes at most "
                "without a zero, and a source of one at least"
            )
        if key <= before:
            raise ValueError(f"source {source!r} follows {before.decode()!r}, expected ascending")
        # Ascending, a source stands directly behind one that it begins with.
        if before and key.startswith(before):
            raise ValueError(f"source {source!r} begins with another, {before.decode()!r}")
        before = key
        prefixes.update(key[:length] for length in range(len(key)))
    if len(prefixes) > MAX_PREFIXES:
        raise ValueError(f"sources have {len(prefixes)} prefixes, expected at most {MAX_PREFIXES}")


def compile_charsmap(charsmap: Charsmap) -> bytes:
    """
    Make SentencePiece's form of a table.

    Args:
        charsmap: one that `check_charsmap` takes.
    """
    # Each prefix has a block of 256 units of its own: byte c leads to unit c of it.
    children: dict[bytes, dict[int, str | None]] = {b"": {}}
    for source, target in charsmap:
        key = source.encode()
        for length in range(1, len(key)):
            children[key[: length - 1]].setdefault(key[length - 1], None)
            children.setdefault(key[:length], {})
        children[key[:-1]][key[-1]] = target
    bases = {prefix: 256 * (number + 1) for number, prefix in enumerate(children)}
    taken = {0, *(base + c for prefix, base in bases.items() for c in children[prefix])}
    n_blocks = len(bases) + 1 + -(-len(charsmap) // 255)
    # Unit 0 of a block would be what a zero byte leads to: it may hold a target too.
    free = (place for place in range(256, 256 * n_blocks) if place not in taken)
    units = np.zeros(256 * n_blocks, dtype="<u4")
    units[0] = bases[b""] << 10
    targets = bytearray()
    places: dict[str, int] = {}
    for prefix, base in bases.items():
        for c, made in children[prefix].items():
            place = base + c
            if made is None:
                units[place] = (place ^ bases[prefix + bytes([c])]) << 10 | c
                continue
            if made not in places:
                places[made] = len(targets)
                targets += made.encode() + b"\0"
            leaf = next(free)
            units[place] = (place ^ leaf) << 10 | _HAS_LEAF | c
            units[leaf] = _LEAF | places[made]
    return (4 * len(units)).to_bytes(4, "little") + units.tobytes() + bytes(targets)


def parse_charsmap(data: bytes) -> Charsmap:
    """
    Read SentencePiece's form of a table.

    Args:
        data: the bytes, of which nothing is known.

    Returns:
        The sources that no other one is a prefix of.

    Raises:
        ValueError: bytes that are no table, or one that `check_charsmap` refuses.
    """
    size = int.from_bytes(data[:4], "little")
    if size % 4 or not 4 <= size <= len(data) - 4:
        raise ValueError(f"found a double array of {size} bytes in {len(data)}")
    units = np.frombuffer(data, dtype="<u4", count=size // 4, offset=4)
    table: list[tuple[str, str]] = []
    n_prefixes = 0
    waiting = [(b"", _step(units, 0))]
    while waiting:
        prefix, base = waiting.pop()
        n_prefixes += 1
        if n_prefixes > MAX_PREFIXES or len(prefix) >= MAX_TEXT_BYTES or len(table) > MAX_SOURCES:
            raise ValueError("found more or longer sources than a table has")
        for c in range(1, 256):
            place = base ^ c
            if place >= len(units) or int(units[place]) & (_LEAF | 0xFF) != c:
                continue
            key, next_base = prefix + bytes([c]), _step(units, place)
            if int(units[place]) & _HAS_LEAF:
                table.append((_decode(key), _target(units, next_base, data[4 + size :])))
            else:
                waiting.append((key, next_base))
    charsmap = tuple(sorted(table, key=lambda pair: pair[0].encode()))
    check_charsmap(charsmap)
    return charsmap


def _step(units: NDArray[np.uint32], place: int) -> int:
    unit = int(units[place])
    return place ^ (unit >> 10) << ((unit & 1 << 9) >> 6)


def _target(units: NDArray[np.uint32], place: int, targets: bytes) -> str:
    start = int(units[place]) & ~_LEAF if place < len(units) else len(targets)
    end = targets.find(b"\0", start)
    if end < 0:
        raise ValueError(f"found a target at {start} without an end")
    return _decode(targets[start:end])


def _decode(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"found {octets.hex(' ')}, expected UTF-8 ({error.reason})") from error
