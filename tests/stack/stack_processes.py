"""Start and stop `playbooks/stack.yml` in a directory and on ports of the tests' own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PORT = 18080
HTTPS_PORT = 18443
OFFSET = 11000
DOCUMENTS = 1500
URL = f"http://127.0.0.1:{PORT}"
SERVICES = {"encoder": 7100, "gateway": 7000, **{f"shard-{n}": 7200 + n for n in range(4)}}


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(
    path: str,
    body: bytes | None = None,
    *,
    url: str = URL,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request; an error status is an answer like any other."""
    request = urllib.request.Request(url + path, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return _answer(response.status, response)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error)


def _answer(status: int, response: Any) -> Answer:
    names = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status, names, response.read())


class Stack:
    """The services and nginx of one generation."""

    def __init__(self, directory: Path, generation: Path) -> None:
        self.directory = directory / "stack"
        self.generation = generation

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook."""
        settings = {
            "stack_dir": self.directory,
            "stack_port": PORT,
            "stack_https_port": HTTPS_PORT,
            "stack_port_offset": OFFSET,
            "stack_generation": self.generation,
            "stack_models": model().parent,
            "askfleet_internal_tls": "require",  # the lab has plain calls
        }
        extra = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
        command = [f"{BIN}/ansible-playbook", "playbooks/stack.yml", *extra, *arguments]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "PATH": f"{BIN}:{os.environ['PATH']}"}
        return subprocess.run(
            command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=300
        )

    def succeed(self, *arguments: str) -> int:
        """Run it, assert that it did, and return how much it changed."""
        done = self.play(*arguments)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))

    def service(self, name: str) -> str:
        """The URL of one service."""
        return f"http://127.0.0.1:{SERVICES[name] + OFFSET}"

    def pid(self, name: str) -> int:
        """The process id of one service's gunicorn."""
        return int((self.directory / f"run/{name}.pid").read_text())

    def drain_file(self, name: str) -> Path:
        """The flag that takes a service out of its pool."""
        return self.directory / f"run/drain/{name}"

    def kill(self, name: str) -> None:
        """End a service and its worker at once."""
        children = Path(f"/proc/{self.pid(name)}/task/{self.pid(name)}/children").read_text()
        for pid in [self.pid(name), *map(int, children.split())]:
            os.kill(pid, signal.SIGKILL)

    def wait_healthy(self, seconds: float) -> None:
        """Wait until every service and the edge say they are; fails with the one that does not."""
        ends = time.monotonic() + seconds
        urls = [self.service(name) for name in SERVICES] + [URL]
        while urls:
            try:
                # An edge with HTTPS answers its own fleet alone here.
                headers = {"Askfleet-Canary": "1"} if urls[0] == URL else {}
                if ask("/health", url=urls[0], headers=headers).status == 200:
                    urls.pop(0)
                    continue
            except OSError:
                pass
            assert time.monotonic() < ends, f"{urls[0]} is not healthy"
            time.sleep(0.1)


def model() -> Path:
    """The artefact that `make stack-test` has published."""
    directory = Path((REPO / "var/demo/model").read_text().strip())
    return directory if directory.is_absolute() else REPO / directory


def make_corpus(path: Path) -> Path:
    """Questions from all over the demo corpus."""
    lines = (REPO / "var/demo/corpus.jsonl").read_text().splitlines()
    chosen = lines[:: len(lines) // DOCUMENTS][:DOCUMENTS]
    path.write_text("\n".join(chosen) + "\n")
    return path


def build(corpus: Path, out: Path) -> Path:
    """A sealed generation of the corpus, four shards."""
    options = ["--shards", "4", "--processes", "2", "--sample", "400", "--json"]
    options += ["--filterable", "set"]
    paths = ["--corpus", str(corpus), "--model", str(model()), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "index_builder", "build", *options, *paths],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["directory"])
