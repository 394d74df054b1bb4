"""What Prometheus is told of the fleet, and when its alerts fire: judged by promtool."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_sources import ROOT, Run

pytestmark = pytest.mark.slow  # its fixtures are

# As operators have them, not as the lab's inventory has them.
RULES = yaml.safe_load((ROOT / "roles/monitoring/defaults/main.yml").read_text())
TESTS = ROOT / "tests/ansible/alerts_test.yml"


@pytest.fixture(scope="module")
def written(play: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of the lab's host that watches, with the role's own figures."""
    to = tmp_path_factory.mktemp("monitoring")
    given = {
        "render_host": "edge-1",
        "render_to": str(to),
        "render_templates": [],
        "askfleet_source_dir": str(ROOT),
        "askfleet_alertmanager": "192.0.2.7:9093",
        **{name: value for name, value in RULES.items() if "{{" not in str(value)},
        "monitoring_dir": str(to),
    }
    done = play("-i", "inventory/lab", "-e", json.dumps(given), "tests/ansible/render.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return to


@pytest.fixture(scope="module")
def config(written: Path) -> Any:
    return yaml.safe_load((written / "prometheus.yml").read_text())


def promtool(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def targets(config: Any, job: str) -> list[tuple[str, dict[str, str]]]:
    (found,) = [one for one in config["scrape_configs"] if one["job_name"] == job]
    return [
        (target, group.get("labels", {}))
        for group in found["static_configs"]
        for target in group["targets"]
    ]


def test_every_service_is_asked_where_it_listens(config: Any) -> None:
    asked = targets(config, "askfleet")
    assert len(asked) == 12
    wanted = {"host": "shard-b", "service": "shard", "unit": "shard-2"}
    assert ("198.18.0.32:7202", wanted) in asked
    assert ("198.18.0.11:7000", {"host": "gateway-1", "service": "gateway", "unit": "gateway"}) in (
        asked
    )


def test_nginx_and_disks_and_edges_are_asked(config: Any) -> None:
    nginx = {labels["host"]: target for target, labels in targets(config, "nginx")}
    assert nginx == {
        host: f"198.18.0.{number}:9113"
        for host, number in {"edge-1": 10, "gateway-1": 11, "gateway-2": 12}.items()
    }
    assert targets(config, "node") == [
        ("198.18.0.10:9100", {"host": "edge-1"}),
        ("198.18.0.12:9100", {"host": "gateway-2"}),
    ]
    assert targets(config, "mtail") == [
        ("198.18.0.10:3903", {"host": "edge-1"}),
        ("198.18.0.12:3903", {"host": "gateway-2"}),
    ]
    assert targets(config, "edge") == [
        ("http://198.18.0.10:80/readyz", {}),
        ("http://198.18.0.12:80/readyz", {}),
    ]
    assert config["alerting"]["alertmanagers"] == [
        {"static_configs": [{"targets": ["192.0.2.7:9093"]}]}
    ]


def test_promtool_accepts_the_configuration(written: Path) -> None:
    done = promtool("check", "config", "prometheus.yml", cwd=written)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(written: Path) -> None:
    (written / "alerts_test.yml").write_text(TESTS.read_text())
    done = promtool("test", "rules", "alerts_test.yml", cwd=written)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts(written: Path) -> set[str]:
    groups = yaml.safe_load((written / "alerts.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_every_alert_is_tested_to_fire_and_to_be_silent(written: Path) -> None:
    cases = [
        c for test in yaml.safe_load(TESTS.read_text())["tests"] for c in test["alert_rule_test"]
    ]
    for fires in (True, False):
        assert {c["alertname"] for c in cases if bool(c["exp_alerts"]) is fires} == alerts(written)


def test_every_alert_is_described(written: Path) -> None:
    page = (ROOT / "docs/operations.md").read_text().partition("\n## Alerts")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == alerts(written)
