"""A gateway of two processes: any of them answers health pages and metrics for both."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from service_process import ServiceProcess, service
from small_generations import SmallGeneration, build_small, flip, link

WATCHDOG_SECONDS = 2.0


@pytest.fixture(scope="module")
def generations(tmp_path_factory: pytest.TempPathFactory) -> list[SmallGeneration]:
    first = build_small(tmp_path_factory.mktemp("first"))
    texts = [f"another text {number}" for number in range(40)]
    return [first, build_small(tmp_path_factory.mktemp("second"), texts, artefact=first.artefact)]


@pytest.fixture
def links(generations: list[SmallGeneration], tmp_path: Path) -> Path:
    return link(tmp_path / "links", generations[0].directory)


@pytest.fixture
def gateway(links: Path, tmp_path: Path) -> Iterator[ServiceProcess]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environ = {
        "ASKFLEET_LINKS": str(links),
        "ASKFLEET_DRAIN_FILE": str(tmp_path / "drain"),
        "ASKFLEET_PROCESSES": "2",
        "ASKFLEET_ENCODER_URL": "http://127.0.0.1:9",
        "ASKFLEET_SHARD_URLS": ",".join(["http://127.0.0.1:9"] * 3),
        "ASKFLEET_RECORD_QUESTIONS": "5",
        "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6)),
        "TMPDIR": str(temporary),
    }
    with service("gateway", environ, tmp_path) as process:
        process.ready()
        yield process
        assert "Traceback" not in process.log.read_text()


def ask(gateway: ServiceProcess, path: str) -> tuple[int, bytes]:
    connection = gateway.connect()
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def health(gateway: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(gateway, "/health")[1])
    return found


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (OSError, HTTPException, ValueError):
            pass
        assert time.monotonic() < ends
        time.sleep(0.05)


def workers(gateway: ServiceProcess) -> list[int]:
    pid = gateway.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def statuses(gateway: ServiceProcess) -> list[str]:
    return [one["status"] for one in health(gateway)["processes"]]


def test_any_tells_what_users_asked_each(gateway: ServiceProcess) -> None:
    status, body = ask(gateway, "/recorded")
    assert status == 200
    nothing = {"seen": 0, "texts": []}
    assert (
        json.loads(body)["processes"]
        == [{"asked": nothing, "unanswered": {**nothing, "nearest": []}}] * 2
    )


def test_ready_is_said_when_both_can_answer(gateway: ServiceProcess) -> None:
    assert len(workers(gateway)) == 2
    status, body = ask(gateway, "/health")
    assert status == 200
    assert json.loads(body)["status"] == "ok"
    assert statuses(gateway) == ["ok", "ok"]


def test_metrics_are_those_of_both(gateway: ServiceProcess) -> None:
    for _ in range(20):
        assert ask(gateway, "/v1/search?q=a&cache=0")[0] in (502, 503)
    told = ask(gateway, "/metrics")[1].decode()
    lines = [line for line in told.splitlines() if line.startswith("askfleet_requests_total{")]
    counted = [line for line in lines if 'endpoint="/v1/search"' in line]
    assert sum(float(line.split()[-1]) for line in counted) == 20
    ready = [line for line in told.splitlines() if line.startswith("askfleet_ready{")]
    assert ready == ['askfleet_ready{process="0"} 1.0', 'askfleet_ready{process="1"} 1.0']
    assert told.count("# TYPE askfleet_ready gauge") == 1


def test_a_flip_is_told_when_both_have_flipped(
    gateway: ServiceProcess, links: Path, generations: list[SmallGeneration]
) -> None:
    assert health(gateway)["generations"]["current"] == generations[0].manifest.id
    flip(links, "current", generations[1].directory)
    until(lambda: health(gateway)["status"] == "ok")
    told = health(gateway)
    wanted = generations[1].manifest.id
    assert told["generations"]["current"] == wanted
    assert [one["generations"]["current"] for one in told["processes"]] == [wanted] * 2


def test_a_drained_gateway_is_drained_in_both(gateway: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "drain").touch()
    assert ask(gateway, "/readyz")[0] == 503
    assert health(gateway)["status"] == "draining"
    assert statuses(gateway) == ["draining", "draining"]


def test_a_process_that_dies_comes_back_and_the_other_answers(gateway: ServiceProcess) -> None:
    dead, lives = workers(gateway)
    os.kill(dead, signal.SIGKILL)
    until(lambda: workers(gateway) != [dead, lives] and len(workers(gateway)) == 2)
    assert lives in workers(gateway)
    until(lambda: statuses(gateway) == ["ok", "ok"])
    assert gateway.process.poll() is None


def test_a_process_that_hangs_is_told_and_ends_the_watchdogs_pings(
    gateway: ServiceProcess,
) -> None:
    hangs = workers(gateway)[0]
    gateway.wait_for("WATCHDOG=1")
    os.kill(hangs, signal.SIGSTOP)
    try:
        until(lambda: health(gateway)["status"] == "silent")
        assert sorted(statuses(gateway)) == ["ok", "silent"]
        assert ask(gateway, "/readyz")[0] == 503
        time.sleep(WATCHDOG_SECONDS)
        while gateway.heard() is not None:
            pass  # what was sent before
        assert gateway.heard(WATCHDOG_SECONDS) is None
    finally:
        os.kill(hangs, signal.SIGCONT)
    until(lambda: health(gateway)["status"] == "ok")
    gateway.wait_for("WATCHDOG=1")


def test_sigterm_ends_both_and_leaves_nothing(gateway: ServiceProcess, tmp_path: Path) -> None:
    assert list((tmp_path / "temporary").iterdir()) != []
    begun = time.monotonic()
    gateway.terminate()
    assert gateway.exit_code() == 0
    assert time.monotonic() - begun < 3
    assert list((tmp_path / "temporary").iterdir()) == []
