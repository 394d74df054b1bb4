"""A shard in its real process: READY, watchdog, drain, stop, and what keeps it from starting."""

import json
import os
import shutil
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from service_process import HalfRequest, ServiceProcess, service
from small_generations import SmallGeneration, build_small, link

from app.wire import vectors_to_bytes

# The figure of the project; the machine that tests may be busy, so the best of a few tries counts.
TRIES, SECONDS = 8, 2.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def environ(small: SmallGeneration, tmp_path: Path) -> dict[str, str]:
    return {
        "ASKFLEET_SHARD": "0",
        "ASKFLEET_LINKS": str(link(tmp_path / "links", small.directory)),
        "ASKFLEET_DRAIN_FILE": str(tmp_path / "drain"),
    }


def search_head(small: SmallGeneration, body: bytes) -> bytes:
    return (
        f"POST /search?generation={small.manifest.id}&k=1 HTTP/1.1\r\nHost: shard\r\n"
        f"Askfleet-Model: {small.manifest.model.fingerprint}\r\n"
        f"Content-Length: {len(body)}\r\n"
    ).encode()


def search(process: ServiceProcess, small: SmallGeneration, **headers: str) -> int:
    connection = process.connect()
    connection.request(
        "POST",
        f"/search?generation={small.manifest.id}&k=1",
        body=vectors_to_bytes(small.vectors[:1]),
        headers={"Askfleet-Model": small.manifest.model.fingerprint, **headers},
    )
    status = connection.getresponse().status
    connection.close()
    return status


def test_ready_is_said_when_the_index_is_loaded_and_not_before(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    """The manifest is a pipe here: loading waits until the test writes it."""
    slow = Path(shutil.copytree(small.directory, tmp_path / "slow"))
    manifest = (slow / "manifest.json").read_bytes()
    (slow / "manifest.json").unlink()
    os.mkfifo(slow / "manifest.json")
    environ["ASKFLEET_LINKS"] = str(link(tmp_path / "slow-links", slow))
    with service("shard", environ, tmp_path / "run") as process:
        pipe = os.open(slow / "manifest.json", os.O_WRONLY)  # waits for the worker to read
        assert process.heard() is None, "gunicorn listens, but nothing is loaded"
        os.write(pipe, manifest)
        os.close(pipe)
        process.ready()
        assert process.states == ["READY=1\nSTATUS=serving"]
        assert search(process, small) == 200


def test_a_restart_is_ready_within_two_seconds(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    took, stopped = [], []
    for attempt in range(TRIES):
        with service("shard", environ, tmp_path / f"run-{attempt}") as process:
            took.append(process.ready())
            assert process.get("/readyz") == 200
            before = time.monotonic()
            process.terminate()
            assert process.exit_code() == 0
            stopped.append(time.monotonic() - before)
        if min(took) < SECONDS and min(stopped) < SECONDS:
            break
    with capsys.disabled():
        sys.stdout.write(f" READY after {min(took):.2f} s, stopped after {min(stopped):.2f} s ")
    assert min(took) < SECONDS
    assert min(stopped) < SECONDS


def test_the_watchdog_is_fed_while_the_service_answers(
    environ: dict[str, str], tmp_path: Path
) -> None:
    environ["WATCHDOG_USEC"] = "400000"
    with service("shard", environ, tmp_path / "run") as process:
        process.ready()
        for _ in range(3):
            process.wait_for("WATCHDOG=1")
        assert process.states.count("READY=1\nSTATUS=serving") == 1


def test_without_a_watchdog_nothing_is_pinged(environ: dict[str, str], tmp_path: Path) -> None:
    with service("shard", environ, tmp_path / "run") as process:
        process.ready()
        assert process.get("/livez") == 200
        process.terminate()
        assert process.exit_code() == 0
        assert process.heard() is None


def test_a_request_in_flight_is_finished_and_readiness_says_stopping(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    body = vectors_to_bytes(small.vectors[:1])
    with service("shard", environ, tmp_path / "run") as process:
        process.ready()
        in_flight = HalfRequest(process.port, search_head(small, body), body)
        # Asked before the end, answered after it began; each is one chance to see it.
        probes = [
            HalfRequest(process.port, b"GET /readyz HTTP/1.1\r\nHost: shard\r\n") for _ in range(6)
        ]
        assert process.get("/livez") == 200  # accepted in order: the worker has the others too
        process.terminate()
        process.wait_for_log("Handling signal: term")
        statuses = []
        while probes and 503 not in statuses:
            time.sleep(0.4)
            statuses.append(probes.pop().finish().status)
        assert statuses[-1] == 503
        assert process.process.poll() is None
        assert in_flight.finish().status == 200
        for probe in probes:
            probe.close()
        assert process.exit_code() == 0
    log = process.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_a_kept_socket_queues_what_comes_between_two_processes(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    """Nobody is refused while a service restarts: the kernel keeps the connection."""
    with service("shard", environ, tmp_path / "one") as first:
        first.ready()
        assert search(first, small) == 200
        first.terminate()
        assert first.exit_code() == 0
        assert first.listener is not None
        waiting = first.connect()
        waiting.request("GET", "/livez")
        with service("shard", environ, tmp_path / "two") as second:
            second.ready()
            assert search(second, small) == 200
        waiting.close()


def test_a_service_of_an_ipv6_host_answers_on_both_of_its_sockets(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    with service("shard", environ, tmp_path / "run", ipv6=True) as process:
        process.ready()
        assert search(process, small) == 200
        connection = HTTPConnection("::1", process.port, timeout=10)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        process.terminate()
        assert process.exit_code() == 0


def test_a_bound_address_works_without_systemd(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    notify = tmp_path / "n"
    with service(
        "shard", environ, tmp_path / "run", activated=False, notify=str(notify)
    ) as process:
        process.ready()
        assert search(process, small) == 200
        process.terminate()
        assert process.exit_code() == 0


def test_a_drained_service_passes_canaries_only(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    canary = {"Askfleet-Canary": "1"}
    Path(environ["ASKFLEET_DRAIN_FILE"]).touch()
    with service("shard", environ, tmp_path / "run") as process:
        process.ready()  # the flag outlives a restart, and does not stop one
        assert search(process, small) == 503
        assert search(process, small, **canary) == 200
        assert process.get("/livez") == 200
        assert process.get("/readyz") == process.get("/health") == 503
        assert process.get("/health", Askfleet_Canary="1") == 200
        Path(environ["ASKFLEET_DRAIN_FILE"]).unlink()
        assert search(process, small) == 200
        assert process.get("/readyz") == 200


def test_a_drained_service_that_is_starting_answers_503_itself(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    """The manifest is a pipe, so it loads for as long as the test wants."""
    slow = Path(shutil.copytree(small.directory, tmp_path / "slow"))
    manifest = (slow / "manifest.json").read_bytes()
    (slow / "manifest.json").unlink()
    os.mkfifo(slow / "manifest.json")
    environ["ASKFLEET_LINKS"] = str(link(tmp_path / "slow-links", slow))
    Path(environ["ASKFLEET_DRAIN_FILE"]).touch()
    with service("shard", environ, tmp_path / "run") as process:
        answers = [search(process, small) for _ in range(5)]
        assert answers == [503] * 5
        assert process.heard() is None, "it has not begun to serve"
        Path(environ["ASKFLEET_DRAIN_FILE"]).unlink()
        queued = process.connect()
        queued.request("GET", "/readyz")
        pipe = os.open(slow / "manifest.json", os.O_WRONLY)
        os.write(pipe, manifest)
        os.close(pipe)
        process.ready()
        assert queued.getresponse().status == 200, "the flag went: it waited instead"
        queued.close()
        assert search(process, small) == 200
    assert "Traceback" not in process.log.read_text()


def test_the_first_503_comes_before_ready(
    small: SmallGeneration,
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A connection made right after exec: how long until it is told, against READY."""
    Path(environ["ASKFLEET_DRAIN_FILE"]).touch()
    told, took = [], []
    for attempt in range(TRIES):
        with service("shard", environ, tmp_path / f"run-{attempt}") as process:
            assert search(process, small) == 503
            told.append(time.monotonic() - process.started)
            took.append(process.ready())
        if told[-1] < took[-1]:
            break
    with capsys.disabled():
        sys.stdout.write(f" 503 after {told[-1]:.2f} s, READY after {took[-1]:.2f} s ")
    assert told[-1] < took[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ASKFLEET_LINKS": "/nowhere"}, "/nowhere/current does not exist: run update_index.yml"),
        ({"ASKFLEET_SHRAD": "0"}, "ASKFLEET_SHRAD; did you mean ASKFLEET_SHARD?"),
        ({"ASKFLEET_THREADS": "x"}, "ASKFLEET_THREADS='x' is not a whole number"),
    ],
)
def test_what_keeps_it_from_starting_is_one_clear_line(
    environ: dict[str, str], tmp_path: Path, change: dict[str, str], message: str
) -> None:
    with service("shard", {**environ, **change}, tmp_path / "run") as process:
        assert process.exit_code() != 0
        assert process.heard() is None, "it never said READY"
    log = process.log.read_text()
    assert len([line for line in log.splitlines() if message in line]) == 1, log
    assert "Traceback" not in log


def test_every_line_of_its_log_is_json_with_its_unit_and_level(
    small: SmallGeneration, environ: dict[str, str], tmp_path: Path
) -> None:
    environ["ASKFLEET_UNIT"] = "shard-0"
    with service("shard", environ, tmp_path / "run") as process:
        process.ready()
        assert search(process, small, **{"X-Request-ID": "r-20", "Askfleet-Model": "x"}) == 409
        process.terminate()
        process.exit_code()
        lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert {line["unit"] for line in lines} == {"shard-0"}
    assert any("Listening at" in line["message"] for line in lines), "gunicorn's own"
    (refused,) = [line for line in lines if line["logger"] == "askfleet.request"]
    assert (refused["level"], refused["request_id"]) == ("warning", "r-20")
    assert (refused["status"], refused["code"]) == (409, "model_mismatch")


def test_under_systemd_a_line_begins_with_its_priority(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """sd-daemon(3): journald takes it off again, and `journalctl -p warning` works."""
    environ |= {"JOURNAL_STREAM": "8:1", "ASKFLEET_LINKS": str(tmp_path)}
    with service("shard", environ, tmp_path / "run") as process:
        assert process.exit_code() != 0
        lines = process.log.read_text().splitlines()
    (fatal,) = [line for line in lines if "the service cannot start" in line]
    assert fatal.startswith('<2>{"time":')
    assert all(line[:3] in {"<2>", "<3>", "<4>", "<6>"} for line in lines)
