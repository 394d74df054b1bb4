"""What the modules of askfleet do on a host: links, health, units, locks, the journal."""

from __future__ import annotations

import fcntl
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.client import HTTPException
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ansible_collections.askfleet.fleet.plugins.module_utils.port import holds, owner

LINKS = ("current", "previous")
CANARY = {"Askfleet-Canary": "1"}
JOURNAL = "journal.jsonl"
TLS_DIR = Path("/etc/askfleet-tls")


def read_links(directory: Path) -> dict[str, str]:
    """Return where `current` and `previous` point; "" where there is no link."""
    found = {}
    for name in LINKS:
        link = directory / name
        found[name] = str(link.readlink()) if link.is_symlink() else ""
    return found


def point_links(directory: Path, to: dict[str, str]) -> None:
    """Point the links, each by a rename; `previous` first, so that no moment has neither."""
    for name in reversed(LINKS):
        point_link(directory / name, to[name])


def point_link(link: Path, target: str) -> None:
    """Point a link by a rename, or remove it where there is no target.

    Where the disk takes no new link, the one that `keep_link` has made is used, if it has the
    target: the way back needs neither space nor an inode.
    """
    if not target:
        link.unlink(missing_ok=True)
        return
    if link.is_symlink() and str(link.readlink()) == target:
        return
    new = link.with_name(f".{link.name}.new")
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(target)
    except OSError:
        new = _kept(link)
        if not new.is_symlink() or str(new.readlink()) != target:
            raise
    new.replace(link)


def keep_link(link: Path) -> None:
    """Make a second link with the same target beside a link, before it is changed."""
    kept = _kept(link)
    kept.unlink(missing_ok=True)
    if link.is_symlink():
        kept.symlink_to(link.readlink())


def _kept(link: Path) -> Path:
    return link.with_name(f".{link.name}.before")


def health(url: str, timeout: float = 5.0, path: str = "/health") -> dict[str, Any]:
    """Return what /health says, past a drain flag; `status` is "silent" where nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{url}{path}", headers=CANARY)  # noqa: S310  # our own http://
    try:
        with opener.open(request, timeout=timeout) as answer:
            code, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            code, text = error.code, error.read()
    except (OSError, HTTPException) as error:
        return {"status": "silent", "error": str(error)}
    body: object = None
    with suppress(ValueError):  # not a service of ours: the code says enough
        body = json.loads(text)
    return {"status": f"answers {code}", **(body if isinstance(body, dict) else {})}


def health_of(service: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Return what a service says of itself; what another process says on its port does not count.

    Args:
        service: as the topology describes it.
        timeout: in seconds.
    """
    body = health(service["url"], timeout)
    if body["status"] == "silent":
        return body
    unit = f"{service['unit']}.service"
    process = int(unit_states([unit])[unit].get("MainPID") or 0)
    if process and not holds(process, service["port"]):
        return {"status": f"silent: port {service['port']} is answered by {owner(service['port'])}"}
    return body


def ready(url: str, timeout: float = 1.0, tls_dir: Path = TLS_DIR) -> bool:
    """Whether a service takes traffic at this moment: it answers, is not drained, not stopping."""
    return page(f"{url}/readyz", timeout, tls_dir) is not None


def page(url: str, timeout: float = 1.0, tls_dir: Path = TLS_DIR) -> str | None:
    """What a service answers with 200; None where it does not.

    An `https` URL is asked with this host's own certificate, which lies in `tls_dir`.
    """
    try:
        handlers = [_https(tls_dir)] if url.startswith("https:") else []
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
        with opener.open(url, timeout=timeout) as answer:
            return str(answer.read(), "utf-8", "replace") if answer.status == 200 else None
    except (OSError, HTTPException):
        return None


def _https(tls_dir: Path) -> urllib.request.HTTPSHandler:
    """Both sides show a certificate of the fleet's CA; the other one's is for its address."""
    context = ssl.create_default_context(cafile=tls_dir / "ca.pem")
    context.load_cert_chain(tls_dir / "host.pem", tls_dir / "host.key")
    return urllib.request.HTTPSHandler(context=context)


def loaded(body: dict[str, Any]) -> dict[str, Any]:
    """Return the `current` and `previous` that a service says it serves."""
    return body.get("models") or body.get("generations") or {}


def serves(body: dict[str, Any], target: str) -> bool:
    """Whether a service is well and serves what a link points to."""
    return body["status"] == "ok" and loaded(body).get("current") == Path(target).name


def systemctl(
    verb: str, units: Iterable[str], *options: str, timeout: float = 600.0
) -> tuple[int, str, str]:
    """Run systemctl on units; for no units there is nothing to do, and systemctl would refuse."""
    names = list(units)
    return run(["systemctl", verb, *options, *names], timeout) if names else (0, "", "")


def unit_states(units: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return systemd's word on each unit: the properties below, by their names."""
    properties = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "MainPID")
    names = list(units)
    done = systemctl("show", names, f"--property={','.join(properties)}")
    blocks = [dict(line.split("=", 1) for line in b.splitlines()) for b in done[1].split("\n\n")]
    return {name: block or {} for name, block in zip_longest(names, blocks[: len(names)])}


def run(argv: list[str], timeout: float = 600.0) -> tuple[int, str, str]:
    """Run a program; returns its status, output and errors."""
    try:
        done = subprocess.run(  # noqa: S603  # the playbooks' own commands
            argv, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} took more than {timeout:.0f} s"
    except OSError as error:
        return 127, "", f"{argv[0]}: {error.strerror}"
    return done.returncode, done.stdout, done.stderr


def log_of(units: Iterable[str], lines: int = 15, since: float = 0.0) -> list[str]:
    """Return the end of the units' journal; `since` in seconds since 1970."""
    options = [f"--unit={unit}" for unit in units]
    if not options:
        return []  # without a unit, journalctl shows everything
    # With --since, --lines would be counted from there, not from the end.
    options.append(f"--since=@{int(since)}" if since else f"--lines={lines}")
    _, text, _ = run(["journalctl", "--no-pager", "--output=cat", *options])
    return text.splitlines()[-lines:]


def read_lock(path: Path) -> dict[str, Any]:
    """Return who holds the fleet's lock here; {} for nobody, an unknown run for a damaged file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"run": "unreadable", "by": "an unreadable file"}


@contextmanager
def alone(path: Path, *, check: bool = False) -> Iterator[None]:
    """Let one at a time in; a check changes nothing, so it waits for nobody and leaves no file."""
    if check:
        yield
        return
    file = _lockable(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _lockable(path: Path) -> int:
    """Open a lock's file; where the disk takes no new file, its directory is locked instead."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        return os.open(path.parent, os.O_RDONLY)


def host_lock(state_dir: Path, *, check: bool = False) -> AbstractContextManager[None]:
    """Let one change at a time go on here: a killed play's last task may still be at it."""
    return alone(state_dir / "switch.lock", check=check)


def note(state_dir: Path, entry: dict[str, Any]) -> str:
    """Add an entry, with the time, to this host's journal of changes.

    Returns:
        "", or why the entry is missing: what is noted has been done, so nothing is raised.
    """
    stamped = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **entry}
    path = state_dir / JOURNAL
    try:
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(stamped) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{path} misses this change: {error.strerror}"
    return ""


def notes(state_dir: Path, count: int) -> list[dict[str, Any]]:
    """Return the last entries of the journal; a line torn by a power cut is left out."""
    try:
        lines = (state_dir / JOURNAL).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines[-count:] if count else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries
