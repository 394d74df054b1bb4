"""The real nginx with the rendered templates, on free ports of loopback."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).parents[2] / "templates/nginx"
PAGE = Path(__file__).parents[2] / "roles/nginx/files/search_page"


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def configure(
    directory: Path, ports: Mapping[str, int], replicas: Sequence[str], **changes: Any
) -> Path:
    """Write nginx.conf of a host that is edge and gateway, with ``replicas`` behind both.

    Args:
        directory: of the file, the logs and the rest.
        ports: of ``pool``, ``edge`` and ``metrics``.
        replicas: host:port.
        changes: what differs of the role's variables.
    """
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # no HTML
    ).get_template("nginx.conf.j2")
    variables = {
        "ansible_managed": "a test",
        "nginx_user": "root",
        "nginx_run_dir": directory,
        "nginx_log_dir": directory,
        "nginx_temp_dir": directory,
        "nginx_deadline_seconds": 5,
        "nginx_replica_milliseconds": 300,
        "nginx_gateway_milliseconds": 300,
        "nginx_scheme": "http",
        "nginx_open_files": 0,
        "nginx_requests": 4,
        "nginx_rate_per_address": 1000,
        "nginx_rate_per_key": 1000,
        "nginx_connections_per_address": 100,
        "nginx_patience_seconds": 10,
        "nginx_cors_origins": [],
        "nginx_search_page": False,
        "nginx_search_page_dir": PAGE,
        "nginx_inside": ["127.0.0.1"],
        "nginx_gateways": replicas,
        "nginx_host": {
            "pools": [{"name": "shard-0", "port": ports["pool"], "replicas": replicas}],
            "edge": {"listen": ["127.0.0.1"], "port": ports["edge"], "tls": False},
            "exporters": {"nginx": ports["metrics"]},
        },
        "nginx_metrics_addresses": ["127.0.0.1"],
    }
    config = directory / "nginx.conf"
    config.write_text(template.render({**variables, **changes}))
    return config


@contextmanager
def running(config: Path, port: int) -> Iterator[None]:
    """nginx with this configuration, from when it listens on ``port``."""
    command = ["nginx", "-c", config, "-e", config.with_name("error.log"), "-g", "daemon off;"]
    with subprocess.Popen(command) as nginx:
        try:
            ends = time.monotonic() + 10
            while socket.socket().connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < ends, "nginx does not listen"
                time.sleep(0.05)
            yield
        finally:
            nginx.terminate()
