"""PostgreSQL's own process, from the binaries that PyPI's pgserver carries."""

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

from peer_process import Process, await_until, spawn, stop

# PostgreSQL refuses to run as root; pgserver's own remedy is to add a user to the machine and to
# open every folder above the data to all.
UNPRIVILEGED = "nobody"


def launch(python: Path, directory: Path, port: int) -> Process:
    """Start PostgreSQL on ``directory``'s cluster; returns when it accepts questions."""
    log = directory / "postgres.log"
    server = spawn([python, __file__, directory / "data", str(port)], log)
    try:
        await_until(lambda: accepts(directory / "data", server), server, log)
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


def account() -> dict[str, Any]:
    """Whom PostgreSQL's programs run as, in the words of ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def make_cluster(data: Path) -> None:
    """Make an empty cluster; runs where pgserver is installed."""
    from pgserver._commands import POSTGRES_BIN_PATH

    data.mkdir(mode=0o700)
    if who := account():
        os.chown(data, who["user"], who["group"])
    initdb = [POSTGRES_BIN_PATH / "initdb", "-D", data, "-U", "postgres", "--auth=trust"]
    subprocess.run([*initdb, "--encoding=utf8"], check=True, cwd="/", **who)


def become(data: Path, port: int) -> None:
    """Become the server, under the pid that the driver signals."""
    from pgserver._commands import POSTGRES_BIN_PATH

    if who := account():
        os.setgroups([])
        os.setgid(who["group"])
        os.setuid(who["user"])
    program = str(POSTGRES_BIN_PATH / "postgres")
    where = ["-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    os.execv(program, [program, *where])  # noqa: S606  # a server needs no shell


if __name__ == "__main__":
    become(Path(sys.argv[1]), int(sys.argv[2]))
