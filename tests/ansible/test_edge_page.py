"""The search page as nginx of the edge serves it, and that there is none without the setting."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible_sources import ROOT, Run
from own_nginx import PAGE, configure, free_port, running

pytestmark = pytest.mark.slow  # its fixtures are

FILES = sorted(path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*") if path.is_file())


def served(directory: Path, on: bool) -> Iterator[int]:
    ports = {name: free_port() for name in ("pool", "edge", "metrics")}
    gateways = [f"127.0.0.1:{free_port()}"]
    config = configure(directory, ports, gateways, nginx_search_page=on)
    with running(config, ports["edge"]):
        yield ports["edge"]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    yield from served(tmp_path_factory.mktemp("edge"), on=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    yield from served(tmp_path_factory.mktemp("bare"), on=False)


def ask(
    port: int, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    told = {name.lower(): value for name, value in answer.headers.items()}
    content = answer.read()
    connection.close()
    return answer.status, told, content


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_what_keeps_it_safe(edge: int, name: str) -> None:
    status, headers, content = ask(edge, "/" if name == "index.html" else f"/{name}")
    assert status == 200
    assert content == (PAGE / name).read_bytes()
    kinds = {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml; charset=utf-8",
    }
    assert headers["content-type"] == kinds[name.rpartition(".")[2]]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_a_browser_asks_each_time_whether_a_file_is_still_the_same(edge: int) -> None:
    _, headers, _ = ask(edge, "/")
    assert headers["cache-control"] == "no-cache"
    status, _, content = ask(edge, "/", If_None_Match=headers["etag"])
    assert (status, content) == (304, b"")
    status, headers, content = ask(edge, "/page/main.js", Accept_Encoding="gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert ask(edge, "/page/main.js", If_None_Match=headers["etag"])[0] == 304


def test_other_paths_and_methods_are_refused_as_ever(edge: int) -> None:
    for path in (
        "/page/",
        "/page",
        "/index.html",
        "/page/nothing.js",
        "/page/..%2findex.html",
        "/x",
    ):
        status, headers, content = ask(edge, path)
        assert (status, json.loads(content)["code"]) == (404, "not_found"), path
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    status, headers, content = ask(edge, "/?x=1", "POST")
    assert (status, json.loads(content)["code"]) == (405, "method_not_allowed")
    assert headers["allow"] == "GET, HEAD"
    assert ask(edge, "/page/main.js", "PUT")[1]["allow"] == "GET, HEAD"


def test_without_the_setting_there_is_no_page(bare: int) -> None:
    for path in ("/", "/page/main.js"):
        status, _, content = ask(bare, path)
        assert (status, json.loads(content)["code"]) == (404, "not_found")
    assert ask(bare, "/", "POST")[0] == 404


def test_it_loads_while_gateways_hang(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("pool", "edge", "metrics")}
    with socket.create_server(("127.0.0.1", 0)) as hangs, contextlib.ExitStack() as stack:
        gateways = [f"127.0.0.1:{hangs.getsockname()[1]}"]
        config = configure(tmp_path, ports, gateways, nginx_search_page=True, nginx_requests=3)
        stack.enter_context(running(config, ports["edge"]))
        for _ in range(3):
            waits = http.client.HTTPConnection("127.0.0.1", ports["edge"], timeout=10)
            stack.callback(waits.close)
            waits.request("POST", "/v1/search", b"{}")
            stack.enter_context(hangs.accept()[0])  # now it is under way
        assert ask(ports["edge"], "/livez")[0] == 429
        assert ask(ports["edge"], "/")[0] == 200


class Links(HTMLParser):
    """What a page loads, and what it must not have under its policy."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "src" or (name == "href" and tag == "link"):
                self.loads.add(str(value))
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")


def test_the_page_loads_its_own_files_and_nothing_else() -> None:
    links = Links()
    links.feed((PAGE / "index.html").read_text())
    modules = (PAGE / "page").glob("*.js")
    imports = {
        f"page/{name}"
        for module in modules
        for name in re.findall(r'^import .* from "\./(.+)";$', module.read_text(), re.MULTILINE)
    }
    assert links.inline == []
    assert {"index.html", *links.loads, *imports} == set(FILES)


def test_files_and_locations_come_and_go_with_the_setting(play: Run, tmp_path: Path) -> None:
    given = {
        "render_host": "edge-1",
        "render_to": str(tmp_path),
        "render_templates": [],
        "askfleet_source_dir": str(ROOT),
    }
    # What comes from a command line is text.
    for changes, on in (({}, True), ({"askfleet_search_page": "no"}, False)):
        extra = json.dumps({**given, **changes})
        done = play("-i", "inventory/lab", "-e", extra, "tests/ansible/render.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        place = tmp_path / "search_page"
        found = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
        assert found == (set(FILES) if on else set())
        assert (f'root "{place}";' in (tmp_path / "nginx.conf").read_text()) == on
