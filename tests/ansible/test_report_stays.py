"""The report of a build lies beside the manifest, and is never sent to a host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_sources import load_filter
from fleet_looks import FLEET, record

from index_builder.report.figures import BESIDE

parts = load_filter("parts")
GENERATION = "20260101T000000Z-0123abcd"


@pytest.mark.parametrize("host", ["shard-b", "gateway-1"])
def test_rsync_leaves_the_report_where_it_is(tmp_path: Path, host: str) -> None:
    new = record(GENERATION)
    source = tmp_path / GENERATION
    for name in (*new["files"], *BESIDE):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "manifest.json").write_text("{}")
    [part] = parts.askfleet_parts(FLEET["hosts"][host], new, "/srv", "ask")
    assert not set(BESIDE) & set(part["files"])
    command = ["rsync", "-a", *part["filters"], f"{source}/", f"{tmp_path}/sent/"]
    subprocess.run(command, check=True)
    files = [path for path in (tmp_path / "sent").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "sent")) for path in files} == set(part["files"])
