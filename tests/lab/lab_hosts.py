"""The test lab's hosts seen from the machine below them: files, commands, health, links."""

import json
import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from lab_plays import NAME, SUBNET

STATE = Path("/var/lib/askfleet-lab", NAME)
RUN = Path("/run/askfleet-lab", NAME)
NAMESPACE = Path("/run/netns", NAME)

# What the issue says there must be: host -> (last number of its address, unit -> port).
HOSTS: dict[str, tuple[int, dict[str, int]]] = {
    "edge-1": (10, {}),
    "gateway-1": (11, {"askfleet-gateway": 7000}),
    "gateway-2": (12, {"askfleet-gateway": 7000}),
    "encoder-1": (21, {"askfleet-encoder": 7100}),
    "encoder-2": (22, {"askfleet-encoder": 7100}),
    "shard-a": (31, {"askfleet-shard@0": 7200, "askfleet-shard@1": 7201}),
    "shard-b": (32, {"askfleet-shard@1": 7201, "askfleet-shard@2": 7202}),
    "shard-c": (33, {"askfleet-shard@2": 7202, "askfleet-shard@3": 7203}),
    "shard-d": (34, {"askfleet-shard@0": 7200, "askfleet-shard@3": 7203}),
}
GATEWAYS = [host for host in HOSTS if host.startswith("gateway-")]
EDGES = ["edge-1", "gateway-2"]  # the first has ADDRESS, the other takes it over
ADDRESS = f"{SUBNET}.9"
SHARDS = [host for host in HOSTS if host.startswith("shard-")]
ENCODERS = [host for host in HOSTS if host.startswith("encoder-")]


def kind_of(unit: str) -> str:
    """encoder, gateway or shard."""
    return unit.removeprefix("askfleet-").partition("@")[0]


def address(host: str) -> str:
    """The host's own address."""
    return f"{SUBNET}.{HOSTS[host][0]}"


def root(host: str) -> Path:
    """The host's root directory; what is a tmpfs in the host (/run, /tmp) is not below it."""
    return STATE / "hosts" / host / "root"


def run_on(host: str, *command: str, check: bool = True) -> str:
    """Run a command as root inside a host, past ssh; returns what it printed."""
    _, init = host_processes(host)
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
    result = subprocess.run(
        ["nsenter", f"--target={init}", *namespaces, "--", *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not check or result.returncode == 0, f"{host}: {command}: {result.stderr}"
    return result.stdout


def host_processes(host: str) -> tuple[int, int]:
    """systemd-nspawn's process, and the host's init, which is its child."""
    leader = int((RUN / f"{host}.pid").read_text(encoding="ascii"))
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text(encoding="ascii")
    return leader, int(children.split()[0])


def unit_properties(host: str, unit: str, *names: str) -> dict[str, str]:
    """systemd's properties of a unit."""
    shown = run_on(host, "systemctl", "show", f"--property={','.join(names)}", unit)
    return dict(line.split("=", 1) for line in shown.splitlines())


def health(without: Collection[str] = ()) -> dict[str, dict]:
    """ "host unit" -> what its /health says, asked directly, past every nginx."""
    answers = {}
    for host, (_, units) in HOSTS.items():
        if host in without:
            continue
        for unit, port in units.items():
            url = f"http://127.0.0.1:{port}/health"  # the firewall lets nobody else ask
            answer = run_on(host, "curl", "--silent", "--max-time", "10", url, check=False)
            assert answer, f"{host} {unit}: {url} does not answer"
            answers[f"{host} {unit}"] = json.loads(answer)
    return answers


def serving(without: Collection[str] = ()) -> dict[str, tuple[str | None, str | None]]:
    """ "host unit" -> current and previous generation (of encoders: model); all must be ok."""
    answers = health(without)
    bad = {where: body["status"] for where, body in answers.items() if body["status"] != "ok"}
    assert not bad
    loaded = {where: body.get("models") or body["generations"] for where, body in answers.items()}
    return {where: (ids["current"], ids["previous"]) for where, ids in loaded.items()}


def links() -> dict[str, tuple[str, str]]:
    """ "host kind" -> the names that its links current and previous point at; "" for no link."""
    found = {}
    for host, (_, units) in HOSTS.items():
        for kind in sorted({kind_of(unit) for unit in units}):
            place = root(host) / "srv/askfleet" / kind
            current, previous = (_target(place / name) for name in ("current", "previous"))
            found[f"{host} {kind}"] = (current, previous)
    return found


def _target(link: Path) -> str:
    return link.readlink().name if link.is_symlink() else ""


def parts(host: str) -> set[str]:
    """What lies below /srv/askfleet on a host, links aside: files, relative, hidden ones too."""
    top = root(host) / "srv/askfleet"
    return {
        str((Path(directory) / name).relative_to(top))
        for directory, _, names in os.walk(top)
        for name in names
        if not (Path(directory) / name).is_symlink()
    }


def snapshot(host: str) -> dict[str, tuple[int, int]]:
    """Size and change time of every file that a play could have touched."""
    found = {}
    for top in ("etc", "opt", "srv", "usr/local", "usr/sbin", "var/lib"):
        for directory, below, names in os.walk(root(host) / top):
            below[:] = [name for name in below if name != "prometheus"]  # it writes all the time
            for path in (Path(directory) / name for name in names):
                status = path.lstat()
                found[str(path.relative_to(root(host)))] = (status.st_size, status.st_ctime_ns)
    return found
