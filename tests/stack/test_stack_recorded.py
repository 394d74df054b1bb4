"""What users asked is told to the gateway's host, by no edge, and is in no file."""

import json
import subprocess
from collections.abc import Iterator

import pytest
from stack_processes import BIN, PORT, Stack, ask
from test_stack_raw import exchange

WORD = "Quetzalcoatlus"
REFUSED = "Xanthoptilon"  # of questions that are refused

# Some of them an edge takes for a path of its own, and passes on as they are.
TARGETS = [
    "/recorded",
    "//recorded",
    "/recorded/",
    "/recorded?q=/v1/search",
    "/recorded#/../v1/search",
    "/recorded/../v1/search",
    "/recorded%3f/../v1/search",
    "/recorded%23/../v1/search",
    "/recorded;/../v1/search",
    "/v1/../recorded",
    "/v1/%2e%2e/recorded",
    "/v1/..%2frecorded",
    "/v1/%2e%2e%2frecorded",
    "/v1/x/../../recorded",
    "/process/../recorded",
    "/readyz/../recorded",
    "/problem/404/../../recorded",
    "/page/../recorded",
    "http://edge/recorded",
    "http://edge/v1/../recorded",
]


@pytest.fixture(scope="module", autouse=True)
def asked(stack: Stack) -> Iterator[None]:
    """Gateways record, and three ways of asking; in the end they record nothing."""
    stack.succeed("-e", "askfleet_record_questions=50")
    body = {"queries": [f"what is {WORD} two"]}
    assert ask(f"/v1/search?q=what+is+{WORD}+one").status == 200
    assert ask("/v1/search", json.dumps(body).encode()).status == 200
    assert ask("/process", json.dumps({"instances": [f"{WORD} three"]}).encode()).status == 200
    for path in ("/v1/search?z=", "/v1/wrong?q=", "/process?q=", "/wrong?q=", "/v1/search?k=x&q="):
        assert ask(path + REFUSED).status >= 400
    yield
    stack.succeed()


def test_the_command_on_the_host_prints_them(stack: Stack):
    command = [BIN / "askfleet", "recorded", f"--url={stack.service('gateway')}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (process,) = json.loads(done.stdout)["processes"]
    assert process["asked"] == {
        "seen": 3,
        "texts": [f"what is {WORD} one", f"what is {WORD} two", f"{WORD} three"],
    }


@pytest.mark.parametrize("header", ["", "X-Forwarded-For: \r\n"])
@pytest.mark.parametrize("connection", ["close", "close, X-Forwarded-For"])
def test_no_path_through_the_edge_leads_there(header: str, connection: str):
    for target in TARGETS:
        lines = f"GET {target} HTTP/1.1\r\nHost: edge\r\n{header}Connection: {connection}\r\n\r\n"
        ((status, _, body),) = exchange(PORT, lines.encode())
        assert status in (308, 400, 404), (target, body)
        assert WORD.encode() not in body, target


def test_no_file_has_them(stack: Stack):
    """Logs of every service and of nginx, settings, temporary files."""
    assert (stack.directory / "log/access.log").stat().st_size
    for word in (WORD, REFUSED):
        found = subprocess.run(
            ["grep", "-rl", "--devices=skip", word, stack.directory],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (found.returncode, found.stdout) == (1, ""), found
