"""A host is gone, cannot be reached, or is slow to reach; all replicas of something are gone."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from chaos_network import Wire
from chaos_wait import until, until_well, whole
from lab_breaks import kill_host, revive, shut_down
from lab_hosts import ADDRESS, EDGES, ENCODERS, HOSTS, run_on
from lab_plays import URL

LONGEST = 3.0  # seconds; the aim is 1.5, this machine may be busy. The figure is printed
SOME = 6.0  # seconds that a fault lasts


@pytest.mark.parametrize("host", ["encoder-1", "gateway-1", "shard-c"])
def test_powered_off(under_load, host):
    with under_load() as load:
        time.sleep(1)
        kill_host(host)
        time.sleep(SOME)
        revive()
    assert load.longest < LONGEST


@pytest.mark.parametrize("host", ["encoder-2", "gateway-2", "shard-b"])
def test_unreachable(under_load, host):
    """Packets vanish; nobody hangs up."""
    with under_load() as load, Wire(host) as wire:
        time.sleep(1)
        wire.loss = 1.0
        time.sleep(SOME)
    assert load.longest < LONGEST


@pytest.mark.parametrize(("delay", "loss"), [(0.2, 0.0), (0.0, 0.05)], ids=["delay", "loss"])
def test_bad_network(under_load, delay, loss):
    """To and from one host of each kind."""
    with (
        under_load() as load,
        Wire("encoder-1") as encoder,
        Wire("gateway-1") as gateway,
        Wire("shard-a") as shard,
    ):
        for wire in (encoder, gateway, shard):
            wire.delay, wire.loss = delay / 2, loss  # there and back
        time.sleep(2 * SOME)
    assert load.p99 < LONGEST


def test_both_replicas_of_a_shard_are_gone(under_load, made_fleet, tell):
    with under_load(missing=2) as load:
        for host in ("shard-b", "shard-c"):
            kill_host(host)
        time.sleep(SOME)
        answer = requests.get(f"{URL}/v1/search?q=shards&probe=all&cache=0", timeout=10).json()
        alone = Counter(ask_one_shard(number) for number in range(40))
        revive()
        tell(f"whole again after {until(whole):.1f} s")
    tell(f"of 40 questions that ask one shard {dict(alone)}")
    assert set(alone) == {(200, None), (503, "shards_unavailable")}
    assert load.partial
    assert answer["partial"]
    assert answer["queries"][0]["shards_missing"] == [2]
    assert answer["queries"][0]["results"]
    with made_fleet.load(made_fleet.now) as again:
        time.sleep(3)
    again.check()


def ask_one_shard(number: int) -> tuple[int, str | None]:
    """Status and code of a question that asks one shard, whichever that is."""
    answer = requests.get(f"{URL}/v1/search?q=number+{number}&probe=1&cache=0", timeout=10)
    return answer.status_code, answer.json().get("code")


def test_no_encoder_is_left(made_fleet, tell):
    units = ("askfleet-encoder.socket", "askfleet-encoder.service")
    for host in ENCODERS:
        run_on(host, "systemctl", "stop", *units)
    try:
        start = time.monotonic()
        answer = requests.get(f"{URL}/v1/search?q=nobody+asked+this&cache=0", timeout=20)
        tell(f"answered {answer.status_code} after {time.monotonic() - start:.2f} s")
    finally:
        for host in ENCODERS:
            run_on(host, "systemctl", "start", *units)
    assert time.monotonic() - start < 5 + LONGEST
    assert (answer.status_code, answer.json()["code"]) == (503, "encoder_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    until_well()
    with made_fleet.load(made_fleet.now) as load:
        time.sleep(2)
    load.check()


@pytest.mark.long
def test_all_rebooted_one_by_one(under_load):
    """But the first edge, whose connections nobody takes over."""
    with under_load():
        for host in (host for host in HOSTS if host != EDGES[0]):
            shut_down(host)
            revive()
            until_well()


def test_all_rebooted_at_once(made_fleet, tell):
    before = made_fleet.picture()
    with ThreadPoolExecutor() as pool:
        list(pool.map(shut_down, HOSTS))
    revive()
    tell(f"normal {until_well() + until(whole):.1f} s after the last was up")
    until(lambda: ADDRESS in run_on(EDGES[0], "ip", "-oneline", "address"))
    assert made_fleet.picture() == before
    with made_fleet.load(made_fleet.now) as load:
        time.sleep(2)
    load.check()
