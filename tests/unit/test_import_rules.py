"""Who may import whom, read from the sources."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OWN = {"app", "client", "index_builder"}
# Parts of a declared package, or loaded only where a caller has chosen them.
PROVIDED_BY = {
    "huggingface_hub": "sentence-transformers",
    "transformers": "sentence-transformers",
    "werkzeug": "flask",
}
ON_DEMAND = {"app": {"torch", "sentence_transformers"}, "client": set(), "index_builder": set()}


def imports(package: str) -> Iterator[tuple[Path, str]]:
    """(file, full name) of everything that the package's modules import, functions included."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute here"
                assert node.module
                yield from ((path, f"{node.module}.{alias.name}") for alias in node.names)


def test_the_services_never_import_the_builder() -> None:
    assert [found for found in imports("app") if found[1].split(".")[0] == "index_builder"] == []


def test_the_builder_imports_the_formats_and_the_errors_only() -> None:
    foreign = [
        (path, name)
        for path, name in imports("index_builder")
        if name.split(".")[0] == "app"
        and not name.startswith(("app.generation.", "app.errors.", "app.wire.preview."))
    ]
    assert foreign == []


def test_the_client_is_no_part_of_the_services() -> None:
    """Hosts have none of it, and a change of it is no release for them."""
    below = [path for path, name in imports("app") if name.split(".")[0] == "client"]
    assert below == [ROOT / "app/cli.py"]
    foreign = {name for _, name in imports("client") if name.split(".")[0] in OWN - {"client"}}
    assert {name.rpartition(".")[0] for name in foreign} <= {"app.errors", "app.cli"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["app"]


def test_the_formats_know_nothing_of_the_services() -> None:
    services = ("app.service", "app.shard", "app.gateway", "app.encoder", "app.config", "app.wire")
    for path, name in imports("app"):
        if "generation" in path.relative_to(ROOT).parts:
            assert not name.startswith((*services, "flask", "requests", "gunicorn")), (path, name)


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize(
    ("package", "extras"),
    [("app", ()), ("client", ("controller",)), ("index_builder", ("controller",))],
    ids=str,
)
@pytest.mark.slow
def test_what_is_imported_is_declared(package: str, extras: tuple[str, ...]) -> None:
    """A package that is only there because another one needs it is missing one day."""
    known, origins = declared(*extras), packages_distributions()
    missing = set()
    for _, name in imports(package):
        top = name.split(".")[0]
        if top in OWN or top in sys.stdlib_module_names or top in ON_DEMAND[package]:
            continue
        names = [*origins.get(top, [top]), PROVIDED_BY.get(top, top)]
        if not {canonicalize_name(name) for name in names} & known:
            missing.add(top)
    assert missing == set()
