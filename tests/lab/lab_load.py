"""Questions through nginx for as long as something else happens, every answer checked."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import quote

from lab_corpora import Answer, K, Right
from lab_plays import PORT

THREADS = 8
PAUSE = 1.0  # seconds between two questions of a thread: the machine also runs the play
PATIENCE = 15.0
LONGEST = 5.0  # seconds; the aim is 1, this machine may be busy. The figure is printed


class Load:
    """Eight threads that ask; four keep their connections, four make a new one each time.

    Attributes:
        failed: what went wrong, one line a request: no answer, a status other than 200.
        wrong: answers that no single generation gives, one line each.
        partial: answers that named a shard that was missing.
        refused: requests whose questions ask nothing but that shard.
        waits: of every request, seconds.
        served: answers per generation.
        seconds: how long it went on.
    """

    def __init__(
        self,
        right: Right,
        *,
        pause: float = PAUSE,
        missing: int | None = None,
        reloads: bool = False,
    ) -> None:
        """Ask what is right.

        Args:
            right: the right answers, by generation and question.
            pause: seconds between two questions of a thread.
            missing: a shard that answers may say they lack; by default none may. A question that
                asks it alone may be refused.
            reloads: nginx of the edges is reloaded meanwhile, which closes kept connections that
                wait (before nginx 1.27.4). Who finds one closed asks again on another, as HTTP
                libraries do.
        """
        self._right = right
        self._pause = pause
        self._missing = missing
        self._reloads = reloads
        self._questions = list(next(iter(right.values())))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]
        self._start = time.monotonic()
        self.requests = 0
        self.failed: list[str] = []
        self.wrong: list[str] = []
        self.partial = 0
        self.refused = 0
        self.waits: list[float] = []
        self._longest_at = 0.0
        self.served: Counter[str] = Counter()
        self.seconds = 0.0
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._start

    @property
    def longest(self) -> float:
        """The longest wait, seconds."""
        return max(self.waits, default=0.0)

    @property
    def p99(self) -> float:
        """99 of 100 requests waited no longer, seconds."""
        return sorted(self.waits)[len(self.waits) * 99 // 100] if self.waits else 0.0

    def __str__(self) -> str:
        partial = ""
        if self._missing is not None:
            partial = f"{self.partial} partial, {self.refused} that ask the missing shard alone, "
        return (
            f"{self.requests} requests, {len(self.failed)} failed, {len(self.wrong)} wrong, "
            f"{partial}longest wait {self.longest:.2f} s ({self._longest_at:.0f} s after the start)"
        )

    def check(self) -> None:
        """Assert that enough was asked, that nothing failed and that nothing was wrong."""
        assert self.requests >= THREADS
        assert not self.failed, f"{self}; {self.failed[:20]}"
        assert not self.wrong, f"{self}; {self.wrong[:20]}"
        assert self.longest < LONGEST, f"{self}"

    def flip(self, old: str, new: str) -> float:
        """Seconds from the first answer of one generation to the last one of the other."""
        return max(self._last[old] - self._first[new], 0.0)

    def _run(self, thread: int) -> None:
        keep = thread % 2 == 0
        connection: http.client.HTTPConnection | None = None
        for turn in count(thread * 7):
            if self._stop.wait(self._pause):
                break
            if connection is None or not keep:
                connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
            if not self._ask(connection, turn):
                connection = None
            elif not keep:
                connection.close()
        if connection is not None:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, turn: int) -> bool:
        asked = [self._questions[(turn + step) % len(self._questions)] for step in range(3)]
        method, target, body, judge = KINDS[turn % len(KINDS)](asked)
        start, fault, answer = time.monotonic(), "", {}
        headers = {"Content-Type": "application/json"}
        kept = connection.sock is not None
        try:
            try:
                connection.request(method, target, body, headers)
                response = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                if not (kept and self._reloads):
                    raise
                connection.close()
                connection.request(method, target, body, headers)
                response = connection.getresponse()
            content = response.read()
            if response.status == 200:
                answer = json.loads(content)
            else:
                fault = f"{response.status} {content[:300]!r}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            fault = repr(error)
        wait = time.monotonic() - start
        with self._lock:
            self.requests += 1
            if wait > self.longest:
                self._longest_at = start - self._start
            self.waits.append(wait)
            at = f"{start - self._start:.1f} s: {method} {target[:40]} after {wait:.2f} s"
            if fault and self._may_be_refused(asked[:1] if method == "GET" else asked, fault):
                self.refused += 1
                return True
            if fault:
                self.failed.append(f"{at}: {fault}")
                return False
            self.served[answer["generation"]] += 1
            self._first.setdefault(answer["generation"], start + wait)
            self._last[answer["generation"]] = start + wait
            right = self._right.get(answer["generation"])
            if right is None:
                self.wrong.append(f"{at}: generation {answer['generation']}")
            elif answer["partial"]:
                self._note_partial(answer, at)
            elif not judge(answer, right):
                self.wrong.append(f"{at}: {asked[0]!r} by {answer['generation']}: {content!r:.400}")
        return True

    def _may_be_refused(self, asked: list[str], fault: str) -> bool:
        """Whether these questions ask nothing but the shard that is missing."""
        return "shards_unavailable" in fault and any(
            all(right[one].shards == {self._missing} for one in asked)
            for right in self._right.values()
        )

    def _note_partial(self, answer: dict[str, Any], at: str) -> None:
        queries = answer.get("queries", [])  # /process does not say which
        lacks = {shard for query in queries for shard in query["shards_missing"]}
        if self._missing is None or lacks - {self._missing}:
            self.wrong.append(f"{at}: partial, without {lacks}")
        self.partial += 1


Judge = Callable[[dict[str, Any], dict[str, Answer]], bool]
Kind = Callable[[list[str]], tuple[str, str, bytes | None, Judge]]


def _by_post(asked: list[str]) -> tuple[str, str, bytes | None, Judge]:
    body = json.dumps({"queries": asked, "k": K}).encode()
    return (
        "POST",
        "/v1/search?cache=0",
        body,
        lambda answer, right: (
            len(answer["queries"]) == len(asked)
            and all(map(_is, answer["queries"], [right[one] for one in asked]))
        ),
    )


def _by_get(asked: list[str]) -> tuple[str, str, bytes | None, Judge]:
    """The kind that gateways may answer from memory."""
    target = f"/v1/search?q={quote(asked[0])}&k={K}"
    return (
        "GET",
        target,
        None,
        lambda answer, right: _is(answer["queries"][0], right[asked[0]]),
    )


def _by_process(asked: list[str]) -> tuple[str, str, bytes | None, Judge]:
    body = json.dumps({"instances": asked}).encode()
    return (
        "POST",
        "/process?cache=0",
        body,
        lambda answer, right: answer["matches"] == [right[one].text for one in asked],
    )


def _is(query: dict[str, Any], right: Answer) -> bool:
    """Ids and scores, to the last bit."""
    results = query["results"]
    ids, scores = [one["id"] for one in results], [one["score"] for one in results]
    return ids == right.ids and scores == right.scores


KINDS: tuple[Kind, ...] = (_by_post, _by_get, _by_process)
