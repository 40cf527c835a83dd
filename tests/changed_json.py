"""JSON with something else in one place, as careless and hostile files have it."""

from typing import Any

from hypothesis import strategies as st

# Small, and each of a kind that some reader may not think of.
SMALL_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**31, 2**64, 10**400])
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["\ud800", "\n", "[UNK]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@st.composite
def changed(draw: st.DrawFn, whole: Any, replacements: st.SearchStrategy[Any] = SMALL_JSON) -> Any:
    """
    A JSON value that differs from `whole` in one place.

    There, at any depth, stands something else, or a member is missing. Of each object and list on
    the way every member is as likely, so that a long list hides nothing that stands beside it.
    """
    ends_here = draw(st.integers(0, 2)) == 0
    if ends_here or not isinstance(whole, dict | list) or not whole:
        return draw(replacements)
    key = draw(st.sampled_from(list(whole) if isinstance(whole, dict) else range(len(whole))))
    copy = whole.copy()
    if draw(st.integers(0, 9)) == 0:
        del copy[key]
    else:
        copy[key] = draw(changed(whole[key], replacements))
    return copy
