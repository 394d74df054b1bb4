"""Answers for the search page, made up: what a real fleet says too rarely to wait for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import Page, Request, Route

Told = tuple[int, Any] | tuple[int, Any, dict[str, str]]


def result(text: str = "how do vaccines work", **changes: Any) -> dict[str, Any]:
    """One of the results."""
    usual = {
        "id": "d-1",
        "text": text,
        "answer": "They teach the body.",
        "score": 0.91234,
        "lexical": 0.5,
        "metadata": {"set": "FAQ"},
    }
    return {**usual, **changes}


def found(results: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """An answer of /v1/search; ``changes`` are of its one question."""
    own = {
        "match": results[0]["id"] if results else None,
        "confidence": None,
        "results": results,
        "partial": False,
        "shards_asked": [0, 2],
        "shards_missing": [],
        **changes,
    }
    times = {"encode": 3.2, "route": 0.2, "search": 1.5, "merge": 0.1, "total": 5.0}
    return {
        "generation": "20260101T000000Z-00000000",
        "model": "0" * 16,
        "partial": own["partial"],
        "queries": [own],
        "timings_ms": times,
    }


def problem(
    status: int, code: str, detail: str = "what is wrong", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """An error as the fleet tells it."""
    body = {"type": "urn:x", "title": "T", "status": status, "detail": detail, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, body, {"X-Request-ID": "r-4711", **named}


def answering(page: Page, *told: Told | Callable[[Request], Told]) -> list[Request]:
    """Have the page told these, one after the other, the last for ever; what it asked is kept."""
    asked: list[Request] = []

    def answer(route: Route) -> None:
        one = told[min(len(asked), len(told) - 1)]
        asked.append(route.request)
        status, body, *headers = one(route.request) if callable(one) else one
        text = body if isinstance(body, str) else json.dumps(body)
        route.fulfill(status=status, body=text, headers=headers[0] if headers else {})

    page.route("**/v1/search", answer)
    return asked


def filterable(page: Page, *fields: dict[str, Any]) -> None:
    """Have the page told what it may filter by."""
    body = {"generation": "20260101T000000Z-00000000", "fields": fields}
    page.route("**/v1/filters", lambda route: route.fulfill(json=body))


FIELDS: tuple[dict[str, Any], ...] = (
    {
        "name": "set",
        "type": "keyword",
        "documents": 31105,
        "distinct": 3,
        "values": [
            {"value": "BoolQ", "documents": 12697},
            {"value": "NQ-open", "documents": 3610},
            {"value": "<i>odd</i>", "documents": 1},
        ],
    },
    {
        "name": "year",
        "type": "number",
        "documents": 31105,
        "distinct": 9,
        "min": 1999,
        "max": 2026,
        "values": [{"value": 2020, "documents": 4}],
    },
    {
        "name": "checked",
        "type": "boolean",
        "documents": 31105,
        "distinct": 2,
        "values": [{"value": True, "documents": 20000}, {"value": False, "documents": 11105}],
    },
)
