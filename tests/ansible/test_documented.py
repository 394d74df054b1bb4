"""What `ansible-doc` shows of modules and roles is there, and is what they take."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_sources import ROOT

MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))
COLLECTION = "askfleet.fleet"
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def ansible_doc(*arguments: str) -> dict[str, Any]:
    command = [Path(sys.executable).parent / "ansible-doc", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr
    assert "[ERROR]" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def constant(source: ast.Module, name: str) -> Any:
    """A text of YAML that a module keeps under this name, read."""
    (value,) = [
        node.value
        for node in source.body
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [name]
    ]
    return yaml.safe_load(ast.literal_eval(value))


def taken(source: ast.Module) -> dict[str, dict[str, Any]]:
    """The options that a module or an action really takes: its argument_spec."""
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    (spec,) = [
        keyword.value
        for call in calls
        if ast.unparse(call.func) == "AnsibleModule"
        for keyword in call.keywords
        if keyword.arg == "argument_spec"
    ] or [
        call.args[0] for call in calls if ast.unparse(call.func).endswith("validate_argument_spec")
    ]
    found: dict[str, dict[str, Any]] = ast.literal_eval(spec)
    return found


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What ansible-doc says of every module, with what they share."""
    return ansible_doc("--type", "module", *(f"{COLLECTION}.{module.stem}" for module in MODULES))


@pytest.mark.slow
def test_ansible_doc_shows_every_module(documented: dict[str, Any]) -> None:
    assert set(documented) == {f"{COLLECTION}.{module.stem}" for module in MODULES}
    for name, shown in documented.items():
        assert shown["doc"]["short_description"], name
        assert shown["doc"]["description"], name  # ansible-doc needs it for its text
        assert shown["examples"], name


def test_every_action_has_a_module_that_documents_it() -> None:
    actions = {path.name for path in (ROOT / "plugins/action").glob("*.py")}
    assert actions - {module.name for module in MODULES} == set()


@pytest.mark.slow
def test_ansible_doc_shows_every_role() -> None:
    found = ansible_doc("--type", "role", "--roles-path", str(ROOT / "roles"), *ROLES)
    assert {role for role in ROLES if role not in found} == set()
    for name in ROLES:
        assert found[name]["entry_points"], name


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_what_is_documented_is_what_is_taken(documented: dict[str, Any], module: Path) -> None:
    source = ast.parse(module.read_text())
    about = documented[f"{COLLECTION}.{module.stem}"]["doc"]
    assert constant(source, "DOCUMENTATION")["module"] == module.stem
    action = ROOT / "plugins/action" / module.name
    options = about.get("options", {})
    spec = taken(ast.parse(action.read_text()) if action.exists() else source)
    assert set(options) == set(spec)
    for name, option in options.items():
        assert option["description"], name
        real = spec[name]
        assert option.get("type", "str") == real.get("type", "str"), name
        for part in ("elements", "choices", "default"):
            assert option.get(part) == real.get(part), f"{name}: {part}"
        assert option.get("required", False) == real.get("required", False), name
    for example in constant(source, "EXAMPLES"):
        assert set(example[f"{COLLECTION}.{module.stem}"]) <= set(options), example["name"]
    assert constant(source, "RETURN") is None or isinstance(constant(source, "RETURN"), dict)
