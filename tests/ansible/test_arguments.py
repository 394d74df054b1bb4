"""What is typed behind a playbook's name is read, or refused before any host is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT, Run
from tripwire import fleet_behind_a_tripwire

ARGUMENTS = yaml.safe_load((ROOT / "playbooks/vars/arguments.yml").read_text())
IMPORTED = {"finish", "ready", "withdrawn"}  # by other playbooks alone
SECONDARY = {"lab", "lab_down", "stack"}  # no file of their own in the root


def book(name: str) -> str:
    return f"playbooks/{name}.yml" if name in SECONDARY else f"{name}.yml"


def test_every_playbook_says_what_it_takes() -> None:
    books = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert set(ARGUMENTS) == books - IMPORTED


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.slow
def test_every_playbook_refuses_a_name_that_nothing_reads(
    play: Run, tmp_path: Path, name: str
) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    done = play("-i", hosts, book(name), "-e", "allow_lost_host=1")
    assert done.returncode == 5, done.stdout + done.stderr
    assert f"-e allow_lost_host: {name}.yml has no such variable; " in done.stderr
    suggested = "did you mean allow_lost_hosts?" in done.stderr
    assert suggested == ("allow_lost_hosts" in ARGUMENTS[name])
    assert "PLAY [" not in done.stdout
    assert not mark.exists()


@pytest.mark.parametrize("form", ["pairs", "json", "file"])
@pytest.mark.slow
def test_a_name_is_found_in_every_form(play: Run, tmp_path: Path, form: str) -> None:
    hosts, _ = fleet_behind_a_tripwire(tmp_path)
    given = tmp_path / "extra.yml"
    given.write_text("askfleet_http_port: 81\ncorups: x\nnginx_programm: y\n")
    values = {"askfleet_http_port": 81, "corups": "x", "nginx_programm": "y"}
    forms = {
        "pairs": " ".join(f"{name}={value}" for name, value in values.items()),
        "json": json.dumps(values),
        "file": f"@{given}",
    }
    done = play("-i", hosts, "update_index.yml", "-e", forms[form])
    assert done.returncode == 5
    assert "-e corups: update_index.yml has no such variable; did you mean corpus?" in done.stderr
    assert "did you mean nginx_program?" not in done.stderr  # a role that it has not
    assert "-e nginx_programm" in done.stderr
    assert "askfleet_http_port" not in done.stderr


@pytest.mark.slow
def test_names_of_inventory_roles_and_ansible_are_taken(play: Run, tmp_path: Path) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("our_port: 81\n")
    names = ("askfleet_threads=4", "our_port=82", "nginx_program=/bin/true", "ansible_port=22")
    extra = [part for name in names for part in ("-e", name)]
    play("-i", hosts, "site.yml", "--check", *extra)
    assert mark.exists()


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("site", "--start-at-task=x"),
        ("update_index", "--limit=shards"),
        ("rollback", "--step"),
        ("rollback", "--limit=shards"),
        ("status", "--limit=shards"),
        ("status", "--tags=x"),
        ("status", "--skip-tags=x"),
    ],
)
@pytest.mark.slow
def test_no_play_of_the_fleet_runs_in_part(
    play: Run, tmp_path: Path, name: str, option: str
) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    done = play("-i", hosts, book(name), option)
    assert done.returncode == 5, done.stdout + done.stderr
    assert option.partition("=")[0] in done.stderr
    assert f"{name}.yml" in done.stderr
    assert "leave" in done.stderr
    assert "PLAY [" not in done.stdout
    assert not mark.exists()


def test_there_are_no_tags() -> None:
    """The refusal says so."""
    sources = [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/*.yml")]
    assert [path for path in sources if "\n      tags:" in path.read_text()] == []
    assert [path for path in sources if "\n  tags:" in path.read_text()] == []


@pytest.mark.slow
def test_a_relative_directory_is_refused_with_the_path_to_write(play: Run, tmp_path: Path) -> None:
    hosts, _ = fleet_behind_a_tripwire(tmp_path)
    done = play("-i", hosts, ROOT / "site.yml", "-e", "askfleet_build_dir=var", cwd=tmp_path)
    assert done.returncode == 5
    assert f"write askfleet_build_dir={tmp_path}/var" in done.stderr


# --- where it is started --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o777])
@pytest.mark.slow
def test_a_play_finds_its_parts_wherever_it_is_started(
    play: Run, tmp_path: Path, mode: int
) -> None:
    """Ansible does not read an ansible.cfg in a directory that all may write to."""
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    if mode == 0o777:
        shutil.copy(ROOT / "ansible.cfg", tmp_path)
    tmp_path.chmod(mode)
    done = play("-i", hosts, ROOT / "status.yml", cwd=tmp_path)
    assert "Compare" in done.stdout, done.stdout + done.stderr
    assert mark.exists()
    assert f"Set ANSIBLE_CONFIG={ROOT}/ansible.cfg" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_a_play_without_an_inventory_says_so(play: Run, tmp_path: Path) -> None:
    done = play(ROOT / "status.yml", cwd=tmp_path)
    assert done.returncode == 5
    assert f"there is no inventory: Ansible did not read {ROOT}/ansible.cfg" in done.stderr


@pytest.mark.slow
def test_a_corpus_is_found_from_where_the_play_is_started(play: Run, tmp_path: Path) -> None:
    """Whatever the variable PWD says: cron and CI runners leave it as it was."""
    hosts, _ = fleet_behind_a_tripwire(tmp_path)
    (tmp_path / "corpus.jsonl").write_text('{"title": "no text"}\n')
    extra = ["-e", "corpus=corpus.jsonl", "-e", "model=none", "-e", f"generation_dir={tmp_path}/g"]
    extra += ["-e", f"generation_log_dir={tmp_path}/log"]
    pwd = {"PWD": "/nowhere"}
    done = play("-i", hosts, ROOT / "update_index.yml", *extra, cwd=tmp_path, **pwd)
    told = " ".join((done.stdout + done.stderr).split())
    assert "/nowhere" not in told
    assert str(tmp_path / "corpus.jsonl") in told or str(tmp_path / "none") in told
    assert "from_json" not in told
    assert f"The build's log: {tmp_path}/log/build-" in told


@pytest.mark.slow
def test_a_build_in_check_mode_is_refused_with_what_to_type(play: Run, tmp_path: Path) -> None:
    hosts, _ = fleet_behind_a_tripwire(tmp_path)
    done = play("-i", hosts, "update_index.yml", "--check", "-e", "corpus=corpus.jsonl")
    assert done.returncode == 2
    told = " ".join(done.stdout.split())
    assert "--check builds nothing" in told
    assert "-e generation=latest --check" in told
    assert "from_json" not in told
