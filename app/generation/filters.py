"""Filters on metadata: what callers may write, checked against the fields of a generation.

``{"set": "BoolQ", "lang": ["en", "de"], "year": {"gte": 2020, "lt": 2024}}``: a document passes
where each of these fields has one of the values, or a number in the range. A field of a document
may have several values, or none.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError
from app.generation.manifest_parts import FilterField

# Whole numbers beyond this are not told apart as JSON numbers.
MAX_WHOLE = 1 << 53
# Bytes of a filter as JSON, and values in all of its fields.
MAX_FILTER = 16_384
MAX_VALUES = 1000
# How values of each kind are stored.
DTYPES = {
    "keyword": np.dtype(np.uint64),
    "number": np.dtype(np.float64),
    "boolean": np.dtype(np.float64),
}
_ONE = {"keyword": "a string", "number": "a number up to 2**53", "boolean": "true or false"}
_MANY = {"keyword": "strings", "number": "numbers", "boolean": "true and false"}
_BOUNDS = ("gte", "gt", "lte", "lt")


@dataclass(frozen=True, slots=True)
class Condition:
    """What one field, by its place, must have.

    One of ``among``, which is ascending; where None, one of low..high.
    """

    field: int
    among: NDArray[Any] | None
    low: float = -math.inf
    high: float = math.inf

    def met_by(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of stored values (n,) meet it."""
        if self.among is None:
            return np.asarray((values >= self.low) & (values <= self.high))
        if len(self.among) == 1:
            return np.asarray(values == self.among[0])
        near = np.minimum(np.searchsorted(self.among, values), len(self.among) - 1)
        return np.asarray(self.among[near] == values)


def stored(value: object, kind: str) -> int | float | None:
    """How a value is stored; None where it is not of this kind.

    Words are known by 64 bits of BLAKE2b: no file needs a list of all of them, and a document that
    comes or goes changes no other's. The builder refuses two words of equal bits.
    """
    if kind == "keyword" and isinstance(value, str):
        # Half of a surrogate pair, which no document has, must not end in an error.
        digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "little")
    if kind == "boolean" and isinstance(value, bool):
        return float(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "number" and number and abs(value) <= MAX_WHOLE:  # type: ignore[arg-type]  # a number
        return float(value)  # type: ignore[arg-type]  # as above
    return None


def filter_text(wanted: Mapping[str, object]) -> str:
    """A filter as text: equal ones give the same.

    Raises: ProblemError 400 where it is too long, or cannot be written as UTF-8.
    """
    try:
        text = json.dumps(wanted, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except UnicodeEncodeError as error:
        detail = "filter holds half of a surrogate pair"
        raise ProblemError(400, "bad_filter", detail, field="filter") from error
    except RecursionError as error:
        raise ProblemError(
            400, "bad_filter", "filter is nested too deep", field="filter"
        ) from error
    if size > MAX_FILTER:
        detail = f"filter has {size:,} bytes as JSON, at most {MAX_FILTER:,}"
        raise ProblemError(400, "bad_filter", detail, field="filter")
    return text


def conditions(text: str, fields: Sequence[FilterField]) -> tuple[Condition, ...]:
    """What a filter asks of a generation with these fields.

    Raises: ProblemError 400 naming the field that is unknown, or has a value of another kind.
    """
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError):
        wanted = None
    if not isinstance(wanted, dict):
        raise ProblemError(400, "bad_filter", "filter must be an object", field="filter")
    many = sum(len(value) for value in wanted.values() if isinstance(value, list))
    if many > MAX_VALUES:
        detail = f"filter has {many:,} values, at most {MAX_VALUES:,}"
        raise ProblemError(400, "bad_filter", detail, field="filter")
    places = {field.name: place for place, field in enumerate(fields)}
    found = []
    for name, value in wanted.items():
        if name not in places:
            raise _unknown(name, fields)
        place = places[name]
        found.append(_condition(place, fields[place], value))
    return tuple(found)


def _condition(place: int, field: FilterField, value: object) -> Condition:
    if field.kind == "number" and isinstance(value, dict):
        return _range(place, field.name, value)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise _fault(field.name, "is an empty list, which no document passes")
    numbers = [stored(one, field.kind) for one in values]
    if any(number is None for number in numbers):
        bounds = ", or an object of gte, gt, lte and lt" if field.kind == "number" else ""
        raise _fault(
            field.name, f"must be {_ONE[field.kind]} or a list of {_MANY[field.kind]}{bounds}"
        )
    return Condition(place, np.unique(np.array(numbers, DTYPES[field.kind])))


def _range(place: int, name: str, bounds: Mapping[str, object]) -> Condition:
    low, high = -math.inf, math.inf
    if not bounds or not set(bounds) <= set(_BOUNDS):
        raise _fault(name, f"must be an object of {', '.join(_BOUNDS)}, one or more of them")
    for bound, value in bounds.items():
        number = stored(value, "number")
        if number is None:
            raise _fault(f"{name}.{bound}", "must be a number")
        if bound in ("gte", "gt"):
            low = max(low, number if bound == "gte" else math.nextafter(number, math.inf))
        else:
            high = min(high, number if bound == "lte" else math.nextafter(number, -math.inf))
    return Condition(place, None, low, high)


def _fault(name: str, what: str) -> ProblemError:
    field = f"filter.{_shown(name)}"
    return ProblemError(400, "bad_filter", f"{field} {what}", field=field)


def _unknown(name: str, fields: Sequence[FilterField]) -> ProblemError:
    known = ", ".join(field.name for field in fields)
    has = f"it has {known}" if fields else "it has none (it was built without --filterable)"
    detail = f"this generation has no field {_shown(name)!r} to filter by: {has}"
    return ProblemError(400, "bad_filter", detail, field=f"filter.{_shown(name)}")


def _shown(name: str) -> str:
    """A caller's own word, cut short, in what UTF-8 can write."""
    return name[:100].encode("utf-8", "backslashreplace").decode()
