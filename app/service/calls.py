"""Questions that come in frames, for the services that are asked so: encoder and shard.

They pass the same gate, count and log in the same way, and fail by the same statuses and codes as
those that come by HTTP (application.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import ProblemError
from app.service import observe
from app.service.health import check_gate
from app.service.lifecycle import Lifecycle
from app.service.logs import request_id
from app.service.metrics import Metrics
from app.service.problem import problem_answer, unforeseen_answer
from app.service.request import Answer as HttpAnswer
from app.wire import MAX_REQUEST_ID
from app.wire.frames import Answer, Question, Refusal, Reply


@dataclass(frozen=True, slots=True)
class Way:
    """Who answers questions of one type, and the path that the same question has in HTTP.

    ``answer`` raises ProblemError; its second argument says whether the caller has gone.
    """

    path: str
    answer: Callable[[Any, Callable[[], bool]], Answer | Awaitable[Answer]]


class Calls:
    """Answers questions by their type."""

    def __init__(
        self, name: str, lifecycle: Lifecycle, metrics: Metrics, ways: Mapping[Any, Way]
    ) -> None:
        self._name = name
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._ways = ways

    @property
    def served(self) -> bool:
        """Whether this service is asked in frames at all."""
        return bool(self._ways)

    def check(self) -> None:
        """Raise ProblemError where this replica answers no questions now."""
        check_gate(self._name, self._lifecycle, canary=False)

    def answer(self, asked: Question, gone: Callable[[], bool]) -> Reply | Awaitable[Reply]:
        """The reply to one question, at once where it is there at once."""
        begun = time.perf_counter()
        request_id.set(asked.request_id[:MAX_REQUEST_ID])
        way = self._ways.get(type(asked))
        if way is None:
            detail = f"the {self._name} does not answer this kind of question"
            return Refusal(404, "not_found", detail)
        try:
            self.check()
            answer = way.answer(asked, gone)
        except Exception as error:
            return self._failed(way, error, begun)
        if isinstance(answer, Answer):
            return self._answered(way, answer, begun)
        return self._later(way, answer, begun)

    async def _later(self, way: Way, answer: Awaitable[Answer], begun: float) -> Reply:
        try:
            return self._answered(way, await answer, begun)
        except Exception as error:
            return self._failed(way, error, begun)

    def _answered(self, way: Way, answer: Answer, begun: float) -> Answer:
        self._lifecycle.breaker.answered()
        self._metrics.count(way.path, "200", time.perf_counter() - begun, None)
        return answer

    def _failed(self, way: Way, error: Exception, begun: float) -> Refusal:
        told: HttpAnswer
        if isinstance(error, ProblemError):
            told = problem_answer(error)
        else:
            told = unforeseen_answer(error, self._lifecycle.breaker)
        observe.note(self._metrics, "FRAME", way.path, told, time.perf_counter() - begun)
        code, detail = told.problem or ("", "")
        return Refusal(told.status, code, detail)
