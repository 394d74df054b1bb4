"""Answers of two generations, made by hand."""

from app.wire.preview import Found, Pair, Side


def side(ids: str, *, score: float = 0.9, **more: object) -> Side:
    """An answer whose results are named by letters."""
    results = [
        Found(name, round(score - place / 100, 4), f"text {name}", metadata={"set": "x"})
        for place, name in enumerate(ids)
    ]
    given = {"match": ids[:1] or None, "shards_asked": [0], "ms": 5.0, **more}
    return Side(results, **given)  # type: ignore[arg-type]  # a test's own names


def pair(before: str, after: str, question: str = "q", **more: object) -> Pair:
    """A question, and both answers."""
    return Pair(question, side(before), side(after, **more))
