"""One host's switch: forward and proved, or everything as it was, and the journal says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_modules import run_module
from fake_host import FakeHost, Json

OLD, NEW, NEWER = (f"2026110{day}T000000Z-0000000{day}" for day in (1, 2, 3))
RUN = {"run": "r-1", "by": "anna@desk", "what": f"update to {NEW}"}


def switch(host: FakeHost, *services: Json, to: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Switch the services, which are of one kind, as the role activation does."""
    kind = services[0]["kind"]
    current, previous = (host.place(kind, name) for name in to)
    canary = [str(host.program), "canary", "--pin"] if kind == "gateway" else []
    params = {
        "kind": kind,
        "services": list(services),
        "links": str(host.data / kind),
        "to": {"current": current, "previous": previous},
        "verify": [str(host.program), "verify", current],
        "canary": canary,
        "drain": True,
        "ready_seconds": 5,
        "state_dir": str(host.state),
        "run": RUN,
    }
    return run_module("switch", **(params | more))


def running(host: FakeHost, kind: str, *shards: int) -> list[Json]:
    """Services that serve OLD."""
    services = [host.service(kind, shard) for shard in shards] or [host.service(kind)]
    host.link(kind, OLD)
    host.start(*services)
    return services


def drained(call: str) -> str:
    return call.partition("[")[2].rstrip("]")


def test_shards_go_forward(host: FakeHost) -> None:
    services = running(host, "shard", 0, 1)
    told = switch(host, *services, to=(NEW, OLD))
    assert told["changed"]
    assert told["before"] == {"current": host.place("shard", OLD), "previous": ""}
    fact = told["ansible_facts"]["activation_switched_shard"]
    assert (fact["changed"], fact["before"]) == (True, told["before"])
    assert host.links("shard") == {"current": NEW, "previous": OLD}
    [restart] = host.calls("systemctl restart")
    assert "askfleet-shard@0.service askfleet-shard@1.service" in restart
    assert drained(restart) == "shard-0 shard-1", "drained while it restarts"
    assert list(host.drain.iterdir()) == []
    [entry] = host.journal()
    assert entry == {
        **RUN,
        "kind": "shard",
        "from": told["before"],
        "to": {"current": host.place("shard", NEW), "previous": host.place("shard", OLD)},
        "result": "ok",
        "time": entry["time"],
        "seconds": told["seconds"],
    }


def test_a_gateway_without_the_generation_stops_and_comes_back(host: FakeHost) -> None:
    """A rollback that it cannot follow; edges ask the others until it is told to serve again."""
    [gateway] = running(host, "gateway")
    assert switch(host, gateway, to=("", OLD), verify=[])["changed"]
    assert host.links("gateway") == {"current": "", "previous": OLD}
    assert not host.runs(gateway)
    [stop] = host.calls("systemctl stop")
    assert stop.index(".socket") < stop.index(".service"), "a socket would start it again"
    assert not switch(host, gateway, to=("", OLD), verify=[])["changed"]
    assert switch(host, gateway, to=(OLD, ""))["changed"]
    assert host.runs(gateway)


def test_a_shard_gets_the_memory_that_its_generations_need(host: FakeHost) -> None:
    services = running(host, "shard", 0, 1)
    for name, needs in ((OLD, [100, 200]), (NEW, [10, 20])):
        place = Path(host.place("shard", name))
        place.mkdir()
        shards = [{"memory_bytes": need} for need in needs]
        (place / "manifest.json").write_text(json.dumps({"shards": shards}))
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    limits = [call.partition("[")[0].split()[2:] for call in host.calls("systemctl set-property")]
    own = 512 << 20
    assert limits == [
        ["askfleet-shard@0.service", f"MemoryMax={own + 110}"],
        ["askfleet-shard@1.service", f"MemoryMax={own + 220}"],
    ]


@pytest.mark.parametrize(
    ("kind", "processes", "limit"),
    [
        ("gateway", 1, (2048 << 20) + 110),
        ("gateway", 3, 3 * ((2048 << 20) + 110)),
        ("gateway", 0, 2 * ((2048 << 20) + 110)),
        ("encoder", None, (1024 << 20) + 330),
    ],
)
def test_others_get_the_memory_of_the_files_that_they_load(
    host: FakeHost, kind: str, processes: int | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process of a gateway for itself; 0 of them are half of the cores."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(5))
    services = running(host, kind)
    if processes is not None:
        services = [{**service, "processes": processes} for service in services]
    for name, needs in ((OLD, 100), (NEW, 10)):
        place = Path(host.place(kind, name), *(["routing"] if kind == "gateway" else []))
        place.mkdir(parents=True)
        (place / "some.npy").write_bytes(bytes(needs))
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    (told,) = [call.partition("[")[0].split()[2:] for call in host.calls("systemctl set-property")]
    assert told == [f"askfleet-{kind}.service", f"MemoryMax={limit}"]


def test_a_previous_that_is_gone_needs_no_memory(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    place = Path(host.place("shard", NEW))
    place.mkdir()
    (place / "manifest.json").write_text(json.dumps({"shards": [{"memory_bytes": 10}]}))
    switch(host, *services, to=(NEW, OLD))
    assert f"MemoryMax={(512 << 20) + 10}" in host.calls("systemctl set-property")[0]


def test_an_encoder_goes_forward(host: FakeHost) -> None:
    services = running(host, "encoder")
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert host.links("encoder") == {"current": NEW, "previous": OLD}
    assert len(host.calls("systemctl restart")) == 1


def test_without_another_replica_nothing_is_drained(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    switch(host, *services, to=(NEW, OLD), drain=False)
    assert [drained(call) for call in host.calls("systemctl restart")] == [""]


def test_where_the_other_replica_has_died_since_nothing_is_drained(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    host.others_answer = False
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert [drained(call) for call in host.calls("systemctl restart")] == [""]


def test_where_the_other_replica_has_died_since_nothing_is_touched(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.askfleet.fleet.plugins.module_utils.restart.LOOK", 0.0)
    services = running(host, "shard", 0, 1)
    host.others_answer = False
    told = switch(host, *services, to=(NEW, OLD), alone=False)
    assert told["msg"] == "no other replica of shard-0 and shard-1 answers any more"
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert not host.calls("systemctl restart", "systemctl stop")
    assert list(host.drain.iterdir()) == []


def test_a_second_time_there_is_nothing_to_do(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    switch(host, *services, to=(NEW, OLD))
    before, calls = host.snapshot(), host.calls()
    told = switch(host, *services, to=(NEW, OLD))
    assert not told["changed"]
    assert "activation_switched_shard" in told["ansible_facts"], "this host has taken the step"
    assert (host.snapshot(), host.calls()) == (before, calls)


def test_links_alone_are_not_enough(host: FakeHost) -> None:
    """A run that was cut off between link and restart is finished by the next."""
    services = running(host, "shard", 0)
    host.link("shard", NEW, OLD)
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert len(host.calls("systemctl restart")) == 1


def test_a_shard_does_not_go_on_with_a_part_that_was_replaced(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    switch(host, *services, to=(NEW, OLD))
    host.answers["shard-0"] = lambda told: told | {"uptime_seconds": 60.0}
    assert not switch(host, *services, to=(NEW, OLD))["changed"]
    Path(host.place("shard", NEW)).mkdir()  # a mended part has just been given its name
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert len(host.calls("systemctl restart")) == 2
    host.answers["shard-0"] = lambda told: told | {"uptime_seconds": 0.1}
    assert not switch(host, *services, to=(NEW, OLD))["changed"]


def test_check_mode_touches_nothing(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    before = host.snapshot()
    assert switch(host, *services, to=(NEW, OLD), check=True)["changed"]
    assert (host.snapshot(), host.calls()) == (before, [])


def test_what_fails_to_verify_is_not_touched(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    host.command_fails("verify", "shard-000/index.faiss: sha256 differs")
    before = host.snapshot()
    told = switch(host, *services, to=(NEW, OLD))
    assert told["msg"] == "verify the part: shard-000/index.faiss: sha256 differs"
    assert host.calls("systemctl") == []
    left = {n: text for n, text in host.snapshot().items() if not n.startswith("state/")}
    assert left == {n: text for n, text in before.items() if not n.startswith("state/")}
    [entry] = host.journal()
    assert entry["result"] == f"{told['msg']}; put back"


def test_a_masked_unit_is_refused_before_anything_stops(host: FakeHost) -> None:
    services = running(host, "shard", 0, 1)
    host.mask(services[1])
    told = switch(host, *services, to=(NEW, OLD))
    assert "askfleet-shard@1.service cannot be started: systemd says it is masked" in told["msg"]
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert host.calls("systemctl restart", "systemctl stop") == []


def test_a_unit_that_does_not_start_is_put_back(host: FakeHost) -> None:
    services = running(host, "shard", 0, 1)
    host.fails_with(services[1], NEW)
    told = switch(host, *services, to=(NEW, OLD))
    assert told["msg"] == (
        "restart askfleet-shard@0.service and askfleet-shard@1.service: "
        "Job for askfleet-shard@1.service failed."
    )
    assert "askfleet-shard@1.service" in told["log"][0]
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert all(host.runs(service) for service in services)
    assert list(host.drain.iterdir()) == []
    assert [drained(call) for call in host.calls("systemctl restart")] == ["shard-0 shard-1"] * 2
    assert [entry["result"] for entry in host.journal()] == [f"{told['msg']}; put back"]
    assert "ansible_facts" not in told, "this host has not taken the step"


def test_the_service_itself_says_why_it_does_not_start(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    host.fails_with(services[0], NEW)
    host.says("[ERROR] the service cannot start: index.faiss is damaged")
    told = switch(host, *services, to=(NEW, OLD))
    assert told["msg"] == "restart askfleet-shard@0.service: index.faiss is damaged"


@pytest.mark.slow
def test_a_service_that_never_is_well_is_put_back(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    host.answers["shard-0"] = lambda body: (
        body if body["generations"]["current"] == OLD else {**body, "status": "loading"}
    )
    told = switch(host, *services, to=(NEW, OLD), ready_seconds=1)
    assert told["msg"] == f"wait for askfleet-shard@0: it is loading, serving {NEW} after 1 s"
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert list(host.drain.iterdir()) == []


@pytest.mark.slow
def test_a_service_that_serves_something_else_is_not_well(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    stuck = {"current": OLD, "previous": None}
    host.answers["shard-0"] = lambda body: {**body, "generations": stuck}
    told = switch(host, *services, to=(NEW, OLD), ready_seconds=1)
    assert f"it is ok, serving {OLD}" in told["msg"]
    assert host.links("shard") == {"current": OLD, "previous": ""}


def test_what_does_not_come_back_is_said(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    host.fails_with(services[0], NEW, OLD)
    told = switch(host, *services, to=(NEW, OLD))
    assert "; and it did not come back: restart askfleet-shard@0.service: Job for" in told["msg"]
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert host.journal()[0]["result"] == told["msg"]


@pytest.mark.parametrize("kind", ["encoder", "shard", "gateway"])
def test_a_first_update_that_fails_leaves_no_link_and_stops(host: FakeHost, kind: str) -> None:
    service = host.service(kind, 0 if kind == "shard" else None)
    host.fails_with(service, NEW)
    told = switch(host, service, to=(NEW, ""))
    assert told["msg"].startswith(f"restart {service['unit']}.service: Job for")
    assert host.links(kind) == {"current": "", "previous": ""}
    assert host.calls("systemctl stop") == [
        f"systemctl stop {service['unit']}.socket {service['unit']}.service []"
    ]
    assert [drained(call) for call in host.calls("systemctl restart")] == [""], "nothing to drain"


def test_a_gateway_is_asked_before_it_follows(host: FakeHost) -> None:
    services = running(host, "gateway")
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert host.links("gateway") == {"current": NEW, "previous": OLD}
    assert host.calls("systemctl restart") == []
    [canary] = host.calls("askfleet canary")
    assert canary.endswith(f"(gateways: {OLD})"), "before the flip"


def test_a_gateway_that_answers_wrong_is_not_flipped(host: FakeHost) -> None:
    services = running(host, "gateway")
    host.command_fails("canary", "canary 3: d0007 is missing")
    told = switch(host, *services, to=(NEW, OLD))
    assert told["msg"] == "ask the canaries: canary 3: d0007 is missing"
    assert host.links("gateway") == {"current": OLD, "previous": ""}
    assert host.calls("systemctl") == []


@pytest.mark.slow
def test_a_gateway_that_does_not_follow_is_put_back(host: FakeHost) -> None:
    services = running(host, "gateway")
    host.answers["gateway"] = lambda body: {
        **body,
        "generations": {"current": OLD, "previous": None},
    }
    told = switch(host, *services, to=(NEW, OLD), ready_seconds=1)
    assert f"wait for askfleet-gateway: it is ok, serving {OLD}" in told["msg"]
    assert host.links("gateway") == {"current": OLD, "previous": ""}
    assert host.calls("systemctl restart") == []


def test_a_first_gateway_starts_and_then_is_asked(host: FakeHost) -> None:
    service = host.service("gateway")
    assert switch(host, service, to=(NEW, ""))["changed"]
    assert len(host.calls("systemctl restart")) == 1
    [canary] = host.calls("askfleet canary")
    assert canary.endswith(f"(gateways: {NEW})")


def test_a_first_gateway_that_answers_wrong_stops_again(host: FakeHost) -> None:
    service = host.service("gateway")
    host.command_fails("canary", "no answer")
    told = switch(host, service, to=(NEW, ""))
    assert told["msg"] == "ask the canaries: no answer"
    assert host.links("gateway") == {"current": "", "previous": ""}
    assert not host.runs(service)


def test_going_back_to_nothing_stops_the_units(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    assert switch(host, *services, to=("", ""), verify=[])["changed"]
    assert host.links("shard") == {"current": "", "previous": ""}
    assert not host.runs(services[0])
    assert not switch(host, *services, to=("", ""), verify=[])["changed"]


def test_a_link_that_cannot_be_made_puts_all_back(host: FakeHost) -> None:
    services = running(host, "shard", 0)
    (host.data / "shard/.current.new").mkdir()
    told = switch(host, *services, to=(NEW, OLD))
    assert ".current.new" in told["msg"]
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert "did not come back" not in told["msg"]
    assert list(host.drain.iterdir()) == []


def test_the_way_back_needs_no_new_link(host: FakeHost) -> None:
    """As on a disk that has filled since."""
    services = running(host, "shard", 0)
    host.link("shard", OLD, NEWER)
    switch(host, *services, to=(NEW, OLD))
    for name in ("current", "previous"):
        (host.data / f"shard/.{name}.new").mkdir()
    told = switch(host, *services, to=(OLD, NEWER), verify=[])
    assert told.get("changed"), told
    assert host.links("shard") == {"current": OLD, "previous": NEWER}
    assert host.answers == {}
    assert (host.root / f"units/{services[0]['unit']}.service.served").read_text().startswith(OLD)


@pytest.mark.parametrize("outcome", ["forward", "fails", "back"])
def test_a_journal_that_cannot_be_written_stops_nothing(host: FakeHost, outcome: str) -> None:
    services = running(host, "shard", 0)
    (host.state / "journal.jsonl").mkdir()
    if outcome == "fails":
        host.fails_with(services[0], NEW)
    if outcome == "back":
        host.link("shard", NEW, OLD)
        host.start(*services)
    verify = [] if outcome == "back" else [str(host.program), "verify"]
    to = (OLD, "") if outcome == "back" else (NEW, OLD)
    told = switch(host, *services, to=to, verify=verify)
    assert told["unwritten"] == f"{host.state}/journal.jsonl misses this change: Is a directory"
    assert bool(told.get("failed")) == (outcome == "fails")
    assert "did not come back" not in told.get("msg", "")
    expected = {"current": NEW, "previous": OLD} if outcome == "forward" else None
    assert host.links("shard") == (expected or {"current": OLD, "previous": ""})
    if outcome != "fails":
        assert told["ansible_facts"]["activation_switched_shard"]["unwritten"]


def test_a_journal_that_is_written_is_not_missed(host: FakeHost) -> None:
    assert switch(host, *running(host, "shard", 0), to=(NEW, OLD))["unwritten"] == ""


@pytest.mark.parametrize("gone", ["drain", "switch.lock"])
def test_no_flag_and_no_lock_file_stop_a_switch(host: FakeHost, gone: str) -> None:
    services = running(host, "shard", 0)
    if gone == "drain":
        host.drain.rmdir()
    else:
        (host.state / "switch.lock").mkdir()  # cannot be opened as a file
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert host.links("shard") == {"current": NEW, "previous": OLD}


def test_a_disk_that_takes_no_second_link_is_met_before_anything_is_touched(
    host: FakeHost,
) -> None:
    services = running(host, "shard", 0)
    (host.data / "shard/.current.before").mkdir()
    told = switch(host, *services, to=(NEW, OLD))
    assert ".current.before" in told["msg"]
    assert host.links("shard") == {"current": OLD, "previous": ""}
    assert not host.calls("systemctl restart")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"what?\r\n", [1], "text", {}]
)
def test_a_strange_answer_while_it_starts_is_waited_out(host: FakeHost, answer: Any) -> None:
    services = running(host, "shard", 0)
    seen: list[Any] = []

    def twice(body: Json) -> Any:
        seen.append(body)
        return answer if len(seen) < 3 else body

    host.answers["shard-0"] = twice
    assert switch(host, *services, to=(NEW, OLD))["changed"]
    assert len(seen) == 3
