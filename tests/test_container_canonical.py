"""Canonical JSON: one text for each value, and nothing else is read."""

import json
import math

import pytest
import reference_reader
from hypothesis import given
from hypothesis import strategies as st

from squadlite.container import canonical
from squadlite.container.layout import MAX_HEADER_BYTES, MAX_HEADER_DEPTH, MAX_HEADER_NODES
from squadlite.errors import HeaderError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_values_come_back_and_so_does_the_text(value):
    text = canonical.dumps(value)
    assert canonical.loads(text) == value
    assert canonical.dumps(canonical.loads(text)) == text


@given(values)
def test_the_rules_of_the_spec_give_the_same_text(value):
    assert canonical.dumps(value) == reference_reader.write_json(value).encode()


@given(values, st.integers(0, 3))
def test_other_spellings_of_the_same_value_are_refused(value, indent):
    other = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False).encode()
    if other != canonical.dumps(value):
        with pytest.raises(HeaderError):
            canonical.loads(other)


@given(st.binary(max_size=60) | st.text('{}[]",:\\ u0123456789.eE+-truefalsn', max_size=60))
def test_any_bytes_are_a_value_or_a_header_error(data):
    data = data if isinstance(data, bytes) else data.encode()
    try:
        value = canonical.loads(data)
    except HeaderError:
        return
    assert canonical.dumps(value) == data


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1}}', "not JSON"),
        (b'{"a":1} ', "not canonical JSON at byte 7"),
        (b'{"a":1,"a":1}', "duplicate key 'a'"),
        (b'{"b":1,"a":2}', "not canonical"),
        (b'{"\\u0061":1}', "not canonical"),
        (b'"\\/"', "not canonical"),
        (b'"\\u00E9"', "not canonical"),
        (b"01", "not JSON"),
        (b"-0", "not canonical"),
        (b"1e2", "not canonical"),
        (b"1.50", "not canonical"),
        (b"1e-999", "not canonical"),
        (b"1e999", "not finite"),
        (b"-1e999", "not finite"),
        (b"NaN", "NaN is not JSON"),
        (b"Infinity", "Infinity is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b"9007199254740992", "at most 2"),
        (b"-9007199254740992", "at most 2"),
        (b"9" * 100_000, "at most 2"),
        (b"1" + b"0" * 400 + b".5", "not finite"),
        (b'"\\ud800"', "UTF-8"),
        (b'{"\\udfff":1}', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xff"', "UTF-8"),
        (b'"\xc0\xaf"', "UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'"\n"', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"/**/1", "not JSON"),
        (b"[" * 17 + b"]" * 17, "deeper than 16"),
        (b"[" * MAX_HEADER_NODES, "deeper"),
        (b"[" * MAX_HEADER_BYTES, "more than 65536 values"),
        (b'{"a":' * 60_000, "deeper"),
        (b'\\"' + b"[" * 100_000, "not JSON"),
        (b'"' + b'\\"' * 500_000, "not JSON"),
        (b"[" + b"0," * MAX_HEADER_NODES + b"0]", "more than 65536 values"),
        (b" " * (MAX_HEADER_BYTES + 1), "at most 1048576"),
    ],
)
def test_attacks_are_refused(attack, message):
    with pytest.raises(HeaderError, match=message):
        canonical.loads(attack)


def test_what_is_just_within_the_limits_is_read():
    deep = b"[" * MAX_HEADER_DEPTH + b"]" * MAX_HEADER_DEPTH
    many = b"[" + b",".join([b"0"] * MAX_HEADER_NODES) + b"]"
    long = b'"' + b"[" * (MAX_HEADER_BYTES - 2) + b'"'
    for text in (deep, many, long):
        assert canonical.dumps(canonical.loads(text)) == text


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "finite"),
        ({"scores": {"f1": [1.0, math.inf]}}, r"header.scores.f1\[1\]: inf"),
        (2**53, "beyond"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "key"),
        ({1: 2}, "key 1"),
        ({"a": {1, 2}}, "header.a: a set"),
        (b"bytes", "a bytes"),
        (nested(16), "deeper"),
        (nested(100_000), "deeper"),
        ("x" * MAX_HEADER_BYTES, "at most 1048576"),
        ([0] * (MAX_HEADER_NODES + 2), "more than 65536"),
    ],
)
def test_what_json_cannot_hold_is_not_written(value, message):
    with pytest.raises(HeaderError, match=message):
        canonical.dumps(value)


def test_a_value_that_contains_itself_is_not_written():
    value = {}
    value["self"] = value
    with pytest.raises(HeaderError, match="deeper"):
        canonical.dumps(value)


def test_tuples_are_written_as_lists():
    assert canonical.dumps({"layer_map": (0, 1)}) == b'{"layer_map":[0,1]}'
