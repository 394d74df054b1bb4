"""Run a module as Ansible does on a host, in this process."""

from __future__ import annotations

import importlib.util
import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_sources import ROOT


def run_module(name: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
    """Return what the module returns; `failed` is there when it failed."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"plugins/modules/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = {"_ansible_check_mode": check, "_ansible_no_log": True}
    output = io.StringIO()
    with (
        patch_module_args(params | own),
        redirect_stdout(output),
        pytest.raises(SystemExit) as ended,
    ):
        module.main()
    told: dict[str, Any] = json.loads(output.getvalue())
    assert bool(told.get("failed")) == bool(ended.value.code)
    return told
