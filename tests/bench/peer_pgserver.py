"""PostgreSQL's own process, from the binaries that PyPI's pgserver carries.

PostgreSQL refuses to run as root, and who it runs as instead may not enter root's directories, nor
the clone. So programs and data are copied to a temporary directory that belongs to that account.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from peer_process import Process, await_until, spawn, stop

UNPRIVILEGED = "nobody"
PROGRAMS = Path("pgserver/pginstall/bin")


def account() -> dict[str, Any]:
    """Whom PostgreSQL's programs run as, in the words of ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def lodge(python: Path, data: Path) -> Path:
    """A temporary directory with the programs and `data`, where there is a cluster.

    ``python`` has pgserver. `leave` removes it.
    """
    [package] = python.parent.parent.glob("lib/python*/site-packages/pgserver")
    home = Path(tempfile.mkdtemp(prefix="askfleet-bench-"))
    try:
        shutil.copytree(package / "pginstall", home / PROGRAMS.parent, symlinks=True)
        # The programs look for it three folders up.
        shutil.copytree(package.with_name("pgserver.libs"), home / "pgserver.libs")
        if data.exists():
            shutil.copytree(data, home / "data")
        if account():
            subprocess.run(["chown", "--recursive", f"{UNPRIVILEGED}:", home], check=True)
    except BaseException:
        leave(home)
        raise
    return home


def leave(home: Path) -> None:
    """Remove it."""
    shutil.rmtree(home, ignore_errors=True)


def make_cluster(home: Path) -> None:
    """Make an empty cluster in ``home``."""
    initdb = [home / PROGRAMS / "initdb", "-D", home / "data", "-U", "postgres"]
    subprocess.run([*initdb, "--auth=trust", "--encoding=utf8"], check=True, cwd="/", **account())


def launch(home: Path, log: Path, port: int) -> Process:
    """Start PostgreSQL on the cluster in ``home``; returns when it accepts questions."""
    command: list[str | Path] = [home / PROGRAMS / "postgres", "-D", home / "data"]
    command += ["-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = spawn(command, log, who=account())
    try:
        await_until(lambda: accepts(home / "data", server), server, log)
    except BaseException:
        stop([server])
        raise
    return server


def accepts(data: Path, server: Process) -> bool:
    """Whether the server says so, where pg_ctl looks: it listens before it has recovered."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return lines[:1] == [str(server.pid)] and lines[-1].strip() == "ready"
