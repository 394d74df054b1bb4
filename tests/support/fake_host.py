"""A host of the fleet without systemd: its units are files, its services answer /health."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]

# A unit serves what its links name when it starts. One that starts with what its `.fails` names
# does not start, and nothing does with `*`. Each call
# that changes something is noted, with the drain flags of then.
SYSTEMCTL = """#!/bin/sh
cd ROOT/units || exit 9
[ "$1" = show ] || echo "systemctl $* [$(ls ROOT/drain | xargs)]" >> ../calls
links() { kind=${1#askfleet-}; echo "ROOT/data/${kind%%[@.]*}"; }
name() { basename "$(readlink "$1" || echo "")"; }
verb=$1; shift
case "$verb $*" in
daemon-reload*) ;;
*" ") echo "Too few arguments." >&2; exit 1 ;;
esac
case $verb in
show)
  shift
  for unit; do
    [ -z "$next" ] || echo
    next=yes
    echo "LoadState=$(cat "$unit.load" 2>/dev/null || echo loaded)"
    echo "ActiveState=$(cat "$unit.state" 2>/dev/null || echo active)"
    echo "UnitFileState=enabled"
    [ ! -e "$unit.pid" ] || echo "MainPID=$(cat "$unit.pid")"
  done ;;
restart)
  for unit; do
    rm -f "$unit.served"
    current=$(name "$(links "$unit")/current")
    for fails in $(cat "$unit.fails" 2>/dev/null); do
      [ "$fails" != "$current" ] || { echo "Job for $unit failed." >&2; exit 1; }
    done
    echo "$current $(name "$(links "$unit")/previous")" > "$unit.served"
  done ;;
stop)
  for unit; do rm -f "$unit.served"; done ;;
esac
"""
# Of the command askfleet: a verb whose `.fails` is there fails with what that says.
ASKFLEET = """#!/bin/sh
cd ROOT || exit 9
served=$(basename "$(readlink data/gateway/current || echo nothing)")
echo "askfleet $* (gateways: $served)" >> calls
[ ! -e "$1.fails" ] || { cat "$1.fails" >&2; exit 1; }
"""
JOURNALCTL = """#!/bin/sh
cat ROOT/says 2>/dev/null
echo "last words of $*"
"""


class FakeHost:
    """Directories as on a host, fake programs in `bin`, and services that listen on loopback."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.state, self.drain = root / "data", root / "state", root / "drain"
        self.program = root / "bin/askfleet"
        self.answers: dict[str, Callable[[Json], Any]] = {}
        self.asked: list[dict[str, str]] = []
        self.others_answer = True
        self._servers: list[_Server] = []
        kinds = [f"data/{kind}" for kind in ("encoder", "shard", "gateway")]
        for name in (*kinds, "data/generations", "data/models", "state", "drain", "units", "bin"):
            (root / name).mkdir(parents=True)
        (root / "calls").touch()
        for name, text in (
            ("systemctl", SYSTEMCTL),
            ("journalctl", JOURNALCTL),
            ("askfleet", ASKFLEET),
        ):
            (root / "bin" / name).write_text(text.replace("ROOT", str(root)))
            (root / "bin" / name).chmod(0o755)

    def service(self, kind: str, shard: int | None = None) -> Json:
        """Add a service, which does not run yet; returned as the topology describes it.

        Another replica runs elsewhere, and is ready while `others_answer`.
        """
        name = kind if shard is None else f"{kind}-{shard}"
        unit = f"askfleet-{kind}" if shard is None else f"askfleet-{kind}@{shard}"
        url = self._listen(_Server(lambda: self._health(name, kind, unit), self.asked))
        other = self._listen(_Server(lambda: {"status": "ok"} if self.others_answer else None, []))
        return {
            "name": name,
            "unit": unit,
            "kind": kind,
            "shard": shard,
            "part": None if shard is None else f"shard-{shard:03d}",
            "url": url,
            "port": int(url.rpartition(":")[2]),
            "links": str(self.data / kind),
            "stand_ins": [other],
            "drain_file": str(self.drain / name),
        }

    def _listen(self, server: _Server) -> str:
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    def _health(self, name: str, kind: str, unit: str) -> Any:
        served = self.root / f"units/{unit}.service.served"
        try:
            current, _, previous = served.read_text().rstrip("\n").partition(" ")
        except FileNotFoundError:
            return None
        if kind == "gateway":
            current, previous = (self.links(kind)[name] for name in ("current", "previous"))
        ids = {"current": current, "previous": previous or None}
        body = {"status": "ok", "models" if kind == "encoder" else "generations": ids}
        return self.answers.get(name, lambda told: told)(body)

    def link(self, kind: str, current: str, previous: str = "") -> None:
        """Point a kind's links, as an update before did."""
        for name, target in (("current", current), ("previous", previous)):
            (self.data / kind / name).unlink(missing_ok=True)
            if target:
                (self.data / kind / name).symlink_to(self.place(kind, target))

    def place(self, kind: str, name: str) -> str:
        home = "models" if kind == "encoder" else "generations"
        return str(self.data / home / name) if name else ""

    def links(self, kind: str) -> dict[str, str]:
        """Names that the links point to."""
        found = {}
        for name in ("current", "previous"):
            link = self.data / kind / name
            found[name] = link.readlink().name if link.is_symlink() else ""
        return found

    def start(self, *services: Json) -> None:
        """Let services run with what their links name."""
        for service in services:
            links = self.links(service["kind"])
            served = self.root / f"units/{service['unit']}.service.served"
            served.write_text(f"{links['current']} {links['previous']}\n")

    def runs(self, service: Json) -> bool:
        return (self.root / f"units/{service['unit']}.service.served").exists()

    def mask(self, service: Json) -> None:
        (self.root / f"units/{service['unit']}.service.load").write_text("masked\n")

    def fails_with(self, service: Json, *generations: str) -> None:
        """Let a unit not start with some generations."""
        (self.root / f"units/{service['unit']}.service.fails").write_text(" ".join(generations))

    def says(self, line: str) -> None:
        """Let the services' journal hold a line."""
        (self.root / "says").write_text(line + "\n")

    def command_fails(self, verb: str, words: str) -> None:
        (self.root / f"{verb}.fails").write_text(words)

    def calls(self, *words: str) -> list[str]:
        """What was called: all, or what begins with one of the words."""
        lines = (self.root / "calls").read_text().splitlines()
        return [line for line in lines if not words or line.startswith(words)]

    def journal(self) -> list[Json]:
        path = self.state / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def snapshot(self) -> dict[str, str]:
        """Everything that a change could touch: name -> content or target."""
        return {
            str(path.relative_to(self.root)): (
                str(path.readlink()) if path.is_symlink() else path.read_text()
            )
            for path in sorted(self.root.rglob("*"))
            if (path.is_symlink() or path.is_file()) and path.name != "calls"
        }

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, body: Callable[[], Any], asked: list[dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.asked = body, asked


class _Handler(BaseHTTPRequestHandler):
    """Answers with the body, raw where it is bytes; hangs up where there is none."""

    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        body = self.server.body()
        if body is None:
            return
        if isinstance(body, bytes):
            self.wfile.write(body)
            return
        status = 200 if not isinstance(body, dict) or body.get("status", "ok") == "ok" else 503
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """A test prints nothing."""
