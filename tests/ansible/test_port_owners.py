"""Whoever answers a health check is who was started, or the check fails."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ansible_modules import run_module
from fake_host import FakeHost

STRANGER = 1  # a process that listens on none of these ports
ports: Any = importlib.import_module("ansible_collections.askfleet.fleet.plugins.module_utils.port")
hosts: Any = importlib.import_module("ansible_collections.askfleet.fleet.plugins.module_utils.host")
restart: Any = importlib.import_module(
    "ansible_collections.askfleet.fleet.plugins.module_utils.restart"
)


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status":"ok"}')

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this process, which says that it is well."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_port_knows_its_owner(port: int) -> None:
    assert ports.holds(os.getpid(), port)
    assert not ports.holds(STRANGER, port)
    assert f"(process {os.getpid()})" in ports.owner(port)


def test_a_port_that_nobody_has_has_no_owner() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        assert ports.owner(one.getsockname()[1]) == ""
        assert not ports.holds(os.getpid(), one.getsockname()[1])


def test_another_address_of_the_host_is_another_socket() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.2", 0))
        one.listen()
        assert ports.owner(one.getsockname()[1]) == ""


def test_a_port_that_two_share_belongs_to_neither(port: int) -> None:
    """A service on an IPv6 host has two sockets; that another has one of them is enough."""
    with socket.socket(socket.AF_INET6) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(("::", port))
        one.listen()
        assert ports.holds(os.getpid(), port)
        child = "import sys; input(); print()"
        with subprocess.Popen(
            [sys.executable, "-c", child],
            stdin=subprocess.PIPE,
            pass_fds=[one.fileno()],
        ) as other:
            assert not ports.holds(other.pid, port)
            other.kill()


@pytest.mark.parametrize(
    ("process", "status"), [(None, "ok"), ("own", "ok"), ("1", "silent: port")]
)
def test_another_process_on_a_services_port_is_not_that_service(
    host: FakeHost, process: str | None, status: str
) -> None:
    service = host.service("encoder")
    unit = host.root / "units/askfleet-encoder.service"
    unit.with_suffix(".service.served").write_text("m \n")
    if process:
        unit.with_suffix(".service.pid").write_text(
            str(os.getpid()) if process == "own" else process
        )
    body = hosts.health_of(service)
    assert body["status"].startswith(status)
    if process == "1":
        assert f"(process {os.getpid()})" in body["status"]
        with pytest.raises(restart.StepError, match=r"is answered by .+ \(process"):
            restart.wait([service], lambda _, told: told["status"] == "ok", 0.2)


@pytest.mark.slow
def test_a_unit_must_have_its_ports_itself(host: FakeHost, port: int) -> None:
    """Nginx, reloaded with a port that another process has, keeps its old ones and says ok."""
    unit = host.root / "units/nginx.service.pid"
    given = {"unit": "nginx.service", "ports": [port], "url": f"http://127.0.0.1:{port}"}
    unit.write_text(str(os.getpid()))
    assert not run_module("answers", **given, seconds=0).get("failed")
    unit.write_text(str(STRANGER))
    told = run_module("answers", **given, seconds=0)["msg"]
    assert f"nginx.service does not listen on port {port}" in told
    assert f"(process {os.getpid()})" in told
    assert not run_module("answers", **given, seconds=0, check=True).get("failed")


# --- the stack -----------------------------------------------------------------------------------


def stack(tmp_path: Path, port: int, state: str) -> dict[str, Any]:
    return run_module(
        "stack_ports",
        services=[{"name": "encoder", "port": port, "url": f"http://127.0.0.1:{port}"}],
        nginx_ports=[],
        edges=[],
        run_dir=str(tmp_path),
        log_dir="/logs",
        state=state,
        seconds=0,
    )


@pytest.mark.slow
def test_a_port_of_another_process_is_refused_by_its_name(tmp_path: Path, port: int) -> None:
    (tmp_path / "nginx.pid").write_text(str(os.getpid()))
    (tmp_path / "encoder.pid").write_text(str(STRANGER))
    assert not stack(tmp_path, port, "available").get("failed"), "our own may change places"
    (tmp_path / "nginx.pid").unlink()
    told = stack(tmp_path, port, "available")["msg"]
    assert f"port {port} of encoder is taken by" in told
    assert f"(process {os.getpid()})" in told
    assert "stack_port" in told


def test_a_healthy_answer_of_another_process_does_not_count(tmp_path: Path, port: int) -> None:
    (tmp_path / "nginx.pid").write_text(str(os.getpid()))
    (tmp_path / "encoder.pid").write_text(str(STRANGER))
    told = stack(tmp_path, port, "ready")["msg"]
    assert f"encoder does not have port {port}" in told
    assert "/logs/encoder.log" in told
    (tmp_path / "encoder.pid").write_text(str(os.getpid()))
    assert not stack(tmp_path, port, "ready").get("failed")
