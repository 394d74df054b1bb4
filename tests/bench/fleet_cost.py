"""What an update costs the controller, by the number of hosts.

    .venv/bin/python tests/bench/fleet_cost.py --generation var/generations/<id>

Hosts are simulated: local connections, and check mode, which writes nothing. Every play of
update_index.yml runs, all its conditions are judged and every host is looked at; nothing is sent or
switched. CPU is that of ansible-playbook and all that it starts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
_COUNTS = re.compile(r"^(\S+)\s+: ok=(\d+)\s.*skipped=(\d+)", re.MULTILINE)
OTHERS = 4  # two gateways and two encoders; the rest have two shards each


def inventory(root: Path, hosts: int) -> Path:
    """Write an inventory of so many hosts; returns its path."""
    shards = hosts - OTHERS
    groups: dict[str, dict[str, Any]] = {
        "edge": {"gateway-1": {}, "gateway-2": {}},
        "gateways": {"gateway-1": {}, "gateway-2": {}},
        "encoders": {"encoder-1": {}, "encoder-2": {}},
        "shards": {f"shard-{n}": {"shards": [n, (n + 1) % shards]} for n in range(shards)},
    }
    told = {
        "all": {
            "vars": {
                "ansible_connection": "local",
                "ansible_become": False,
                "ansible_python_interpreter": "/usr/bin/python3",
                "askfleet_shard_count": shards,
            },
            "children": {name: {"hosts": members} for name, members in groups.items()},
        }
    }
    names = list(dict.fromkeys(host for members in groups.values() for host in members))
    for members in groups.values():
        for host, own in members.items():
            high, low = divmod(names.index(host), 250)
            own["askfleet_address"] = f"127.1.{high}.{low + 1}"
    path = root / "hosts.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def cost(generation: Path, hosts: int) -> tuple[float, int, int]:
    """CPU seconds of one run, its (host, task) pairs, and those of the hosts alone."""
    with tempfile.TemporaryDirectory() as root:
        path = inventory(Path(root), hosts)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        settings = [f"generation={generation.name}", f"generation_dir={generation.parent}"]
        done = subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                "-i",
                str(path),
                "update_index.yml",
                "--check",
                *(part for one in settings for part in ("-e", one)),
            ],
            cwd=REPO,
            env={**os.environ, "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1"},
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout[-3000:] + done.stderr[-1000:])
    counts = [int(ok) + int(skipped) for _, ok, skipped in _COUNTS.findall(done.stdout)]
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, sum(counts), len(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generation", type=Path, required=True)
    parser.add_argument("--hosts", default="12,36,68,200")
    told = parser.parse_args()
    print(f"{'hosts':>6} {'CPU s':>8} {'tasks':>8} {'s/task':>8} {'s/host':>8}")
    for hosts in map(int, told.hosts.split(",")):
        spent, tasks, _ = cost(told.generation.resolve(), hosts)
        row = f"{hosts:>6} {spent:>8.1f} {tasks:>8} {spent / tasks:>8.3f} {spent / hosts:>8.2f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
