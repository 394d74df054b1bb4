"""Documentation is tested: commands, links, codes, variables and examples are those of the code."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_fleet import LocalFleet, start_fleet
from small_generations import build_small

from app.generation.engines.table import ENGINES
from app.service import starting
from index_builder.cli import new_parser
from index_builder.filterable import wanted_fields

ROOT = Path(__file__).parents[3]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
PAGES = sorted(ROOT / name for name in TRACKED if name.endswith(".md"))
API = (ROOT / "docs/api.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_lines_of_prose_have_at_most_120_characters(page: Path):
    """Tables and code are as wide as they must be."""
    prose = re.sub(
        r"^```.*?^```", lambda code: "\n" * code[0].count("\n"), page.read_text(), flags=re.M | re.S
    )
    lines = enumerate(prose.split("\n"), 1)
    assert [n for n, line in lines if len(line) > 120 and not line.startswith(("|", "    "))] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_row_of_a_table_has_its_cells(page: Path) -> None:
    """A line without its bar, or a cell too many, takes a row away from who reads."""
    broken, cells = [], 0
    for line in [*page.read_text().splitlines(), ""]:
        bare = re.sub(r"`[^`]*`|\\\|", "", line)
        if cells and line.strip() and not line.startswith("#"):
            if not line.startswith("|") or bare.count("|") != cells:
                broken.append(line[:80])
        elif line.startswith("|"):
            cells = bare.count("|")
        else:
            cells = 0
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = re.findall(r"^ {4}make ([a-z][a-z -]*)", page.read_text(), re.MULTILINE)
    lines += re.findall(r"`make ([a-z][a-z -]*)", page.read_text())
    named = {word for line in lines for word in re.split(r"  ", line)[0].split()}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_playbook_and_role_file_named_exists(page: Path) -> None:
    text = page.read_text()
    playbooks = re.findall(r"(?<![\w./-])((?:playbooks/)?[a-z_]+\.yml)\b", text)
    here = {name for name in playbooks if name.startswith("playbooks/")}
    here |= {
        f"playbooks/{line}"
        for line in re.findall(r"ansible-playbook (?:-i \S+ |I )?([a-z_]+\.yml)", text)
    }
    here |= set(re.findall(r"`((?:roles|templates|app|index_builder|inventory)/[\w./-]+)`", text))
    assert sorted(name for name in here if not (ROOT / name).exists()) == []


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every ``python -m index_builder …`` in the documents: page and arguments."""
    for page in PAGES:
        joined = page.read_text().replace("\\\n", " ")
        for line in re.findall(
            r"^ {4}\S*(?: \S+)*?python -m index_builder (.+)$", joined, re.MULTILINE
        ):
            words = shlex.split(line, comments=True)
            yield page.name, words


@pytest.mark.parametrize(("page", "words"), list(commands()))
def test_every_builder_command_is_one(page: str, words: list[str]) -> None:
    assert page
    new_parser().parse_args([re.sub(r"^(FILE…|N)$", "1", word) for word in words])


def builder_options(command: str) -> set[str]:
    helps = subprocess.run(
        [sys.executable, "-m", "index_builder", command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"(--[a-z0-9-]+)", helps.stdout)) - {"--help"}


def test_every_option_of_build_is_described() -> None:
    page = (ROOT / "docs/building.md").read_text()
    assert {option for option in builder_options("build") if f"`{option}" not in page} == set()


def test_every_operator_variable_is_described_with_its_default() -> None:
    defaults = yaml.safe_load((ROOT / "roles/askfleet/defaults/main.yml").read_text())
    table = OPERATIONS.partition("## Inventory variables")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(askfleet_\w+)` \| (.+?) \|", table, re.MULTILINE))
    assert rows.keys() == defaults.keys()
    plain = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    assert {name: rows[name] for name in plain} == {
        name: "`null`" if value is None else f"`{value}`" for name, value in plain.items()
    }


def test_every_extra_variable_is_described() -> None:
    books = yaml.safe_load((ROOT / "playbooks/vars/arguments.yml").read_text())
    section = OPERATIONS.partition("## Extra variables")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)\.yml` \| (.+?) \|$", section, re.MULTILINE)
    assert {(book, name, told) for name, book, told in rows} == {
        (book, name, told) for book, takes in books.items() for name, told in takes.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_extra_variable_named_is_taken(page: Path) -> None:
    books = yaml.safe_load((ROOT / "playbooks/vars/arguments.yml").read_text())
    lines = re.findall(r"ansible-playbook .*?(\w+)\.yml(.*)", page.read_text())
    named = {(book, name) for book, rest in lines for name in re.findall(r"-e (\w+)=", rest)}
    taken = {(book, name) for book, takes in books.items() for name in takes}
    roles = ("stack_", "askfleet_")
    assert {one for one in named if not one[1].startswith(roles)} <= taken


def test_every_service_setting_is_described() -> None:
    template = (ROOT / "templates/env/service.env.j2").read_text()
    described = OPERATIONS.partition("## Settings of a service")[2]
    assert {
        name
        for name in re.findall(r"^(ASKFLEET_\w+)", template, re.MULTILINE)
        if name not in described
    } == set()


def codes_in_services() -> set[str]:
    """The ``code`` of every ProblemError, by the calls in the source, and nginx's own."""
    found = set()
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = {"ProblemError": 1, "problem": 1, "bad": 0}.get(node.func.id)
            if place is None or len(node.args) <= place:
                continue
            code = node.args[place]
            if isinstance(code, ast.Constant):
                found.add(str(code.value))
    found.add(json.loads(starting.answer(503).partition(b"\r\n\r\n")[2])["code"])
    edge = (ROOT / "templates/nginx/edge.conf.j2").read_text()
    return found | set(re.findall(r"\d{3}: \['(\w+)'", edge))


def test_every_error_code_is_described() -> None:
    codes = codes_in_services()
    assert {"bad_k", "draining", "model_mismatch", "body_too_large"} <= codes
    assert {code for code in codes if f"| `{code}` |" not in API} == set()


def test_no_error_code_is_described_that_does_not_exist() -> None:
    framework = {"not_found", "method_not_allowed", "request_entity_too_large"}
    framework.add("request_header_fields_too_large")
    described = set(re.findall(r"^\| `(\w+)` \| \d{3}", API, re.MULTILINE))
    assert described - codes_in_services() - framework == set()


def test_the_map_lists_every_top_level_directory() -> None:
    folders = {name.split("/")[0] for name in TRACKED if "/" in name and not name.startswith(".")}
    mapped = CONTRIBUTING.partition("## Map")[2].partition("\n## ")[0]
    assert {folder for folder in folders if f"`{folder}/`" not in mapped} == set()
    roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}
    assert {role for role in roles if f"`{role}`" not in mapped} == set()


def test_every_decision_is_listed() -> None:
    directory = ROOT / "docs/decisions"
    index = (directory / "README.md").read_text()
    for page in sorted(directory.glob("0*.md")):
        number, title = re.match(r"# (\d+)\. (.+)\n", page.read_text()).groups()
        assert f"| [{number}]({page.name}) | {title} |" in index
        for part in ("Context", "Decision", "Measured", "Consequence"):
            assert f"**{part}" in page.read_text(), f"{page.name} has no {part}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    root = tmp_path_factory.mktemp("documented")
    return start_fleet(root, build_small(root / "built", filterable=wanted_fields("word")))


def examples() -> list[tuple[str, Any]]:
    """The documented curl commands and, beside each, the answer printed below it."""
    pattern = r"```console\n\$ curl (.+?)\n```\n```json\n(.+?)\n```"
    return [
        (line, json.loads(answer)) for line, answer in re.findall(pattern, API + README, re.DOTALL)
    ]


def shape(value: Any) -> Any:
    """Members and their types; a list is known by its first member, a number is a number."""
    if isinstance(value, dict):
        return {
            name: shape(member)
            for name, member in value.items()
            if name not in {"metadata", "answer"}
        }
    if isinstance(value, list):
        return [shape(member) for member in value[:1]]
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)


def test_there_are_examples() -> None:
    assert len(examples()) >= 6


@pytest.mark.parametrize(("line", "answer"), examples())
def test_every_example_has_the_shape_of_a_real_answer(
    fleet: LocalFleet, line: str, answer: Any
) -> None:
    words = shlex.split(line)
    url = re.sub(r"^http://127\.0\.0\.1:8080", "", words[-1])
    body = words[words.index("-d") + 1] if "-d" in words else None
    real = fleet.gateway.open(url, method="POST" if body else "GET", data=body)
    lists = {"shards_missing"}
    documented, answered = shape(answer), shape(real.get_json(force=True))
    for tree in (documented, answered):
        for query in tree.get("queries", []) if isinstance(tree, dict) else []:
            for name in lists:
                query.pop(name)
        if isinstance(tree, dict) and "generations" in tree:
            tree["generations"].pop("previous")
    assert documented == answered
    assert real.status_code == answer.get("status", 200) or answer.get("status") == "ok"


def test_the_page_on_models_has_the_engines_of_the_table() -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    for row in ENGINES.values():
        line = f"| {row.name} | {', '.join(row.precisions)} | {row.package} | {row.largest} |"
        assert line in page.splitlines()
