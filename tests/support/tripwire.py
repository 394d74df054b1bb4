"""A fleet whose ssh reaches nobody and leaves a mark: was a host touched?"""

from __future__ import annotations

from pathlib import Path

FLEET = """
edge: {hosts: {edge-1: {ansible_host: 192.0.2.10, PORT: 81}}}
gateways: {hosts: {gateway-1: {ansible_host: 192.0.2.11}}}
encoders: {hosts: {encoder-1: {ansible_host: 192.0.2.21}}}
shards: {hosts: {shard-a: {ansible_host: 192.0.2.31, shards: IDS}}}
all: {vars: {ansible_ssh_executable: SSH, ansible_ssh_retries: 0}}
"""


def fleet_behind_a_tripwire(
    directory: Path, *, port: str = "askfleet_http_port", ids: str = "[0, 1, 2, 3]"
) -> tuple[Path, Path]:
    """Write an inventory whose ssh reaches nobody and leaves a mark; return inventory and mark."""
    mark, ssh, hosts = directory / "touched", directory / "ssh", directory / "hosts.yml"
    ssh.write_text(f"#!/bin/sh\ntouch {mark}\nexit 255\n")
    ssh.chmod(0o755)
    hosts.write_text(FLEET.replace("PORT", port).replace("IDS", ids).replace("SSH", str(ssh)))
    return hosts, mark
