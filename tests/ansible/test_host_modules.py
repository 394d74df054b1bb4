"""What else the playbooks do on a host: lock, place, prune and look."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_modules import run_module
from ansible_sources import Run
from fake_host import FakeHost, Json

IDS = [f"2026110{day}T000000Z-0000000{day}" for day in range(1, 7)]
ANNA = {"run": "r-1", "by": "anna@desk", "what": "update to X", "since": "2026-11-01T00:00:00Z"}
BEN = {"run": "r-2", "by": "ben@desk", "what": "rollback to Y", "since": "2026-11-02T00:00:00Z"}


# --- lock


def lock(path: Path, holder: Json, **more: Any) -> dict[str, Any]:
    return run_module("lock", path=str(path), holder=holder, **more)


def test_a_free_lock_is_taken_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "update.lock"
    assert lock(path, ANNA)["was"] == {}
    assert json.loads(path.read_text()) == ANNA
    told = lock(path, ANNA, state="free")
    assert (told["was"], told["changed"]) == (ANNA, False)
    assert not path.exists()
    assert lock(path, ANNA, state="free")["was"] == {}


def test_a_lock_that_is_held_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "update.lock"
    lock(path, ANNA)
    told = lock(path, BEN)
    assert told["failed"]
    assert told["msg"] == "anna@desk has held the lock since 2026-11-01T00:00:00Z (update to X)"
    lock(path, BEN, state="free")
    assert json.loads(path.read_text()) == ANNA, "nobody gives back what is another's"


def test_the_same_run_takes_it_again(tmp_path: Path) -> None:
    lock(tmp_path / "update.lock", ANNA)
    assert lock(tmp_path / "update.lock", ANNA)["was"] == ANNA


@pytest.mark.parametrize("replaces", ["r-1", "*"])
def test_a_holder_that_has_ended_is_replaced(tmp_path: Path, replaces: str) -> None:
    path = tmp_path / "update.lock"
    lock(path, ANNA)
    assert lock(path, BEN, replaces="r-0")["failed"], "another than the one that ended"
    assert lock(path, BEN, replaces=replaces)["was"] == ANNA
    assert json.loads(path.read_text()) == BEN


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\udc80"])
def test_a_damaged_lock_is_held_until_it_is_broken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "update.lock"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert "an unreadable file" in lock(path, ANNA)["msg"]
    assert lock(path, ANNA, replaces="*")["was"]["run"] == "unreadable"
    assert json.loads(path.read_text()) == ANNA


def test_a_disk_that_takes_no_lock_is_said_without_naming_a_holder(tmp_path: Path) -> None:
    (tmp_path / "update.new").mkdir()
    told = lock(tmp_path / "update.lock", ANNA)
    assert told["msg"] == f"{tmp_path}/update.lock cannot be written: Is a directory"
    assert "was" not in told


def test_check_mode_takes_no_lock(tmp_path: Path) -> None:
    assert not lock(tmp_path / "update.lock", ANNA, check=True).get("failed")
    assert list(tmp_path.iterdir()) == []


def takes(path: Path, name: str) -> bool:
    return not lock(path, {"run": name}).get("failed")


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "update.lock"
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        got = list(pool.map(takes, [path] * 12, [f"r-{number}" for number in range(12)]))
    assert sum(got) == 1
    assert json.loads(path.read_text()) == {"run": f"r-{got.index(True)}"}


def test_who_looks_at_the_lock_does_so_alone(tmp_path: Path) -> None:
    path = tmp_path / "update.lock"
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool,
        (tmp_path / "update.guard").open("w") as guard,
    ):
        fcntl.flock(guard, fcntl.LOCK_EX)
        waiting = pool.submit(takes, path, "r-9")
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        path.write_text(json.dumps(ANNA))
        fcntl.flock(guard, fcntl.LOCK_UN)
        assert not waiting.result(30), "it has seen what came meanwhile"
    assert json.loads(path.read_text()) == ANNA


# --- place


@pytest.fixture
def staged(host: FakeHost) -> Path:
    path = host.data / f"generations/.staging-{IDS[0]}"
    path.mkdir()
    (path / "manifest.json").write_text("new")
    return path


def put(host: FakeHost, staged: Path, **more: Any) -> dict[str, Any]:
    params = {
        "staged": str(staged),
        "path": str(staged.with_name(IDS[0])),
        "verify": [str(host.program), "verify", "--shard=0"],
    }
    return run_module("place", **(params | more))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_part_gets_its_place_once_verified(host: FakeHost, staged: Path) -> None:
    told = put(host, staged)
    assert (told["changed"], told["path"]) == (True, str(staged.with_name(IDS[0])))
    assert (staged.with_name(IDS[0]) / "manifest.json").read_text() == "new"
    assert names(staged.parent) == [IDS[0]]
    assert host.calls() == [f"askfleet verify --shard=0 {staged} (gateways: nothing)"]


def test_who_may_read_a_part_is_set_when_it_gets_its_place(host: FakeHost, staged: Path) -> None:
    modes = host.root / "modes.conf"
    modes.write_text(f"z {staged.parent}/*/manifest.json 0604 - - -\n")
    staged.chmod(0o750)
    put(host, staged, modes=str(modes))
    place = staged.with_name(IDS[0])
    assert place.joinpath("manifest.json").stat().st_mode & 0o777 == 0o604
    modes.write_text(f"z {staged.parent}/* 0755 no-such-user - -\n")
    place.rename(staged)
    assert "no-such-user" in put(host, staged, modes=str(modes))["msg"]


def test_a_part_that_arrived_damaged_goes(host: FakeHost, staged: Path) -> None:
    host.command_fails("verify", "manifest.json: sha256 differs\n")
    told = put(host, staged)
    assert told["msg"] == "verify what arrived: manifest.json: sha256 differs"
    assert names(staged.parent) == []


def test_without_the_program_the_reason_is_said(host: FakeHost, staged: Path) -> None:
    told = put(host, staged, verify=[str(host.root / "none/askfleet"), "verify"])
    assert "none/askfleet: No such file or directory" in told["msg"]


def test_a_damaged_place_is_replaced(host: FakeHost, staged: Path) -> None:
    place = staged.with_name(IDS[0])
    place.mkdir()
    (place / "manifest.json").write_text("damaged")
    (staged.parent / f".staging-damaged-{IDS[0]}").mkdir()
    put(host, staged)
    assert (place / "manifest.json").read_text() == "new"
    assert names(staged.parent) == [IDS[0]]


def test_a_damaged_place_stays_where_nothing_better_arrived(host: FakeHost, staged: Path) -> None:
    staged.with_name(IDS[0]).mkdir()
    host.command_fails("verify", "no")
    assert put(host, staged)["failed"]
    assert names(staged.parent) == [IDS[0]]


def test_check_mode_places_nothing(host: FakeHost, staged: Path) -> None:
    assert put(host, staged, check=True)["changed"]
    assert names(staged.parent) == [staged.name]
    assert host.calls() == []


# --- prune


def prune(host: FakeHost, keep: int, **more: Any) -> list[str]:
    return pruned(host.data, host.state, keep, **more)


def pruned(data: Path, state: Path, keep: int, **more: Any) -> list[str]:
    told = run_module("prune", data_dir=str(data), state_dir=str(state), keep=keep, **more)
    assert told["changed"] == bool(told["removed"])
    return sorted(Path(path).name for path in told["removed"])


@pytest.fixture
def generations(host: FakeHost) -> Path:
    """Six, of which the oldest were touched last."""
    home = host.data / "generations"
    for age, name in enumerate(IDS):
        (home / name).mkdir()
        (home / name / "manifest.json").write_text(name)
        os.utime(home / name, (10**9 - age, 10**9 - age))
    return home


def test_the_newest_by_name_stay(host: FakeHost, generations: Path) -> None:
    assert prune(host, 2) == IDS[:4]
    assert names(generations) == IDS[4:]
    assert prune(host, 2) == []


def test_what_a_link_names_stays(host: FakeHost, generations: Path) -> None:
    host.link("gateway", IDS[1], IDS[0])
    host.link("shard", IDS[5], IDS[2])
    assert prune(host, 1) == [IDS[3], IDS[4]]
    assert prune(host, 0) == []
    assert names(generations) == [IDS[0], IDS[1], IDS[2], IDS[5]]


def test_what_was_staged_and_never_served_goes_when_asked_for(
    host: FakeHost, generations: Path
) -> None:
    host.link("shard", IDS[3], IDS[0])
    host.link("gateway", IDS[2])
    assert prune(host, 2, unserved=True, check=True) == [IDS[1], IDS[4], IDS[5]]
    assert prune(host, 2, unserved=True) == [IDS[1], IDS[4], IDS[5]]
    assert names(generations) == [IDS[0], IDS[2], IDS[3]]


def test_where_nothing_is_served_nothing_counts_as_staged_only(
    host: FakeHost, generations: Path
) -> None:
    assert prune(host, 6, unserved=True) == []
    assert names(generations) == IDS


def test_models_that_no_link_names_go(host: FakeHost) -> None:
    for model in ("1" * 16, "2" * 16, "a" * 16):
        (host.data / "models" / model).mkdir()
    host.link("encoder", "2" * 16, "1" * 16)
    assert prune(host, 3) == ["a" * 16]
    assert names(host.data / "models") == ["1" * 16, "2" * 16]


def test_what_was_not_finished_goes(host: FakeHost, staged: Path) -> None:
    model = host.data / "models/.staging-0123"
    model.mkdir()
    (host.data / "generations/README").write_text("not ours")
    assert prune(host, 3) == sorted([staged.name, model.name])
    assert names(host.data / "generations") == ["README"]


@pytest.mark.usefixtures("generations")
def test_prune_waits_for_a_switch_that_goes_on(host: FakeHost) -> None:
    """The last task of a play that was killed may still be at it; what it links stays."""
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool,
        (host.state / "switch.lock").open("w") as other,
    ):
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = pool.submit(pruned, host.data, host.state, 1)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        host.link("shard", IDS[0])
        fcntl.flock(other, fcntl.LOCK_UN)
        assert waiting.result(30) == IDS[1:5]


def test_check_mode_prunes_nothing(host: FakeHost, generations: Path) -> None:
    assert prune(host, 5, check=True) == [IDS[0]]
    assert names(generations) == IDS
    assert names(host.state) == []


# --- look


def seal(directory: Path, files: dict[str, str], record: str, **more: Any) -> dict[str, Any]:
    """A sealed directory; its files as its record tells them."""
    directory.mkdir(parents=True)
    told = {}
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        told[name] = {"size": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    (directory / record).write_text(json.dumps({"files": told, **more}))
    return told


def look(host: FakeHost, *services: Json, **more: Any) -> dict[str, Any]:
    params = {
        "services": list(services),
        "nginx": str(host.root / "nginx.conf"),
        "data_dir": str(host.data),
        "install_dir": str(host.root / "opt"),
        "state_dir": str(host.state),
    }
    told = run_module("look", **(params | more))
    assert "failed" not in told, told
    assert not told["changed"]
    found: dict[str, Any] = told["look"]
    return found


def test_a_look_tells_what_is_held(host: FakeHost) -> None:
    shards = [{"memory_bytes": 7}, {"memory_bytes": 8}]
    home = host.data / "generations"
    files = seal(
        home / IDS[0],
        {"shard-000/index.faiss": "abc", "routing/centroids.npy": "defg"},
        "manifest.json",
        shards=shards,
        documents=60,
        model={"fingerprint": "1" * 16},
    )
    (home / IDS[0] / "routing/centroids.npy").write_text("cut")
    model = seal(host.data / "models" / ("1" * 16), {"model.onnx": "x"}, "model.json")
    held = look(host)["held"]
    assert held["generations"] == {
        IDS[0]: {
            "record": hashlib.sha256((home / IDS[0] / "manifest.json").read_bytes()).hexdigest(),
            "files": {"shard-000/index.faiss": files["shard-000/index.faiss"]["sha256"]},
            "memory": [7, 8],
            "model": "1" * 16,
            "documents": 60,
        }
    }
    assert held["models"]["1" * 16]["files"] == {"model.onnx": model["model.onnx"]["sha256"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"files": []}',
        '{"files": {"manifest.json": 1}}',
        '{"files":{},"shards":[1]}',
    ],
)
def test_a_damaged_record_holds_nothing(host: FakeHost, text: str) -> None:
    home = host.data / "generations"
    for name in IDS[:2]:
        seal(home / name, {}, "manifest.json", shards=[], model={"fingerprint": "1"})
    (home / IDS[1] / "manifest.json").write_text(text)
    (home / IDS[2]).mkdir()
    seal(home / ".staging-x", {}, "manifest.json")
    assert list(look(host)["held"]["generations"]) == [IDS[0]]


def test_a_look_tells_what_is_whole(host: FakeHost) -> None:
    part = host.data / "generations" / IDS[0]
    files = seal(part, {"a/one": "1", "two": "22"}, "manifest.json")

    def whole() -> bool:
        parts = [{"name": "generation", "path": str(part), "files": files}]
        found = look(host, parts=parts)
        assert found["whole"]["generation"] == (found["sound"]["generation"] == ["a/one", "two"])
        assert "a/one" in found["sound"]["generation"]
        return bool(found["whole"]["generation"])

    assert whole()
    (part / "two").write_text("2x")
    assert not whole(), "as long, but damaged"
    (part / "two").write_text("222")
    assert not whole()
    (part / "two").unlink()
    assert not whole()


def test_a_look_tells_links_health_units_and_flags(host: FakeHost) -> None:
    shards = [host.service("shard", number) for number in (0, 1)]
    host.link("shard", IDS[1], IDS[0])
    host.start(shards[0])
    host.mask(shards[1])
    Path(shards[1]["drain_file"]).touch()
    found = look(host, *shards)
    assert found["links"] == {
        "encoder": {"current": "", "previous": ""},
        "shard": {
            "current": host.place("shard", IDS[1]),
            "previous": host.place("shard", IDS[0]),
        },
        "gateway": {"current": "", "previous": ""},
    }
    assert found["health"]["shard-0"]["generations"] == {"current": IDS[1], "previous": IDS[0]}
    assert found["health"]["shard-1"]["status"] == "silent"
    assert [found["units"][f"shard-{n}"]["LoadState"] for n in (0, 1)] == ["loaded", "masked"]
    assert found["drained"] == ["shard-1"]
    assert found["lock"] == {}
    assert found["journal"] == []


def test_a_look_verifies_what_every_service_serves_where_it_is_asked_to(host: FakeHost) -> None:
    shards = [host.service("shard", number) for number in (0, 1)]
    host.link("shard", IDS[1], IDS[0])
    program = host.root / "opt/current/bin/askfleet"
    program.parent.mkdir(parents=True)
    program.symlink_to(host.program)
    assert look(host, *shards)["damage"] == {}
    assert look(host, *shards, verify=True)["damage"] == {"shard-0": [], "shard-1": []}
    verified = [call for call in host.calls() if "verify" in call]
    assert [call.split()[1:4] for call in verified] == [
        ["verify", f"--shard={number}", host.place("shard", name)]
        for number in (0, 1)
        for name in (IDS[1], IDS[0])
    ]
    host.command_fails("verify", "error: index.faiss does not match")
    found = look(host, shards[0], verify=True)["damage"]
    assert found == {"shard-0": ["index.faiss does not match"] * 2}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": "draining"}, "draining"),
        ([1, 2], "answers 200"),
        ("text", "answers 200"),
        ({}, "answers 200"),
        (b"HTTP/1.1 503 No\r\n\r\n<html>", "answers 503"),
        (b"HTTP/1.1 503 No\r\n\r\n[1]", "answers 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "silent"),
        (b"what?\r\n", "silent"),
    ],
)
def test_every_answer_has_a_status(host: FakeHost, answer: Any, status: str) -> None:
    service = host.service("shard", 0)
    host.start(service)
    host.answers["shard-0"] = lambda _: answer
    assert look(host, service)["health"]["shard-0"]["status"] == status


def test_a_look_past_a_drain_flag_is_a_canary(host: FakeHost) -> None:
    service = host.service("gateway")
    host.start(service)
    look(host, service)
    assert host.asked[-1]["Askfleet-Canary"] == "1"


def test_units_of_which_systemd_says_nothing(host: FakeHost) -> None:
    (host.root / "bin/systemctl").write_text("#!/bin/sh\nexit 1\n")
    shards = [host.service("shard", number) for number in (0, 1)]
    assert look(host, *shards)["units"] == {"shard-0": {}, "shard-1": {}}


def test_a_look_tells_room_and_releases(host: FakeHost) -> None:
    releases = host.root / "opt/releases"
    for name in ("1.0.0", "1.1.0"):
        (releases / name).mkdir(parents=True)
    (host.root / "opt/current").symlink_to(releases / "1.1.0")
    found = look(host, data_dir=str(host.root / "not/yet/there"))
    assert (found["release"], found["releases"]) == ("1.1.0", ["1.0.0", "1.1.0"])
    room = os.statvfs(host.root)
    assert found["disk"]["total"] == room.f_blocks * room.f_frsize
    assert 0 < found["disk"]["free"] <= found["disk"]["total"]
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]


NGINX = """
http {
upstream pool_shard_0 {
    server FIRST max_fails=1 fail_timeout=2s;
    server SECOND max_fails=1 fail_timeout=2s;
    server FIRST max_fails=0 backup;
    server SECOND max_fails=0 backup;
    keepalive 32;
}
upstream gateways {
    server FIRST max_fails=1 fail_timeout=2s;
}
server { listen 80; }
}
"""


def test_a_look_asks_the_replicas_that_nginx_asks(host: FakeHost) -> None:
    """Those of hosts that have left the inventory too."""
    services = [host.service("shard", number) for number in (0, 1)]
    first, second = (f"127.0.0.1:{service['port']}" for service in services)
    host.link("shard", IDS[1], IDS[0])
    host.start(services[0])
    config = host.root / "nginx.conf"
    config.write_text(NGINX.replace("FIRST", first).replace("SECOND", second))
    answer = {"status": "ok", "loaded": [IDS[1], IDS[0]]}
    assert look(host, nginx=str(config))["asked"] == {
        "shard-0": {first: answer, second: {"status": "silent", "loaded": []}},
        "gateway": {first: answer},
    }


def test_a_host_without_nginx_asks_nobody(host: FakeHost) -> None:
    assert look(host, nginx=str(host.root / "none/nginx.conf"))["asked"] == {}


def test_a_look_tries_to_write(host: FakeHost) -> None:
    file = host.root / "file"
    file.touch()
    before = host.snapshot()
    there, missing, wrong = (str(path) for path in (host.state, host.state / "not/yet", file))
    for check in (False, True):
        tried = look(host, writes=[there, missing, wrong], check=check)["writes"]
        assert tried[there]["error"] == tried[missing]["error"] == ""
        assert tried[there]["free"] > 0
        assert (tried[wrong]["error"], tried[wrong]["why"]) == ("ENOTDIR", "Not a directory")
    assert host.snapshot() == before
    assert look(host)["writes"] == {}


def test_a_look_tells_dangling_links_and_what_is_unfinished(host: FakeHost, staged: Path) -> None:
    host.link("shard", IDS[1], IDS[2])
    Path(host.place("shard", IDS[1])).mkdir()
    found = look(host)
    assert found["dangling"] == ["shard/previous"]
    assert found["unfinished"] == [staged.name]


def test_a_look_tells_who_has_the_lock(host: FakeHost) -> None:
    lock(host.state / "update.lock", ANNA)
    assert look(host)["lock"] == ANNA
    (host.state / "update.lock").write_text("{")
    assert look(host)["lock"]["by"] == "an unreadable file"


def test_a_torn_line_of_the_journal_is_left_out(host: FakeHost) -> None:
    service = host.service("shard", 0)
    host.link("shard", IDS[0])
    host.start(service)

    def switch(name: str) -> None:
        run_module(
            "switch",
            kind="shard",
            services=[service],
            links=str(host.data / "shard"),
            to={"current": host.place("shard", name), "previous": ""},
            state_dir=str(host.state),
            run={"run": name},
        )

    journal = host.state / "journal.jsonl"
    switch(IDS[1])
    with journal.open("ab") as file:
        file.write(b'{"time": "2026\xff')
    switch(IDS[2])
    assert [entry["run"] for entry in look(host, history=5)["journal"]] == IDS[1:3]
    assert [entry["run"] for entry in look(host, history=1)["journal"]] == IDS[2:3]
    assert look(host)["journal"] == []


# --- without anything to do


@pytest.mark.parametrize("verb", ["enable", "disable", "restart", "stop", "show"])
def test_systemctl_is_not_called_without_units(host: FakeHost, verb: str) -> None:
    """systemctl refuses an empty list; journalctl takes it for everything."""
    common = importlib.import_module("ansible_collections.askfleet.fleet.plugins.module_utils.host")
    assert common.systemctl(verb, []) == (0, "", "")
    assert common.systemctl(verb, iter(()), "--now") == (0, "", "")
    assert common.unit_states([]) == {}
    assert common.log_of([]) == []
    assert host.calls() == []


def test_a_host_without_services_stops_and_restarts_nothing(host: FakeHost) -> None:
    restarts = importlib.import_module(
        "ansible_collections.askfleet.fleet.plugins.module_utils.restart"
    )
    restarts.check_startable([])
    restarts.restart([], lambda *_: False, drain=True, seconds=1)
    restarts.stop([])
    assert host.calls() == []


# --- as Ansible ships them


BOOK = """
- hosts: localhost
  gather_facts: false
  vars: VARS
  tasks:
    - askfleet.fleet.look:
        services: []
        data_dir: "{{ data }}"
        install_dir: /opt
        state_dir: "{{ state }}"
        nginx: /none
    - askfleet.fleet.lock: {path: "{{ state }}/update.lock", holder: {run: r-1}}
    - askfleet.fleet.place:
        staged: "{{ data }}/.staging-x"
        path: "{{ data }}/x"
        verify: ["true"]
    - askfleet.fleet.prune: {data_dir: "{{ data }}", state_dir: "{{ state }}", keep: 1}
    - askfleet.fleet.retire:
        services: []
        install_dir: /opt
        config_dir: /etc
        data_dir: "{{ state }}"
        unit_dir: "{{ state }}"
        state_dir: "{{ state }}"
    - askfleet.fleet.switch:
        kind: shard
        services: []
        links: "{{ data }}/shard"
        to: {current: /x}
        state_dir: "{{ state }}"
"""


@pytest.mark.usefixtures("generations")
@pytest.mark.slow
def test_ansible_finds_and_runs_every_module(host: FakeHost, play: Run) -> None:
    before = host.snapshot()
    book = host.root.parent / "book.yml"
    book.write_text(
        BOOK.replace("VARS", json.dumps({"data": str(host.data), "state": str(host.state)}))
    )
    python = f"ansible_python_interpreter={sys.executable}"
    done = play("-i", "localhost,", "-c", "local", "-e", python, "--check", book)
    assert "ok=6    changed=3    unreachable=0    failed=0" in done.stdout, (
        done.stdout + done.stderr
    )
    assert host.snapshot() == before
