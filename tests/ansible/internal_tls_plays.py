"""What a play of the role internal_tls has done."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from app.tls import Identity

DAY = 86400
PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
Make = Callable[..., "subprocess.CompletedProcess[str]"]


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"shard-a .*changed=(\d+)", done.stdout)
    assert found
    return int(found[1])


def days_left(host: Path) -> float:
    """Until the certificate ends; an identity reads it only where it proves who the host is."""
    return (Identity(host).expires() - time.time()) / DAY
