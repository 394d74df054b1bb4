"""What damage does to a file: hypothesis strategies that change bytes, or members of JSON."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st


@contextmanager
def fails_only_with(error: type[Exception], *names: str) -> Iterator[None]:
    """The block may raise this error, which names one of these things, and no other."""
    told = None
    try:
        yield
    except error as fault:
        told = str(fault)
    assert told is None or any(name in told for name in names), told


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(min(depth, 900)):  # json.dumps itself goes no deeper
        value = [value]
    return value


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 2**31, 2**63, 2**64, 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", ".", "..", "/", "a\x00b", "é" * 300, "../x", "\ud800", "1e999"])
    | st.text(max_size=8)
)

values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
) | st.integers(1, 3000).map(nested)


names = st.text(max_size=4) | st.sampled_from(
    ["x" * 300, "a\x00b", "../x", "/x", "shard-000/" + "x" * 300]
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with one to four cuts, doublings, insertions or changes."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        upto = min(len(content), at + draw(st.integers(0, 12)))
        match draw(st.integers(0, 3)):
            case 0:
                content = content[:at]
            case 1:
                content = content[:at] + content[upto:]
            case 2:
                content = content[:upto] + content[at:]
            case _:
                content = content[:at] + draw(st.binary(max_size=8)) + content[upto:]
    return content


@st.composite
def changed_json(draw: st.DrawFn, value: Any, within: str = "") -> bytes:
    """The JSON with one to three members of any depth replaced, renamed, taken away or added.

    With ``within`` all of them are inside that member of the outermost object.
    """
    tree = {"": copy.deepcopy(value)}
    for _ in range(draw(st.integers(1, 3))):
        holder, key = (tree[""], within) if within else (tree, "")
        while key in holder if isinstance(holder, dict) else True:
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 2)) == 0:
                break
            keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
            holder, key = inner, draw(st.sampled_from(keys))
        if isinstance(holder, dict) and key not in holder:
            continue
        match draw(st.integers(0, 6)):
            case 0 if key != "":
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(names)] = draw(values)
            case 2 | 3 if isinstance(holder[key], int | float):
                holder[key] = draw(st.sampled_from([-1, 0, 0.0, 0.5, 1, -1e308, 1e308, 2**62]))
            case 4 if isinstance(holder, dict) and key != "":
                holder[draw(names)] = holder.pop(key)
            case _:
                holder[key] = draw(values)
    return json.dumps(tree[""]).encode()
