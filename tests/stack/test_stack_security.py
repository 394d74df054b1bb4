"""HTTPS, API keys and limits at the edge, as a client from outside meets them."""

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import opened
from playwright.sync_api import Browser, expect
from stack_processes import HTTPS_PORT, PORT, Answer, Stack

BODY = json.dumps({"queries": ["how do vaccines work"], "k": 1}).encode()
KEY, OTHER = "k-" + "a1" * 20, "k-" + "b2" * 20
ORIGIN = "https://widget.example:8443"
OUTSIDE = "127.0.0.2"  # nginx takes 127.0.0.1 for the fleet's own
SETTINGS = {
    "askfleet_tls": "self-signed",
    "askfleet_api_keys": [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}
        for name, key in (("first", KEY), ("second", OTHER))
    ],
    "askfleet_cors_origins": ["https://www.example.org", ORIGIN],
    "askfleet_rate_per_address": 40,
    "askfleet_rate_per_key": 10,
    "nginx_patience_seconds": 1,
}


@pytest.fixture(scope="module", autouse=True)
def secured(stack: Stack) -> Iterator[Stack]:
    """The same stack with everything on; in the end as it was."""
    stack.succeed("-e", json.dumps(SETTINGS))
    yield stack
    stack.succeed()


def trust(stack: Stack) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(stack.directory / "etc/tls/edge.pem"))


def ask(
    stack: Stack,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    tls: bool = True,
    **headers: str,
) -> Answer:
    """One request from outside, the certificate checked."""
    source = (OUTSIDE, 0)
    connection = (
        http.client.HTTPSConnection(
            "127.0.0.1", HTTPS_PORT, timeout=20, source_address=source, context=trust(stack)
        )
        if tls
        else http.client.HTTPConnection("127.0.0.1", PORT, timeout=20, source_address=source)
    )
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, told, response.read())
    finally:
        connection.close()


def search(stack: Stack, **headers: str) -> Answer:
    return ask(stack, "POST", "/v1/search", BODY, **headers)


def quiet() -> None:
    """Let the limits forget what was asked before."""
    time.sleep(1.2)


def test_again_changes_nothing(stack: Stack):
    assert stack.succeed("-e", json.dumps(SETTINGS)) == 0


@pytest.mark.parametrize("header", ["Authorization", "X_API_Key"])
def test_a_known_key_is_answered(stack: Stack, header):
    quiet()
    answer = search(stack, **{header: f"Bearer {KEY}" if header == "Authorization" else OTHER})
    assert answer.status == 200, answer.body
    assert answer.json["queries"][0]["results"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_key"),
        ({"Authorization": "Basic abc"}, 401, "missing_key"),
        ({"Authorization": "Bearer "}, 401, "missing_key"),
        ({"Authorization": f"Bearer {KEY}x"}, 403, "unknown_key"),
        ({"X_API_Key": hashlib.sha256(KEY.encode()).hexdigest()}, 403, "unknown_key"),
        ({"Askfleet_Canary": "1"}, 401, "missing_key"),
    ],
    ids=["none", "another scheme", "empty", "wrong", "the hash", "a canary from outside"],
)
def test_who_has_no_key_is_refused(stack: Stack, headers, status, code):
    quiet()
    answer = search(stack, **headers)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_the_search_page_is_open_and_what_it_asks_is_not(browser: Browser):
    quiet()
    with opened(browser, ignore_https_errors=True) as page:
        page.goto(f"http://127.0.0.1:{PORT}/#q=how+do+vaccines+work")
        expect(page.locator("#notice")).to_contain_text("wants an API key")
        page.fill("#key-text", KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#results li")).to_have_count(10)
        expect(page.locator("#filters legend")).to_have_text(["set"])  # they want a key, too
        assert page.url == f"https://127.0.0.1:{HTTPS_PORT}/#q=how+do+vaccines+work"


def test_no_key_lies_in_the_clear(stack: Stack):
    """Neither what is sent nor its hash is in a settings file; the hashes are for their owner."""
    hashes = stack.directory / "etc/api_keys"
    assert hashes.stat().st_mode & 0o077 == 0
    assert (stack.directory / "etc/tls/edge.key").stat().st_mode & 0o077 == 0
    for path in (stack.directory / "etc").glob("*.env"):
        assert not [
            key
            for key in (KEY, OTHER)
            if hashlib.sha256(key.encode()).hexdigest() in path.read_text()
        ]
    environment = b"".join(
        Path(f"/proc/{pid}/environ").read_bytes()
        for pid in subprocess.run(
            ["pgrep", "-f", str(stack.directory)], capture_output=True, text=True
        ).stdout.split()
    )
    assert SETTINGS["askfleet_api_keys"][0]["sha256"].encode() not in environment


def test_plain_http_is_sent_on(stack: Stack):
    answer = ask(stack, "POST", "/v1/search?cache=0", BODY, tls=False)
    assert answer.status == 308
    assert answer.headers["location"] == f"https://127.0.0.1:{HTTPS_PORT}/v1/search?cache=0"
    assert "strict-transport-security" not in answer.headers
    canary = ask(stack, "GET", "/health", tls=False, Askfleet_Canary="1")
    assert canary.status == 308


def test_the_fleets_own_canaries_need_neither_https_nor_key():
    """As update_index.yml asks: over HTTP, from a gateway's host."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    connection.request("POST", "/v1/search", BODY, {"Askfleet-Canary": "1"})
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("path", ["/livez", "/nothing"])
def test_headers_of_every_answer(stack: Stack, path):
    quiet()
    answer = ask(stack, "GET", path)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["server"] == "nginx"


def test_health_tells_strangers_no_more_than_that(stack: Stack):
    quiet()
    assert ask(stack, "GET", "/health").json == {"status": "ok"}
    for path in ("/metrics", "/health/x"):
        assert ask(stack, "GET", path).status == 404


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_protocols_are_refused(stack: Stack, version):
    context = trust(stack)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", HTTPS_PORT), 5) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def statuses(stack: Stack, count: int, path: str, **headers: str) -> list[Answer]:
    """Answers to many requests on one connection, to the twentieth refusal at most."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", HTTPS_PORT, timeout=20, source_address=(OUTSIDE, 0), context=trust(stack)
    )
    found = []
    for _ in range(count):
        connection.request(
            "GET", path, headers={n.replace("_", "-"): v for n, v in headers.items()}
        )
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.headers.items()}
        found.append(Answer(response.status, told, response.read()))
        if [answer.status for answer in found].count(429) == 20:
            break
    connection.close()
    return found


@pytest.mark.parametrize(
    ("headers", "rate"), [({}, 40), ({"X_API_Key": KEY}, 10)], ids=["address", "key"]
)
def test_who_asks_too_much_is_told_to_wait(stack: Stack, headers, rate):
    quiet()
    begun = time.monotonic()
    answers = statuses(stack, 1000, "/livez", **headers)
    taken = [answer for answer in answers if answer.status == 200]
    # A second's worth at once, and so many a second, however slow this machine is.
    assert rate < len(taken) <= rate * (1 + time.monotonic() - begun) + 2
    refused = next(answer for answer in answers if answer.status != 200)
    assert (refused.status, refused.json["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    quiet()
    assert ask(stack, "GET", "/livez").status == 200


def test_one_key_has_one_allowance_however_it_is_written(stack: Stack):
    """What a gateway takes for the same key, the edge counts as the same."""
    quiet()
    written = [
        {"Authorization": f"Bearer {KEY}", "X_API_Key": "first"},
        {"Authorization": f"bEARER  \t {KEY}", "X_API_Key": "second"},
        {"Authorization": "Basic third", "X_API_Key": KEY},
    ]
    for headers in written:
        assert statuses(stack, 1, "/v1/search?q=a", **headers)[0].status == 200
    quiet()
    answers = [answer for headers in written for answer in statuses(stack, 40, "/livez", **headers)]
    assert {answer.status for answer in answers} == {200, 429}
    assert 11 <= len([answer for answer in answers if answer.status == 200]) <= 30


@pytest.mark.parametrize(
    "part",
    [
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_client_that_never_ends_is_hung_up_on(stack: Stack, part):
    quiet()
    context = trust(stack)
    with (
        socket.create_connection(("127.0.0.1", HTTPS_PORT), 10, (OUTSIDE, 0)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as slow,
    ):
        slow.sendall(part)
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while slow.recv(1000):
                pass
        assert 0.5 < time.monotonic() - begun < 5


PREFLIGHT = {
    "Origin": ORIGIN,
    "Access_Control_Request_Method": "POST",
    "Access_Control_Request_Headers": "authorization,content-type",
}


@pytest.mark.parametrize("path", ["/process", "/v1/search?cache=0", "/health"])
def test_a_preflight_brings_no_key_and_is_answered(stack: Stack, path):
    quiet()
    answer = ask(stack, "OPTIONS", path, **PREFLIGHT)
    assert (answer.status, answer.body) == (204, b"")
    told = answer.headers
    assert told["access-control-allow-origin"] == ORIGIN
    assert told["access-control-allow-methods"] == "GET, POST"
    allowed = told["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-api-key"} <= set(allowed)
    assert int(told["access-control-max-age"]) > 0
    assert told["vary"] == "Origin"
    assert told["x-request-id"]
    assert told["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "left_out", [{"Origin": "https://other.example"}, {"Origin": f"{ORIGIN}.evil.example"},
                 {"Origin": "null"}, {"Origin": ""}, {"Access_Control_Request_Method": ""}],
    ids=str,
)  # fmt: skip
def test_what_is_no_preflight_of_a_known_origin_is_a_method_as_any(stack: Stack, left_out):
    quiet()
    headers = {name: value for name, value in {**PREFLIGHT, **left_out}.items() if value}
    answer = ask(stack, "OPTIONS", "/livez", **headers)
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    known = headers.get("Origin") == ORIGIN
    assert ("access-control-allow-origin" in answer.headers) == known
    assert "access-control-allow-methods" not in answer.headers
    assert ask(stack, "OPTIONS", "/preflight", **headers).status == 404


def test_a_page_can_read_every_answer_errors_included(stack: Stack):
    """Of the gateways, of nginx, and of limits; an unknown origin's page can read none."""
    quiet()
    key = {"X_API_Key": OTHER}
    huge = b"x" * (2 << 20)
    asked = [
        ("POST", "/v1/search", BODY, key, 200),
        ("GET", "/livez", None, {}, 200),
        ("POST", "/v1/search", b"{", key, 400),
        ("POST", "/v1/search", BODY, {}, 401),
        ("POST", "/v1/search", BODY, {"X_API_Key": "wrong"}, 403),
        ("GET", "/nothing", None, {}, 404),
        ("GET", "/process", None, key, 405),
        ("POST", "/v1/search", huge, key, 413),
    ]
    for method, path, body, headers, status in asked:
        answer = ask(stack, method, path, body, Origin=ORIGIN, **headers)
        assert answer.status == status, (path, answer.body)
        assert answer.headers["access-control-allow-origin"] == ORIGIN, status
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
    quiet()
    for origin in ("https://other.example", None):
        headers = {"Origin": origin} if origin else {}
        answer = ask(stack, "GET", "/livez", **headers)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"
    quiet()
    refused = [one for one in statuses(stack, 120, "/livez", Origin=ORIGIN) if one.status == 429]
    assert refused[0].headers["access-control-allow-origin"] == ORIGIN
    quiet()
    plain = ask(stack, "GET", "/livez", tls=False, Origin=ORIGIN)
    assert (plain.status, plain.headers["access-control-allow-origin"]) == (308, ORIGIN)


def test_a_page_is_told_that_the_fleet_is_not_there(stack: Stack):
    quiet()
    flag = stack.drain_file("gateway")
    flag.touch()
    try:
        answer = ask(stack, "GET", "/livez", Origin=ORIGIN)
        assert answer.status == 200
        answer = search(stack, X_API_Key=KEY, Origin=ORIGIN)
        assert answer.status in (502, 503)
        assert answer.headers["access-control-allow-origin"] == ORIGIN
    finally:
        flag.unlink()
    time.sleep(2.5)  # nginx leaves alone who failed for 2 s


def test_every_origin_may_be_let_in(stack: Stack):
    stack.succeed("-e", json.dumps({**SETTINGS, "askfleet_cors_origins": ["*"]}))
    try:
        quiet()
        for headers in ({}, {"Origin": "https://anybody.example"}):
            answer = ask(stack, "GET", "/livez", **headers)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "vary" not in answer.headers
        preflight = {**PREFLIGHT, "Origin": "null"}
        assert ask(stack, "OPTIONS", "/process", **preflight).status == 204
    finally:
        stack.succeed("-e", json.dumps(SETTINGS))
