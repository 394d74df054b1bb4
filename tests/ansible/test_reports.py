"""The ends of a change, as Ansible runs them: what the roles hand over is what is printed last."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT, Run
from fleet_looks import FLEET, GROUPS, M1, A, B, C, looks

INVENTORY = {name: {"hosts": {host: {} for host in hosts}} for name, hosts in GROUPS.items()}
MISSES = "/var/lib/askfleet/journal.jsonl misses this change: No space left on device"


def facts(*, failed: bool) -> dict[str, dict[str, object]]:
    """What earlier plays have noted of each host."""
    told: dict[str, dict[str, object]] = {}
    for host, one in looks((B, A), (M1,)).items():
        look = {"look": {**one, "unfinished": [], "release": "1.0"}}
        told[host] = {
            "activation_look": look,
            "activation_after": look,
            "activation_lock": {"was": {}},
            "services_rollout": {"changed": True, "unwritten": ""},
        }
    told["shard-a"]["services_rollout"] = {"changed": True, "unwritten": MISSES}
    if failed:
        told["shard-b"]["activation_after"] = {"unreachable": True}
        told["gateway-1"]["services_fault"] = "gateway-1: rolling out 2.0: it does not start"
        told["gateway-1"]["services_log"] = ["the first line ", "the last line"]
        told["gateway-1"]["activation_locked"] = "gateway-1: /var/x cannot be removed: Read-only"
    return told


def reported(play: Run, tmp_path: Path, role: str, *, failed: bool) -> str:
    """The output of a role's report."""
    for host, variables in facts(failed=failed).items():
        (tmp_path / "host_vars").mkdir(exist_ok=True)
        (tmp_path / f"host_vars/{host}.yml").write_text(yaml.safe_dump(variables))
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(INVENTORY))
    record = {"generation": C, "documents": 60, "files": {}}
    book = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {
                "askfleet_fleet": FLEET,
                "activation_failed": failed,
                "services_failed": failed,
                "services_release": "2.0",
                "activation_gateways_only": True,
                "activation_what": "rollback to ",
                "activation_new": record,
                "generation_record": record,
            },
            "tasks": [
                {"ansible.builtin.import_role": {"name": role, "tasks_from": "report"}},
            ],
        }
    ]
    (tmp_path / "book.yml").write_text(yaml.safe_dump(book))
    settings = (f"ansible_python_interpreter={sys.executable}", f"askfleet_source_dir={ROOT}")
    extra = [part for setting in settings for part in ("-e", setting)]
    done = play("-i", tmp_path / "inventory.yml", *extra, tmp_path / "book.yml")
    assert done.returncode == (2 if failed else 0), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("role", "what"),
    [("services", "The rollout of release 2.0"), ("activation", f"Rollback to {C}")],
)
@pytest.mark.slow
def test_a_change_that_failed_ends_with_where_every_host_is(
    play: Run, tmp_path: Path, role: str, what: str
) -> None:
    output = reported(play, tmp_path, role, failed=True)
    lines = output.partition("\nSUMMARY ")[2].splitlines()[1:]
    assert lines == [
        f"{what} failed.",
        "why: gateway-1: rolling out 2.0: it does not start",
        f"state: shard-b could not be asked: before, it served {B}; "
        "what it serves now is not known",
        "state: links and /health were read after the failure: "
        f"the other 5 hosts are where they were; the gateways serve {B}",
        f"journal: shard-a: {MISSES}",
        "lock: gateway-1: /var/x cannot be removed: Read-only: "
        "the next run on this controller takes it over",
        "next: remove the cause, then run the same command again; "
        "`ansible-playbook status.yml` shows what each host serves.",
    ]
    if role == "services":
        assert "        the first line\n        the last line\n" in output, "a line each"


@pytest.mark.parametrize("role", ["services", "activation"])
@pytest.mark.slow
def test_a_change_that_succeeded_says_what_a_journal_misses(
    play: Run, tmp_path: Path, role: str
) -> None:
    output = " ".join(reported(play, tmp_path, role, failed=False).split())
    assert f"Noted on the way: shard-a: {MISSES}." in output
    assert "SUMMARY" not in output
