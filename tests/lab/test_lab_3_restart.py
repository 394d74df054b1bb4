"""Restarts, in order and out of it."""

import os
import time

import pytest
from lab_hosts import run_on, unit_properties
from lab_load import Load

READY_SECONDS = 10.0  # the aim is 2; this machine may be busy. The figure is printed


@pytest.mark.parametrize(
    ("host", "unit"),
    [
        ("encoder-1", "askfleet-encoder"),
        ("shard-a", "askfleet-shard@0"),
        ("gateway-1", "askfleet-gateway"),
    ],
)
def test_restart_to_ready(host, unit, tell):
    run_on(host, "systemctl", "restart", f"{unit}.service")
    names = ("ActiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic", "MainPID")
    shown = unit_properties(host, f"{unit}.service", *names)
    seconds = (int(shown[names[0]]) - int(shown[names[1]])) / 1e6
    tell(f"start to READY {seconds:.2f} s, of which {_cpu(host, shown['MainPID']):.2f} s CPU")
    assert 0 < seconds < READY_SECONDS


@pytest.mark.parametrize(
    ("host", "unit"),
    [
        ("gateway-1", "askfleet-gateway"),
        ("encoder-1", "askfleet-encoder"),
        ("shard-b", "askfleet-shard@1"),
    ],
)
def test_stop_under_load_fails_nothing(corpora, tell, host, unit):
    """SIGTERM: what is in flight is answered, what comes goes to the other replica."""
    units = (f"{unit}.socket", f"{unit}.service")
    with Load(corpora.by_id("A")) as load:
        time.sleep(2)
        run_on(host, "systemctl", "stop", *units)
        stopped = unit_properties(host, units[1], "ActiveState", "Result", "ExecMainStatus")
        time.sleep(2)
        run_on(host, "systemctl", "start", *units)
        time.sleep(2)
    tell(load)
    load.check()
    assert stopped == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}


def _cpu(host: str, main: str) -> float:
    """Seconds of CPU that a service's processes have used; see proc(5), /proc/PID/stat."""
    pids = [main, *run_on(host, "pgrep", "--parent", main).split()]
    lines = [run_on(host, "cat", f"/proc/{pid}/stat") for pid in pids]
    fields = [line.rpartition(")")[2].split() for line in lines]
    ticks = sum(int(user) + int(system) for *_, user, system in (one[:13] for one in fields))
    return ticks / os.sysconf("SC_CLK_TCK")
