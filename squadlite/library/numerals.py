"""Roman numerals, as chapters and the first pages of books have them."""

from itertools import pairwise

_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}


def roman_number(numeral: str) -> int:
    """The number that letters out of "ivxlcdm", in either case, write."""
    values = [_VALUES[letter] for letter in numeral.lower()]
    return sum(
        -value if value < following else value for value, following in pairwise([*values, 0])
    )
