"""What the templates make is accepted by the programs that read it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from pathlib import Path

import jinja2
import pytest
from ansible_sources import ROOT, Run

pytestmark = pytest.mark.slow  # its fixtures are

TEMPLATES = [
    {"src": "systemd/askfleet.service.j2", "end": ".service"},
    {"src": "systemd/askfleet.socket.j2", "end": ".socket"},
    {"src": "env/service.env.j2", "end": ".env"},
]


def render(play: Run, host: str, to: Path, **more: object) -> Path:
    gunicorn = to / "opt/current/bin/python"
    gunicorn.parent.mkdir(parents=True)
    gunicorn.write_text("#!/bin/sh\n")
    gunicorn.chmod(0o755)
    given = {
        "render_host": host,
        "render_to": str(to),
        "render_templates": TEMPLATES,
        "askfleet_source_dir": str(ROOT),
        "askfleet_install_dir": str(to / "opt"),
        **more,
    }
    done = play("-i", "inventory/lab", "-e", json.dumps(given), "tests/ansible/render.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return to


@pytest.fixture(scope="module")
def gateway(play: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(play, "gateway-1", tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def shard(play: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(play, "shard-d", tmp_path_factory.mktemp("shard"))


@pytest.fixture(scope="module")
def edge(play: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(play, "edge-1", tmp_path_factory.mktemp("edge"))


@pytest.fixture(scope="module")
def encoder(play: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(play, "encoder-1", tmp_path_factory.mktemp("encoder"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_accepts_the_units(gateway: Path, shard: Path) -> None:
    units = [*gateway.glob("askfleet-*"), *shard.glob("askfleet-*")]
    assert {u.name for u in units} == {
        f"{name}.{kind}"
        for name in ("askfleet-gateway", "askfleet-shard@0", "askfleet-shard@3")
        for kind in ("service", "socket")
    }
    for directory in (gateway, shard):
        done = run("systemd-analyze", "verify", *directory.glob("askfleet-*"))
        assert done.returncode == 0, done.stderr
        # systemd only warns of a setting it does not know; here it is an error.
        assert "askfleet-" not in done.stderr, done.stderr


def test_questions_go_to_no_disk_and_are_recorded_on_request(
    play: Run, gateway: Path, shard: Path, tmp_path: Path
) -> None:
    recording = render(play, "gateway-1", tmp_path, askfleet_record_questions=50)
    told = {
        where: (directory / "askfleet-gateway.service").read_text()
        + (directory / "gateway.env").read_text()
        for where, directory in (("off", gateway), ("on", recording))
    }
    for word in ("ASKFLEET_RECORD_QUESTIONS=50\n", "MemorySwapMax=0\n"):
        assert word in told["on"]
        assert word.partition("=")[0] not in told["off"]
    for unit in (*gateway.glob("*.service"), *shard.glob("*.service")):
        assert "\nLimitCORE=0\n" in unit.read_text()
    done = run("systemd-analyze", "verify", *recording.glob("askfleet-*"))
    assert (done.returncode, "askfleet-" in done.stderr) == (0, False), done.stderr


def test_a_broken_unit_would_be_seen(shard: Path, tmp_path: Path) -> None:
    text = (shard / "askfleet-shard@0.service").read_text()
    for name in ("askfleet-shard@0.service", "askfleet-shard@0.socket"):
        (tmp_path / name).write_text((shard / name).read_text())
    (tmp_path / "askfleet-shard@0.service").write_text(
        text.replace("WatchdogSec=", "WatchdogSecs=")
    )
    assert (
        "WatchdogSecs"
        in run("systemd-analyze", "verify", tmp_path / "askfleet-shard@0.service").stderr
    )


@pytest.mark.parametrize("kind", ["encoder", "gateway", "shard"])
def test_units_are_exposed_little(kind: str, request: pytest.FixtureRequest) -> None:
    """At most 1.5 of 10, where 10 is root with all it may do."""
    directory: Path = request.getfixturevalue(kind)
    units = sorted(directory.glob("askfleet-*.service"))
    assert units
    judge = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold"]
    for unit in units:
        done = run(*judge, "15", unit)
        assert done.returncode == 0, done.stdout + done.stderr
        assert run(*judge, "5", unit).returncode != 0, "the threshold is not looked at"


def test_the_firewalls_unit_is_exposed_little(tmp_path: Path) -> None:
    text = (ROOT / "templates/systemd/nftables-askfleet.service.j2").read_text()
    unit = tmp_path / "nftables-askfleet.service"
    unit.write_text(jinja2.Template(text).render(firewall_rules="/etc/askfleet.nft"))
    done = run("systemd-analyze", "security", "--offline=true", "--threshold", "15", unit)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_accepts_the_directories(edge: Path, tmp_path: Path) -> None:
    done = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", edge / "tmpfiles.conf")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/askfleet/drain").is_dir()


@pytest.mark.parametrize("kind", ["encoder", "gateway", "shard"])
def test_what_is_served_is_readable_by_its_service_alone(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    user, group = f"askfleet-{kind}", 4711
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(f"root:x:0:0::/:\n{user}:x:{group}:{group}::/:\n")
    (tmp_path / "etc/group").write_text(f"root:x:0:\n{user}:x:{group}:\n")
    own = {
        "encoder": ["models/0123/model.onnx"],
        "gateway": ["generations/id/routing/centroids.npy", "generations/id/canaries.jsonl"],
        "shard": ["generations/id/shard-000/documents.bin"],
    }[kind]
    data = tmp_path / "srv/askfleet"
    for name in own:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch(0o644)
    (data / "generations/id").mkdir(parents=True, exist_ok=True)
    (data / "generations/id").chmod(0o750)
    (data / "generations/id/manifest.json").touch(0o640)
    config = request.getfixturevalue(kind) / "tmpfiles.conf"
    done = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", config)
    assert done.returncode == 0, done.stderr

    def rights(path: Path) -> tuple[int, int, int]:
        status = path.stat()
        return status.st_mode & 0o777, status.st_uid, status.st_gid

    for name in own:
        assert rights(data / name) == (0o640, 0, group)
        if (data / name).parent != data / "generations/id":
            assert rights((data / name).parent) == (0o750, 0, group)
    assert rights(data / "generations/id") == (0o755, 0, 0)
    assert rights(data / "generations/id/manifest.json") == (0o644, 0, 0)


@pytest.mark.parametrize("part", ["gateway", "edge"])
def test_nginx_accepts_its_configuration(part: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(part)
    done = run("nginx", "-t", "-c", path / "nginx.conf", "-e", path / "error.log")
    assert done.returncode == 0, done.stderr


def test_pools_name_every_replica(gateway: Path) -> None:
    text = (gateway / "nginx.conf").read_text()
    for pool, replicas in {
        "pool_encoder": ["198.18.0.21:7100", "198.18.0.22:7100"],
        "pool_shard_0": ["198.18.0.31:7200", "198.18.0.34:7200"],
        "pool_shard_2": ["198.18.0.32:7202", "198.18.0.33:7202"],
    }.items():
        block = text.split(f"upstream {pool} {{")[1].split("}")[0]
        servers = [line.split() for line in block.splitlines() if "server " in line]
        first = [server[1] for server in servers if server[-1] != "backup;"]
        last = [server[1] for server in servers if server[-1] == "backup;"]
        assert first == last == replicas
    assert "listen 127.0.0.1:6203;" in text
    assert "non_idempotent" in text


def test_a_look_reads_the_pools_as_the_template_writes_them(gateway: Path, edge: Path) -> None:
    pools = importlib.import_module("ansible_collections.askfleet.fleet.plugins.module_utils.pools")
    found = pools.replicas(gateway / "nginx.conf")
    assert set(found) == {"encoder", "shard-0", "shard-1", "shard-2", "shard-3"}
    assert found["shard-2"] == ["198.18.0.32:7202", "198.18.0.33:7202"]
    assert pools.replicas(edge / "nginx.conf") == {
        "gateway": ["198.18.0.11:7000", "198.18.0.12:7000"]
    }


def test_pools_offer_their_replicas_one_by_one(gateway: Path) -> None:
    text = (gateway / "nginx.conf").read_text()
    for port, replicas in {
        6100: ["198.18.0.21:7100", "198.18.0.22:7100"],
        6202: ["198.18.0.32:7202", "198.18.0.33:7202"],
    }.items():
        server = text.split(f"listen 127.0.0.1:{port};")[1].split("upstream pool_")[0]
        blocks = re.findall(r"location (/replica/\d+/) {(.+?)}", server, re.DOTALL)
        assert [place for place, _ in blocks] == ["/replica/0/", "/replica/1/"]
        for (_, block), replica in zip(blocks, replicas, strict=True):
            assert f"proxy_pass http://{replica}/;" in block
            assert "proxy_next_upstream off;" in block
        assert "add_header Askfleet-Replicas 2 always;" in server
        assert "add_header Askfleet-Tried $upstream_status always;" in server


def test_settings_are_those_of_the_service(gateway: Path, shard: Path) -> None:
    def read(path: Path) -> dict[str, str]:
        lines = [
            line for line in path.read_text().splitlines() if line and not line.startswith("#")
        ]
        return dict(line.split("=", 1) for line in lines)

    assert read(shard / "shard-3.env")["ASKFLEET_SHARD"] == "3"
    assert read(shard / "shard-3.env")["ASKFLEET_LINKS"] == "/srv/askfleet/shard"
    told = read(gateway / "gateway.env")
    assert told["ASKFLEET_SHARD_URLS"].split(",") == [
        f"http://127.0.0.1:{6200 + i}" for i in range(4)
    ]
    assert told["ASKFLEET_HOST"] == "gateway-1"
    assert told["ASKFLEET_PROCESSES"] == "1", "the lab's, see its inventory"
    assert "ASKFLEET_PROCESSES" not in read(shard / "shard-3.env")
    assert len(told["ASKFLEET_ENCODER_REPLICAS"].split("|")) == 2
    shards = [replicas.split("|") for replicas in told["ASKFLEET_SHARD_REPLICAS"].split(",")]
    assert [len(replicas) for replicas in shards] == [2] * 4
    assert {replica.rpartition(":")[2] for replica in shards[3]} == {"7203"}


def test_without_a_number_a_gateway_counts_its_cores(play: Run, tmp_path: Path) -> None:
    rendered = render(play, "gateway-1", tmp_path, askfleet_processes=0)
    assert "ASKFLEET_PROCESSES=auto" in (rendered / "gateway.env").read_text().splitlines()


def test_a_gateway_may_call_the_replicas_and_others_nobody(gateway: Path, shard: Path) -> None:
    def allowed(path: Path) -> list[str]:
        lines = path.read_text().splitlines()
        told = [line.partition("=")[2] for line in lines if line.startswith("IPAddressAllow=")]
        return " ".join(told).split()

    assert allowed(shard / "askfleet-shard@3.service") == ["localhost"]
    assert allowed(gateway / "askfleet-gateway.service")[0] == "localhost"
    settings = (gateway / "gateway.env").read_text().splitlines()
    replicas = [line.partition("=")[2] for line in settings if "_REPLICAS=" in line]
    called = {one.rpartition(":")[0] for one in ",".join(replicas).replace("|", ",").split(",")}
    assert set(allowed(gateway / "askfleet-gateway.service")[1:]) == called
