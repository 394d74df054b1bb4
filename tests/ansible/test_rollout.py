"""One host's rollout: release, units and settings together, or everything as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_modules import run_module
from fake_host import FakeHost, Json

OLD, NEW, BAD = "1.0-00000001", "2.0-00000002", "3.0-00000003"
GENERATION = "20261101T000000Z-00000001"


class Rollouts:
    """A host with two shards, and what the role services writes there."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.install, self.units = host.root / "install", host.root / "unit-files"
        self.settings, self.next = host.root / "etc", host.state / "next"
        for path in (self.units, self.settings, self.next / "units", self.next / "settings"):
            path.mkdir(parents=True)
        (host.state / "applied").mkdir()
        for release in (OLD, NEW, BAD):
            (self.install / "releases" / release).mkdir(parents=True)
        self.services = [host.service("shard", number) for number in (0, 1)]
        for service in self.services:
            host.answers[service["name"]] = self._answer
        self.write("first")

    def _answer(self, told: Json) -> Any:
        """What a service says: the release that the link names; nothing where that is broken."""
        release = (self.install / "current").readlink().name
        return None if release == BAD else {**told, "release": release}

    def write(self, text: str, services: list[Json] | None = None) -> None:
        """Write the wanted units and settings, as the templates would."""
        for kind in ("units", "settings"):
            for path in (self.next / kind).iterdir():
                path.unlink()
        for service in services or self.services:
            for end in (".socket", ".service"):
                (self.next / "units" / f"{service['unit']}{end}").write_text(text)
            (self.next / "settings" / f"{service['name']}.env").write_text(text)

    def write_socket(self, service: Json, *addresses: str) -> None:
        """Write a wanted socket unit that listens there."""
        lines = "".join(f"ListenStream={address}\n" for address in addresses)
        (self.next / "units" / f"{service['unit']}.socket").write_text(lines)

    def serve(self) -> None:
        """There is something to serve, and it is served."""
        self.host.link("shard", GENERATION)
        for service in self.services:
            (Path(self.host.place("shard", GENERATION)) / service["part"]).mkdir(parents=True)
        self.host.start(*self.services)

    def roll(self, release: str, *, check: bool = False, **more: Any) -> dict[str, Any]:
        params = {
            "services": self.services,
            "release": release,
            "install_dir": str(self.install),
            "config_dir": str(self.settings),
            "unit_dir": str(self.units),
            "state_dir": str(self.host.state),
            "drain": [service["name"] for service in self.services],
            "ready_seconds": 1,
            "run": {"run": "r-1", "by": "anna@desk", "what": f"release {release}"},
        }
        return run_module("rollout", check=check, **(params | more))

    def release(self) -> str:
        return (self.install / "current").readlink().name

    def in_place(self) -> set[str]:
        """Contents of the units and settings in place."""
        places = [*self.units.iterdir(), *self.settings.iterdir()]
        return {path.read_text() for path in places}


@pytest.fixture
def rollouts(host: FakeHost) -> Rollouts:
    return Rollouts(host)


@pytest.fixture
def served(rollouts: Rollouts) -> Rollouts:
    """OLD runs and serves."""
    rollouts.roll(OLD)
    rollouts.serve()
    (rollouts.host.root / "calls").write_text("")
    return rollouts


def test_the_first_rollout_enables_and_starts_nothing(rollouts: Rollouts) -> None:
    assert rollouts.roll(OLD)["changed"]
    assert rollouts.release() == OLD
    assert rollouts.in_place() == {"first"}
    assert not rollouts.host.calls("systemctl restart")
    assert rollouts.host.calls("systemctl enable")


def test_a_second_time_there_is_nothing_to_do(served: Rollouts) -> None:
    assert not served.roll(OLD)["changed"]
    assert not served.host.calls("systemctl restart")


def test_a_release_restarts_all_services_drained(served: Rollouts) -> None:
    told = served.roll(NEW)
    assert told["restarted"] == ["shard-0", "shard-1"]
    assert served.release() == NEW
    [restart] = served.host.calls("systemctl restart")
    assert "[shard-0 shard-1]" in restart, "drained while it restarts"
    assert list(served.host.drain.iterdir()) == []
    assert served.host.journal()[-1]["result"] == "ok"
    assert not served.roll(NEW)["changed"]


def test_only_what_changed_restarts(served: Rollouts) -> None:
    (served.next / "settings/shard-1.env").write_text("other")
    assert served.roll(OLD)["restarted"] == ["shard-1"]
    [restart] = served.host.calls("systemctl restart")
    assert "shard@0" not in restart
    assert (served.settings / "shard-1.env").read_text() == "other"


def test_settings_that_services_read_are_not_for_everybody(served: Rollouts) -> None:
    assert {path.stat().st_mode & 0o777 for path in served.settings.iterdir()} == {0o640}
    assert {path.stat().st_mode & 0o777 for path in served.units.iterdir()} == {0o644}


@pytest.mark.slow
def test_a_release_that_does_not_come_back_leaves_all_as_it_was(served: Rollouts) -> None:
    served.write("of the bad release")
    told = served.roll(BAD)
    assert told["failed"]
    assert "wait for askfleet-shard@0: it is silent" in told["msg"]
    assert "did not come back" not in told["msg"]
    assert served.release() == OLD
    assert served.in_place() == {"first"}
    assert len(served.host.calls("systemctl restart")) == 2, "forward, and back"
    assert list(served.host.drain.iterdir()) == []
    assert served.host.journal()[-1]["result"].endswith("put back")
    served.write("first")
    served.roll(OLD)
    assert served.release() == OLD


@pytest.mark.slow
def test_what_a_service_says_about_its_start_is_the_reason(served: Rollouts) -> None:
    served.host.fails_with(served.services[0], GENERATION)
    served.host.says("[CRITICAL] the service cannot start: no such index")
    told = served.roll(NEW)
    assert "no such index" in told["msg"]


@pytest.mark.slow
def test_going_back_undoes_this_run_and_no_other(served: Rollouts) -> None:
    served.write("of the new release")
    served.roll(NEW)
    other = {"run": "r-2", "by": "ben@desk", "what": "something else"}
    assert not served.roll(NEW, state="back", run=other)["changed"]
    assert served.release() == NEW
    assert served.roll(NEW, state="back")["changed"]
    assert served.release() == OLD
    assert served.in_place() == {"first"}
    assert served.host.journal()[-1]["result"] == "put back"


def test_going_back_writes_no_file_anew(served: Rollouts) -> None:
    """A disk that has filled since does not stop it."""
    places = [*served.units.iterdir(), *served.settings.iterdir()]
    before = {path: path.stat().st_ino for path in places}
    served.write("of the new release")
    served.roll(NEW)
    (served.install / ".current.new").mkdir()
    (served.host.state / "journal.jsonl").unlink()
    (served.host.state / "journal.jsonl").mkdir()
    told = served.roll(NEW, state="back")
    assert "journal.jsonl misses this change" in told["unwritten"]
    assert served.release() == OLD
    assert {path: path.stat().st_ino for path in before} == before
    left = [path.name for path in (*served.units.iterdir(), *served.settings.iterdir())]
    assert [name for name in left if name.startswith(".")] == []


def test_without_a_way_back_nothing_is_rolled_out(served: Rollouts) -> None:
    served.write("of the new release")
    before = {path.read_text() for path in served.units.iterdir()}
    shutil.rmtree(served.host.state / "before")
    (served.host.state / "before").write_text("in the way")
    told = served.roll(NEW)
    assert "cannot keep what is in place: File exists" in told["msg"]
    assert served.release() == OLD
    assert {path.read_text() for path in served.units.iterdir()} == before
    assert not served.host.calls("systemctl restart")


@pytest.mark.slow
def test_a_rollout_goes_on_without_a_journal(served: Rollouts) -> None:
    (served.host.state / "journal.jsonl").unlink()
    (served.host.state / "journal.jsonl").mkdir()
    told = served.roll(NEW)
    assert told["changed"]
    assert "misses this change" in told["unwritten"]
    told = served.roll(BAD)
    assert told["failed"]
    assert "did not come back" not in told["msg"]
    assert served.release() == NEW


def test_an_interrupted_rollout_is_made_good(served: Rollouts) -> None:
    """Link and files are there, but the services were never restarted with them."""
    served.write("of the new release")
    for path in (served.next / "units").iterdir():
        (served.units / path.name).write_text(path.read_text())
    (served.install / "current").unlink()
    (served.install / "current").symlink_to(served.install / "releases" / NEW)
    assert served.roll(NEW)["restarted"] == ["shard-0", "shard-1"]


def test_a_host_that_only_loses_a_service_restarts_nothing(served: Rollouts) -> None:
    stays = served.services[:1]
    served.write("first", stays)
    assert not served.roll(OLD, services=stays)["changed"]
    assert served.host.calls("systemctl restart", "systemctl enable", "systemctl disable") == []
    assert len(list(served.units.iterdir())) == 4, "what left goes last, by the module retire"


def test_a_shard_that_is_new_to_its_host_waits_for_its_data(served: Rollouts) -> None:
    """The host serves other shards already; what it has of the generation is theirs."""
    new = served.host.service("shard", 2)
    served.write("first", [*served.services, new])
    told = served.roll(OLD, services=[*served.services, new], drain=[])
    assert told["restarted"] == ["shard-2"]
    assert served.host.calls("systemctl enable")
    assert not served.host.calls("systemctl restart"), "it has nothing to serve yet"
    assert not served.roll(OLD, services=[*served.services, new])["changed"]


@pytest.mark.slow
def test_a_new_unit_goes_when_the_release_goes_back(served: Rollouts) -> None:
    new = served.host.service("shard", 2)
    served.write("of the bad release", [*served.services, new])
    told = served.roll(BAD, services=[*served.services, new])
    assert told["failed"]
    assert "did not come back" not in told["msg"]
    [disable] = served.host.calls("systemctl disable")
    assert disable.startswith(f"systemctl disable --now {new['unit']}.socket {new['unit']}.service")
    assert served.in_place() == {"first"}
    last = served.host.calls("systemctl enable")[-1]
    assert new["unit"] not in last, "systemd does not know it any more"


def test_check_mode_touches_nothing(served: Rollouts) -> None:
    served.write("of the new release")
    before = served.host.snapshot()
    assert served.roll(NEW, check=True)["changed"]
    assert served.host.snapshot() == before


def test_a_masked_unit_is_refused_before_anything_stops(served: Rollouts) -> None:
    served.host.mask(served.services[1])
    told = served.roll(NEW)
    assert "masked" in told["msg"]
    assert served.release() == OLD
    assert not [call for call in served.host.calls("systemctl restart") if "shard@1" in call]


def prune(install: Path, keep: int) -> list[str]:
    told = run_module("prune_releases", install_dir=str(install), keep=keep)
    return [str(Path(path).relative_to(install)) for path in told["removed"]]


def test_prune_keeps_the_current_release_and_the_last_installed(tmp_path: Path) -> None:
    for age, (release, environment) in enumerate([("a", "x"), ("b", "x"), ("c", "y"), ("d", "z")]):
        packages = tmp_path / "releases" / release / "lib/python3.11/site-packages"
        packages.mkdir(parents=True)
        stands_on = tmp_path / "environments" / environment
        stands_on.mkdir(parents=True, exist_ok=True)
        (packages / "environment.pth").write_text(f"{stands_on}/lib/python3.11/site-packages\n")
        marker = tmp_path / "releases" / release / "release.env"
        marker.touch()
        os.utime(marker, (age, age))
    (tmp_path / "current").symlink_to(tmp_path / "releases/a")
    assert sorted(prune(tmp_path, 2)) == ["environments/y", "releases/b", "releases/c"]
    assert prune(tmp_path, 2) == []


def test_a_socket_stays_where_it_listens_as_its_unit_says(served: Rollouts) -> None:
    for service in served.services:
        served.write_socket(service, f"127.0.0.1:{service['port']}")
    served.roll(NEW)
    assert not served.host.calls("systemctl stop")


def test_a_socket_that_is_to_listen_elsewhere_is_bound_anew(served: Rollouts) -> None:
    """On the same port of other addresses: loopback answers there before and after."""
    here, moved = served.services
    served.write_socket(here, f"127.0.0.1:{here['port']}")
    served.write_socket(moved, f"[::]:{moved['port']}", f"127.0.0.1:{moved['port']}")
    served.roll(NEW)
    unit = moved["unit"]
    [stop] = served.host.calls("systemctl stop")
    assert stop.startswith(f"systemctl stop {unit}.service {unit}.socket")
    calls = served.host.calls("systemctl")
    assert calls.index(stop) < next(at for at, call in enumerate(calls) if " restart " in call)
