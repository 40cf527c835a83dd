"""
A second reader of .sqz files, from format_spec.md alone: plain Python, no numpy, no squadlite.

Slow and simple on purpose. The tests hold it and squadlite.container to the same answers, so that
the spec, not the code, is what both follow.
"""

import hashlib
import json
import math
import re
import struct
import zlib
from fractions import Fraction

RAW = {"f32": "f", "f16": "e", "u8": "B", "i8": "b", "u16": "H", "i16": "h"}
RAW |= {"u32": "I", "i32": "i", "u64": "Q", "i64": "q", "bf16": "H"}
ITEM = {name: struct.calcsize("<" + code) for name, code in RAW.items()}
# 2^(k/8) in binary64
EIGHTHS = [
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    1.4142135623730951,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
]


class Refused(Exception):
    """The file breaks a rule."""


def demand(condition, rule):
    if not condition:
        raise Refused(rule)


def read_file(data):
    """All of a file, verified: (header, {tensor name: list of values in C order})."""
    header, entries = open_file(data)
    tensors = {}
    end = 128
    for entry in entries:
        at, size = entry["offset"], entry["n_bytes"]
        demand(not any(data[end:at]), "padding is zero")
        stored = data[at : at + size]
        demand(hashlib.sha256(stored).hexdigest() == entry["digest"], "tensor digest")
        tensors[entry["name"]] = decode(stored, entry["shape"], entry["codec"])
        end = at + size
    demand(not any(data[end : next64(end)]), "padding is zero")
    demand(hashlib.sha256(data[:-32]).digest() == data[-32:], "file digest")
    return header, tensors


def open_file(data):
    demand(data[:8] == b"\x89SQZ\r\n\x1a\n", "magic")
    demand(len(data) >= 128, "preamble is whole")
    major, minor, reserved, at, size, length = struct.unpack_from("<HHIQQQ", data, 8)
    demand(major in (1, 2), "major version")
    demand(reserved == 0 and not any(data[40:96]), "reserved is zero")
    demand(1 <= size <= 2**20, "header length")
    demand(at >= 128 and at % 64 == 0, "header position")
    demand(length == at + size + 32 == len(data), "file length")
    text = data[at : at + size]
    demand(hashlib.sha256(data[:96] + text).digest() == data[96:128], "header digest")
    header = parse_json(inflate(text, 2**20) if major == 2 else text)
    demand(type(header) is dict, "header is an object")
    members = {"metadata", "model", "tensors", "tokenizer"}
    demand(members <= header.keys(), "header members")
    demand(minor > 0 or members == header.keys(), "no unknown header members")
    demand(all(type(header[key]) is dict for key in members - {"tensors"}), "objects")
    demand(type(header["tensors"]) is list, "tensors is a list")
    end, names, stored, decoded = 128, set(), 0, 0
    for entry in header["tensors"]:
        n_bytes, values_size = check_entry(entry, next64(end), major)
        demand(entry["name"] not in names, "names are unique")
        names.add(entry["name"])
        end = entry["offset"] + n_bytes
        stored += n_bytes
        decoded += values_size
    demand(decoded <= 32 * stored + 134217728, "decoded bytes")
    demand(at == next64(end), "header follows the tensors")
    return header, header["tensors"]


def next64(position):
    return (position + 63) // 64 * 64


def inflate(data, at_most):
    inflater = zlib.decompressobj(-15)
    try:
        result = inflater.decompress(data, at_most + 1)
    except zlib.error as error:
        raise Refused(f"DEFLATE: {error}") from error
    demand(len(result) <= at_most, "inflated size")
    demand(inflater.eof and not inflater.unused_data, "one whole DEFLATE stream")
    return result


def parse_json(text):
    depth = count = 0
    in_string = escaped = False
    for byte in text:
        character = chr(byte)
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
            continue
        in_string = character == '"'
        depth += (character in "[{") - (character in "]}")
        count += character in "[{,"
        demand(depth <= 16 and count <= 65536, "nesting and size of the header")
    try:
        value = json.loads(text.decode("utf-8"), parse_int=bounded_integer)
        canonical = write_json(value).encode("utf-8")
    except ValueError as error:
        raise Refused(f"JSON: {error}") from error
    demand(canonical == text, "canonical JSON")
    return value


def bounded_integer(digits):
    demand(len(digits) <= 17 and abs(int(digits)) <= 2**53 - 1, "integer range")
    return int(digits)


def write_json(value):
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is int:
        return str(value)
    if type(value) is float:
        demand(math.isfinite(value), "finite numbers")
        return write_float(value)
    if type(value) is str:
        return '"' + "".join(map(write_character, value)) + '"'
    if type(value) is list:
        return "[" + ",".join(map(write_json, value)) + "]"
    members = sorted(value.items())
    return "{" + ",".join(f"{write_json(key)}:{write_json(item)}" for key, item in members) + "}"


def write_character(character):
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n"}
    short |= {"\r": "\\r", "\t": "\\t"}
    if character in short:
        return short[character]
    return f"\\u{ord(character):04x}" if ord(character) < 0x20 else character


def write_float(value):
    """The rule of the spec."""
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    digits, e = shortest_digits(abs(value))
    if -4 <= e < 0:
        text = "0." + "0" * (-e - 1) + digits
    elif 0 <= e < 16:
        text = digits[: e + 1].ljust(e + 1, "0") + "." + (digits[e + 1 :] or "0")
    else:
        text = f"{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{e:+03d}"
    return ("-" if value < 0 else "") + text


def shortest_digits(value):
    """The fewest digits d1d2...dk, and e, so that d1.d2...dk times 10**e comes back as value."""
    for k in range(17):
        mantissa, e = f"{value:.{k}e}".split("e")
        middle = int(mantissa.replace(".", ""))
        # At a power of two the numbers below lie closer than those above: where the nearest k + 1
        # digits don't come back, the next may.
        candidates = [n for n in (middle - 1, middle, middle + 1) if len(str(n)) == k + 1]
        candidates = [n for n in candidates if float(f"{n}e{int(e) - k}") == value]
        if candidates:
            exact = Fraction(value)
            scale = Fraction(10) ** (int(e) - k)
            return str(min(candidates, key=lambda n: (abs(n * scale - exact), n % 2))), int(e)
    raise AssertionError("17 digits are always enough")


def check_entry(entry, expected_offset, major):
    demand(type(entry) is dict, "tensor entry is an object")
    demand(
        entry.keys() == {"codec", "digest", "n_bytes", "name", "offset", "shape"}, "entry members"
    )
    name, shape = entry["name"], entry["shape"]
    demand(type(name) is str and 1 <= len(name) <= 200, "name length")
    demand(re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name), "name characters")
    demand(type(shape) is list and len(shape) <= 8, "dimensions")
    demand(all(type(d) is int and d >= 0 for d in shape), "dimensions")
    demand(math.prod(max(d, 1) for d in shape) < 2**31, "number of values")
    n_bytes = check_codec(entry["codec"], shape, major)
    demand(type(entry["n_bytes"]) is int and entry["n_bytes"] == n_bytes, "n_bytes")
    demand(type(entry["offset"]) is int and entry["offset"] == expected_offset, "offset")
    digest = entry["digest"]
    demand(type(digest) is str and re.fullmatch("[0-9a-f]{64}", digest), "digest")
    dtype = entry["codec"].get("dtype", "f32")
    return n_bytes, math.prod(shape) * (4 if dtype in ("f16", "bf16") else ITEM[dtype])


def check_codec(codec, shape, major):
    demand(type(codec) is dict, "codec is an object")
    coding = {key: codec[key] for key in ("coding", "coded_bytes") if key in codec}
    if codec.get("name") == "uniform":
        demand(major == 2, "uniform is of version 2")
        check_uniform(codec, shape)
        return codec["coded_bytes"]
    n_bytes = check_plain({k: v for k, v in codec.items() if k not in coding}, shape)
    if not coding:
        return n_bytes
    demand(major == 2, "coding is of version 2")
    demand(coding.keys() == {"coding", "coded_bytes"}, "coding settings")
    demand(coding["coding"] == {"raw": "deflate", "linear": "rans"}.get(codec["name"]), "coding")
    size = coding["coded_bytes"]
    demand(type(size) is int and 0 <= size < n_bytes, "coded_bytes")
    return size


def check_uniform(codec, shape):
    settings = {"name", "step", "lowest", "coded_bytes"}
    demand(settings <= codec.keys() <= settings | {"scales"}, "uniform settings")
    step, lowest, size = codec["step"], codec["lowest"], codec["coded_bytes"]
    demand(type(step) is float and 2.0**-100 <= step <= 2.0**96, "step")
    demand(type(lowest) is int and -(2**15) <= lowest <= 2**15 - 256, "lowest")
    demand(type(size) is int and size >= 0, "coded_bytes")
    demand((size == 0) == (math.prod(shape) == 0), "coded_bytes")
    if "scales" in codec:
        demand(codec["scales"] in ("rows", "columns") and len(shape) == 2, "scales")


def check_plain(codec, shape):
    count = math.prod(shape)
    if codec.get("name") == "raw":
        demand(codec.keys() == {"name", "dtype"}, "raw settings")
        demand(type(codec["dtype"]) is str and codec["dtype"] in ITEM, "raw dtype")
        return count * ITEM[codec["dtype"]]
    if codec.get("name") == "linear":
        per = codec.get("per")
        settings = {"name", "bits", "per", "range_dtype"} | (
            {"group_size"} if per == "group" else set()
        )
        demand(codec.keys() == settings, "linear settings")
        demand(type(codec["bits"]) is int and 1 <= codec["bits"] <= 16, "bits")
        demand(per in ("tensor", "row", "group"), "per")
        allowed = ("f32",) if per == "tensor" else ("f32", "f16")
        demand(codec["range_dtype"] in allowed, "range_dtype")
        if per == "group":
            size = codec["group_size"]
            demand(type(size) is int and 1 <= size <= 65536, "group_size")
        pair = 8 if codec["range_dtype"] == "f32" else 4
        return len(group_sizes(shape, codec)) * pair + (count * codec["bits"] + 7) // 8
    demand(codec.get("name") == "rademacher", "known codec")
    demand(len(shape) == 2 and shape[0] >= 1, "rademacher shape")
    if codec.keys() == {"name"}:
        return (count + 7) // 8
    demand(codec.keys() == {"name", "generator", "seed"}, "rademacher settings")
    demand(codec["generator"] == "splitmix64", "generator")
    demand(type(codec["seed"]) is int and 0 <= codec["seed"] < 2**53, "seed")
    return 0


def group_sizes(shape, codec):
    count = math.prod(shape)
    if count == 0:
        return []
    if not shape or codec["per"] == "tensor":
        return [count]
    if codec["per"] == "row":
        return [count // shape[0]] * shape[0]
    whole, rest = divmod(shape[-1], codec["group_size"])
    row = [codec["group_size"]] * whole + [rest] * (rest > 0)
    return row * (count // shape[-1])


def decode(data, shape, codec):
    count = math.prod(shape)
    if codec["name"] == "uniform":
        return decode_uniform(data, shape, codec)
    if codec["name"] == "raw":
        if "coding" in codec:
            width = ITEM[codec["dtype"]]
            data = inflate(data, count * width)
            demand(len(data) == count * width, "inflated size")
            data = bytes(data[k * count + i] for i in range(count) for k in range(width))
        return decode_raw(data, count, codec["dtype"])
    if codec["name"] == "linear":
        return decode_linear(data, shape, codec)
    if "seed" in codec:
        bits = [splitmix64(codec["seed"], i // 64) >> i % 64 & 1 for i in range(count)]
    else:
        bits = read_codes(data, 1, count)
    scale = to_binary32(1 / math.sqrt(shape[0]))
    return [scale if bit else -scale for bit in bits]


def decode_raw(data, count, dtype):
    values = list(struct.unpack(f"<{count}{RAW[dtype]}", data))
    if dtype == "bf16":
        values = [struct.unpack("<f", struct.pack("<I", value << 16))[0] for value in values]
    demand(all(type(value) is int or math.isfinite(value) for value in values), "finite values")
    return values


def decode_uniform(data, shape, codec):
    count = math.prod(shape)
    if count == 0:
        return []
    scales = codec.get("scales")
    exponents = []
    if scales is not None:
        exponents, data = take_stream(data, shape[0 if scales == "rows" else 1])
    symbols, data = take_stream(data, count)
    demand(not data, "nothing behind the codes")
    values = []
    for i, symbol in enumerate(symbols):
        e = 0
        if scales is not None:
            e = exponents[i // shape[1] if scales == "rows" else i % shape[1]]
            e -= 256 * (e >= 128)
        spacing = to_binary32(codec["step"] * EIGHTHS[e % 8] * 2.0 ** (e // 8))
        values.append(to_binary32((codec["lowest"] + symbol) * spacing))
    return values


def decode_linear(data, shape, codec):
    sizes, bits = group_sizes(shape, codec), codec["bits"]
    count = math.prod(shape)
    letter, width = ("f", 4) if codec["range_dtype"] == "f32" else ("e", 2)
    if "coding" in codec:
        planes = []
        for _ in range(2 * width):
            plane, data = take_stream(data, len(sizes))
            planes.append(plane)
        edges = bytes(plane[i] for i in range(len(sizes)) for plane in planes)
        upper, data = take_stream(data, count)
        rest = max(0, bits - 8)
        demand(len(data) == (count * rest + 7) // 8, "lower bits")
        lower = read_codes(data, rest, count)
        codes = [(high << rest) + low for high, low in zip(upper, lower, strict=True)]
        demand(all(code < 2**bits for code in codes), "codes of so many bits")
    else:
        edges, data = data[: 2 * width * len(sizes)], data[2 * width * len(sizes) :]
        codes = read_codes(data, bits, count)
    edges = struct.unpack(f"<{2 * len(sizes)}{letter}", edges)
    codes = iter(codes)
    values = []
    for size, low, high in zip(sizes, edges[::2], edges[1::2], strict=True):
        demand(math.isfinite(low) and math.isfinite(high) and low <= high, "range")
        step = (high - low) / (2**bits - 1)
        values += [to_binary32(next(codes) * step + low) for _ in range(size)]
    return values


def read_codes(data, bits, count):
    stream = int.from_bytes(data, "little")
    demand(stream >> bits * count == 0, "unused bits are zero")
    return [stream >> bits * i & (2**bits - 1) for i in range(count)]


def take_stream(data, count):
    """The coded stream of so many symbols with which data begins: (symbols, what is behind it)."""
    if count == 0:
        return [], data
    demand(len(data) > 0 and data[0] <= 2, "kind of a coded stream")
    if data[0] == 0:
        size = 1 + count
    elif data[0] == 1:
        size = 2
    else:
        demand(len(data) >= 5, "a coded stream is whole")
        size = 5 + int.from_bytes(data[1:5], "little")
    demand(len(data) >= size, "a coded stream is whole")
    stream, rest = data[:size], data[size:]
    if stream[0] == 0:
        return list(stream[1:]), rest
    if stream[0] == 1:
        return [stream[1]] * count, rest
    return decode_lanes(stream[5:], count), rest


def decode_stream(data, count):
    symbols, rest = take_stream(data, count)
    demand(not rest, "nothing behind a coded stream")
    return symbols


def decode_lanes(body, count):
    f, at = read_frequencies(body)
    lanes = 1
    while lanes < 1024 and 2 * lanes * 4096 <= count:
        lanes *= 2
    demand(len(body) >= at + 4 * lanes and (len(body) - at) % 2 == 0, "whole states and words")
    states = list(struct.unpack_from(f"<{lanes}I", body, at))
    words = [word for (word,) in struct.iter_unpack("<H", body[at + 4 * lanes :])]
    demand(min(states) >= 2**16, "states")
    # Slot -> its symbol, and how many slots of this symbol are before it.
    slots = [(s, within) for s in range(256) for within in range(f[s])]
    symbols, taken = [], 0
    for i in range(count):
        x = states[i % lanes]
        s, within = slots[x % 2**14]
        x = f[s] * (x // 2**14) + within
        if x < 2**16:
            demand(taken < len(words), "enough words")
            x = x * 2**16 + words[taken]
            taken += 1
        states[i % lanes] = x
        symbols.append(s)
    demand(taken == len(words) and set(states) == {2**16}, "the end of a coded stream")
    return symbols


def read_frequencies(body):
    """Frequencies of all symbols, and how many bytes they take."""
    f, at = [], 1
    while at == 1 or len(f) <= body[0]:
        demand(at + 1 < len(body), "whole frequencies")
        first, second = body[at], body[at + 1]
        if first == 0:
            f += [0] * (second + 1)
            at += 2
        elif first < 128:
            f.append(first)
            at += 1
        else:
            demand(1 <= second <= 127, "frequency in two bytes")
            f.append(second * 128 + first - 128)
            at += 2
    demand(len(f) == body[0] + 1 and f[-1] > 0 and sum(f) == 2**14, "frequencies")
    return f + [0] * (256 - len(f)), at


def splitmix64(seed, k):
    mask = 2**64 - 1
    z = seed + (k + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def to_binary32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]
