"""A process dies, or hangs."""

import time

import pytest
from chaos_wait import host_is_well, until
from lab_breaks import signal_unit
from lab_hosts import unit_properties

KILLED = [
    ("encoder-1", "askfleet-encoder.service"),
    ("gateway-1", "askfleet-gateway.service"),
    ("gateway-2", "nginx.service"),
    ("shard-a", "askfleet-shard@0.service"),
]
HUNG = [
    ("encoder-2", "askfleet-encoder.service"),
    ("gateway-2", "askfleet-gateway.service"),
    ("shard-b", "askfleet-shard@1.service"),
]


@pytest.mark.parametrize(("host", "unit"), KILLED)
def test_killed(under_load, host, unit):
    restarts = _restarts(host, unit)
    with under_load():
        time.sleep(1)
        signal_unit(host, unit, "KILL")
        until(lambda: _restarts(host, unit) > restarts and host_is_well(host))
        time.sleep(2)
    assert unit_properties(host, unit, "ActiveState") == {"ActiveState": "active"}


@pytest.mark.parametrize(("host", "unit"), HUNG)
def test_hung(under_load, host, unit):
    """Its kernel still accepts connections for it; the watchdog ends it."""
    restarts = _restarts(host, unit)
    with under_load() as load:
        time.sleep(1)
        signal_unit(host, unit, "STOP")
        until(lambda: _restarts(host, unit) > restarts)
    assert load.longest < 3.0


def _restarts(host: str, unit: str) -> int:
    """How often systemd has started it again by itself."""
    return int(unit_properties(host, unit, "NRestarts")["NRestarts"])
