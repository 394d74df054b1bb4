"""A replica runs and cannot answer: its data is gone or damaged, or it fails every request."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from chaos_wait import until, until_well
from lab_breaks import answers_500, truncated, without_directory
from lab_hosts import HOSTS, health, links, run_on
from lab_plays import URL, play

SOME = 4.0  # seconds that a fault lasts
HOST, UNIT, PART = "shard-b", "askfleet-shard@1", "shard-001"


def served() -> str:
    """The directory of the generation that the host serves."""
    return f"/srv/askfleet/generations/{links()[f'{HOST} shard'][0]}"


def restart() -> None:
    """So that nothing has been read but what a start reads."""
    run_on(HOST, "systemctl", "restart", "askfleet-shard@*.service")
    until_well()


def test_the_served_directory_is_removed_after_a_restart(under_load):
    """`status.yml` says so though every answer is right."""
    restart()
    with without_directory(HOST, served()), under_load():
        time.sleep(SOME)
        play("status.yml").failed(f"{HOST}: shard-1: its link shard/current is dangling")


def test_a_store_cannot_be_read(under_load, tell):
    """It is out, says why, and is back by itself."""
    restart()
    file = f"{served()}/{PART}/documents.bin"
    with under_load(), ThreadPoolExecutor(16) as pool:
        with truncated(HOST, file):
            out = until(lambda: bool(list(pool.map(ask, range(32)))) and status() == "broken")
            play("status.yml", "-e", "verify=true").failed(
                f"{HOST}: shard-1: {file} has 4096 bytes"
            )
        tell(f"out after {out:.1f} s, back {until(lambda: status() == 'ok'):.1f} s after")


def ask(number: int) -> int:
    """Ask every shard what nobody has asked before."""
    question = f"{number}+of+{time.monotonic_ns()}"
    answer = requests.get(f"{URL}/v1/search?q={question}&probe=all&k=50&cache=0", timeout=10)
    assert answer.status_code == 200
    assert not answer.json()["partial"]
    return answer.status_code


def status() -> str:
    """What the shard says it is."""
    return str(health(set(HOSTS) - {HOST})[f"{HOST} {UNIT}"]["status"])


@pytest.mark.parametrize(
    ("host", "unit", "port"),
    [
        ("encoder-2", "askfleet-encoder", 7100),
        ("gateway-2", "askfleet-gateway", 7000),
        (HOST, UNIT, 7201),
    ],
)
def test_a_replica_answers_500(under_load, host, unit, port):
    with under_load(), answers_500(host, unit, port):
        time.sleep(SOME)
