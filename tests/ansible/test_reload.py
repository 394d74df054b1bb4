"""A reload that a program does not take is not called one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from ansible_modules import run_module
from fake_host import FakeHost

# A master with one worker; a signal gives it another one, unless it refuses its configuration.
MASTER = """
import os, pathlib, signal, socket, sys
refuses = pathlib.Path(sys.argv[1])
listening = socket.create_server(("127.0.0.1", 0))

def worker(*_):
    if not refuses.exists():
        if not os.fork():
            signal.pause()
            os._exit(0)

signal.signal(signal.SIGHUP, worker)
worker()
print(listening.getsockname()[1], flush=True)
while True:
    signal.pause()
"""
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> ROOT/calls
case $1 in
show) echo "MainPID=$(cat ROOT/master)" ;;
reload-or-restart) kill -HUP "$(cat ROOT/master)" ;;
restart) rm -f ROOT/refuses; kill -HUP "$(cat ROOT/master)" ;;
esac
"""
Reload = Callable[..., dict[str, object]]


@pytest.fixture
def master(host: FakeHost) -> Iterator[int]:
    """A running program; its port."""
    systemctl = host.root / "bin/systemctl"
    systemctl.write_text(SYSTEMCTL.replace("ROOT", str(host.root)))
    with subprocess.Popen(
        [sys.executable, "-c", MASTER, host.root / "refuses"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        (host.root / "master").write_text(str(process.pid))
        yield port
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def reload(master: int) -> Reload:
    given = {"unit": "nginx.service", "ports": [master], "seconds": 1}
    return lambda **more: run_module("reload", **(given | more))


def test_a_reload_that_is_taken(host: FakeHost, reload: Reload) -> None:
    told = reload()
    assert (told["changed"], told["restarted"]) == (True, False)
    assert not host.calls("systemctl restart")


@pytest.mark.slow
def test_a_program_that_is_in_its_own_way_is_restarted(host: FakeHost, reload: Reload) -> None:
    """As nginx is, that has a port on all addresses and is to have it on one."""
    (host.root / "refuses").touch()
    told = reload()
    assert (told["changed"], told["restarted"]) == (True, True)


@pytest.mark.slow
def test_a_port_that_another_program_has(host: FakeHost, reload: Reload, master: int) -> None:
    """What serves goes on, with its old configuration."""
    (host.root / "refuses").touch()
    with socket.create_server(("127.0.0.2", master)):
        told = reload()
    assert f"another program has port {master} (" in str(told["msg"])
    assert str(os.getpid()) in str(told["msg"])
    assert not host.calls("systemctl restart")


def test_nothing_is_reloaded_in_check_mode(host: FakeHost, reload: Reload) -> None:
    assert reload(check=True)["changed"]
    assert not host.calls("systemctl reload")


def test_a_failed_reload_says_what_systemd_says(host: FakeHost, reload: Reload) -> None:
    text = "#!/bin/sh\n[ $1 = show ] || { echo Unit not found. >&2; exit 5; }\n"
    (host.root / "bin/systemctl").write_text(text)
    assert "reload-or-restart nginx.service: Unit not found." in str(reload()["msg"])
