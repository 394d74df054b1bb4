"""What left a host is removed last: its units, settings and data, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_modules import run_module
from fake_host import FakeHost, Json

GENERATIONS = ["20261101T000000Z-00000001", "20261102T000000Z-00000002"]


class Leaving:
    """A host with shards 0 and 1, and an encoder, as an inventory before gave them to it."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.units, self.settings = host.root / "unit-files", host.root / "etc"
        self.next, self.applied = host.state / "next", host.state / "applied"
        for path in (self.units, self.settings, self.next / "units", self.applied):
            path.mkdir(parents=True)
        self.services = [*(host.service("shard", n) for n in (0, 1)), host.service("encoder")]
        for service in self.services:
            for end in (".socket", ".service"):
                (self.units / f"{service['unit']}{end}").write_text("unit")
            (self.settings / f"{service['name']}.env").write_text("settings")
            (self.applied / service["name"]).write_text("hash")
        for generation in GENERATIONS:
            for part in ("shard-000", "shard-001", "routing"):
                (host.data / "generations" / generation / part).mkdir(parents=True)
                (host.data / "generations" / generation / part / "file").write_text(part)
        host.link("shard", *reversed(GENERATIONS))
        (host.data / "models" / ("1" * 16)).mkdir()
        host.link("encoder", "1" * 16)

    def retire(self, stay: list[Json], *, check: bool = False) -> dict[str, Any]:
        for path in (self.next / "units").iterdir():
            path.unlink()
        for service in stay:
            for end in (".socket", ".service"):
                (self.next / "units" / f"{service['unit']}{end}").write_text("unit")
        told = run_module(
            "retire",
            check=check,
            services=stay,
            install_dir=str(self.host.root / "install"),
            config_dir=str(self.settings),
            data_dir=str(self.host.data),
            unit_dir=str(self.units),
            state_dir=str(self.host.state),
            run={"run": "r-1", "by": "anna@desk", "what": "release 1"},
        )
        assert told["changed"] == bool(told["removed"])
        return told

    def parts(self) -> set[str]:
        return {path.name for path in self.host.data.glob("generations/*/*")}


@pytest.fixture
def leaving(host: FakeHost) -> Leaving:
    return Leaving(host)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_where_nothing_left_nothing_is_done(leaving: Leaving) -> None:
    before = leaving.host.snapshot()
    assert leaving.retire(leaving.services)["removed"] == []
    assert leaving.host.calls() == []
    after = leaving.host.snapshot()
    assert {k: v for k, v in after.items() if not k.startswith("state/")} == {
        k: v for k, v in before.items() if not k.startswith("state/")
    }


def test_a_shard_goes_with_its_unit_settings_and_data(leaving: Leaving) -> None:
    shard_0, _, encoder = leaving.services
    assert leaving.retire([shard_0, encoder])["changed"]
    [call] = leaving.host.calls("systemctl disable --now")
    assert call.index("@1.socket") < call.index("@1.service"), "a socket would start it again"
    assert "@0" not in call
    assert names(leaving.units) == [
        "askfleet-encoder.service",
        "askfleet-encoder.socket",
        "askfleet-shard@0.service",
        "askfleet-shard@0.socket",
    ]
    assert names(leaving.settings) == ["encoder.env", "shard-0.env"]
    assert names(leaving.applied) == ["encoder", "shard-0"]
    assert leaving.parts() == {"shard-000", "routing"}
    assert leaving.host.links("shard")["current"] == GENERATIONS[1]
    assert leaving.host.journal()[-1]["kind"] == "retire"
    assert leaving.retire([shard_0, encoder])["removed"] == []


def test_a_kind_that_left_is_linked_no_more(leaving: Leaving) -> None:
    leaving.retire(leaving.services[:2])
    assert leaving.host.links("encoder") == {"current": "", "previous": ""}
    assert leaving.host.links("shard") == {"current": GENERATIONS[1], "previous": GENERATIONS[0]}
    assert leaving.parts() == {"shard-000", "shard-001", "routing"}
    assert names(leaving.host.data / "models") == []


def test_a_host_that_only_encodes_has_no_generation(leaving: Leaving) -> None:
    leaving.retire(leaving.services[2:])
    assert names(leaving.host.data / "generations") == []
    assert leaving.host.links("shard") == {"current": "", "previous": ""}
    assert names(leaving.host.data / "models") == ["1" * 16]
    assert leaving.host.links("encoder")["current"] == "1" * 16


def test_check_mode_removes_nothing(leaving: Leaving) -> None:
    leaving.retire(leaving.services)
    before = leaving.host.snapshot()
    told = leaving.retire(leaving.services[2:], check=True)
    assert len([path for path in told["removed"] if path.endswith((".socket", ".service"))]) == 4
    after = leaving.host.snapshot()
    assert {k: v for k, v in after.items() if "next/" not in k} == {
        k: v for k, v in before.items() if "next/" not in k
    }
    assert leaving.host.calls() == []


def test_a_bare_host_has_nothing_to_lose(host: FakeHost) -> None:
    told = run_module(
        "retire",
        check=True,
        services=[],
        install_dir=str(host.root),
        config_dir=str(host.root),
        data_dir=str(host.data),
        state_dir=str(host.root / "none"),
    )
    assert told["removed"] == []
