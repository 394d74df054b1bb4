"""Withdrawing: what a host's list becomes, who is asked, what play and status page say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_modules import run_module
from ansible_sources import load_filter
from fake_host import FakeHost

from app.generation.withdrawn import NAME, NOTHING, Withdrawn, parse, read

filters = load_filter("withdrawal")
RUN = {"by": "root@controller", "since": "2026-11-26T12:00:00Z", "what": "withdraw q1"}
ONE = NOTHING.changed(["q1"], RUN["since"], RUN["by"])
BACK = ONE.changed(["q1"], RUN["since"], RUN["by"], undo=True)
OTHER = NOTHING.changed(["q2"], "2026-11-25T12:00:00Z", "root@other")


def withdraw(host: FakeHost, *services: Any, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module(
        "withdrawn",
        check=check,
        path=str(host.data / NAME),
        services=list(services),
        state_dir=str(host.state),
        run=RUN,
        **{"seconds": 0.3, **more},
    )


def unit_is(host: FakeHost, service: Any, state: str) -> None:
    (host.root / f"units/{service['unit']}.service.state").write_text(state)


def answering(host: FakeHost, kind: str, shard: int | None = None) -> Any:
    """A service that answers by the list on its host."""
    service = host.service(kind, shard)
    host.link(kind, "A")
    host.start(service)
    host.answers[service["name"]] = lambda body: {
        **body,
        "withdrawn": {"documents": 1, "digest": read(host.data / NAME).digest},
    }
    return service


def test_a_list_is_made_and_the_services_are_asked(host: FakeHost) -> None:
    services = [answering(host, "gateway"), answering(host, "shard", 0)]
    done = withdraw(host, *services, ids=["q1"])
    assert done["changed"]
    assert read(host.data / NAME) == ONE
    assert (host.data / NAME).stat().st_mode & 0o777 == 0o644
    assert (done["behind"], done["silent"], done["damage"]) == ({}, [], "")
    assert done["digest"] == ONE.digest
    assert parse(done["before"].encode()) == NOTHING
    [entry] = host.journal()
    assert entry["what"] == "withdraw q1"
    assert (entry["kind"], entry["to"], entry["by"]) == ("withdrawn", "1 documents", RUN["by"])
    again = withdraw(host, *services, ids=["q1"])
    assert not again["changed"]
    assert len(host.journal()) == 1


def test_in_check_mode_nothing_is_written(host: FakeHost) -> None:
    before = host.snapshot()
    done = withdraw(host, answering(host, "gateway"), check=True, ids=["q1"])
    assert done["changed"]
    assert done["digest"] == ONE.digest
    assert not (host.data / NAME).exists()
    assert host.snapshot().keys() - before.keys() <= {
        "data/gateway/current",
        "units/askfleet-gateway.service.served",
    }


def test_reading_alone_leaves_no_trace(host: FakeHost) -> None:
    before = host.snapshot()
    assert withdraw(host)["digest"] == ""
    assert host.snapshot() == before


def test_what_the_host_knows_beside_is_kept(host: FakeHost) -> None:
    (host.data / NAME).write_bytes(OTHER.content)
    withdraw(host, ids=["q1"])
    assert read(host.data / NAME).ids == {"q1", "q2"}
    withdraw(host, ids=["q1"], undo=True, add=ONE.content.decode())
    assert read(host.data / NAME).ids == {"q2"}
    assert not withdraw(host, add=ONE.content.decode())["changed"], "who is behind adds nothing"


@pytest.mark.parametrize("content", [b"", b"broken", ONE.content[:-9]])
def test_a_damaged_list_is_written_again(host: FakeHost, content: bytes) -> None:
    (host.data / NAME).write_bytes(content)
    done = withdraw(host, add=ONE.content.decode())
    assert "is damaged" in done["damage"]
    assert done["changed"]
    assert read(host.data / NAME) == ONE


def test_a_service_that_does_not_follow_is_named(host: FakeHost) -> None:
    late, old, silent = (answering(host, "shard", number) for number in range(3))
    host.answers["shard-0"] = lambda body: {**body, "withdrawn": {"documents": 0, "digest": ""}}
    host.answers["shard-1"] = lambda body: body
    host.answers["shard-2"] = lambda _: None
    unit_is(host, silent, "failed")
    done = withdraw(host, late, old, silent, ids=["q1"])
    assert done["behind"]["shard-0"] == "it does not answer by the list yet"
    assert "site.yml" in done["behind"]["shard-1"]
    assert done["silent"] == ["shard-2"]


def test_a_service_that_runs_and_says_nothing_is_behind(host: FakeHost) -> None:
    """It was taken for one that answers nobody, after the first question."""
    mute, stopping, starting = (answering(host, "shard", number) for number in range(3))
    host.answers["shard-0"] = host.answers["shard-1"] = lambda _: None
    unit_is(host, stopping, "deactivating")
    host.answers["shard-2"] = lambda _: {"status": "starting"}
    done = withdraw(host, mute, stopping, starting, ids=["q1"])
    assert done["silent"] == ["shard-2"]
    assert set(done["behind"]) == {"shard-0", "shard-1"}
    assert "askfleet-shard@0.service is active, and has not said" in done["behind"]["shard-0"]


def test_a_slow_service_is_waited_for(host: FakeHost) -> None:
    """Its /health took longer than one question did, and each was given up."""
    slow, quick = answering(host, "shard", 0), answering(host, "gateway")
    answer = host.answers["shard-0"]

    def late(body: Any) -> Any:
        time.sleep(2.3)
        return answer(body)

    host.answers["shard-0"] = late
    done = withdraw(host, slow, quick, ids=["q1"], seconds=6.0)
    assert (done["behind"], done["silent"]) == ({}, [])


def test_a_list_that_is_too_long_is_refused_whole(host: FakeHost) -> None:
    withdraw(host, ids=["q1"])
    told = withdraw(host, ids=[f"{number:0500}" for number in range(60_000)])
    assert told["failed"]
    assert "60,001 ids; it may take 32 MiB" in told["msg"]
    assert read(host.data / NAME) == ONE


def test_a_bare_host_has_nothing_to_answer_with(host: FakeHost) -> None:
    done = run_module(
        "withdrawn",
        path=str(host.root / "nowhere/x"),
        state_dir=str(host.state),
        ids=["a"],
    )
    assert not done["changed"]


# --- what the controller makes of it --------------------------------------------------------------


def said(before: Withdrawn, after: Withdrawn) -> dict[str, Any]:
    return {
        "before": before.content.decode(),
        "list": after.content.decode(),
        "digest": after.digest,
        "behind": {},
        "silent": [],
    }


def test_a_controllers_copy_that_is_damaged_stops_nobody(tmp_path: Path) -> None:
    """The hosts have the truth."""
    copy = tmp_path / "withdrawn-lab.jsonl"
    assert parse(filters.askfleet_kept(str(copy))["list"].encode()) == NOTHING
    copy.write_bytes(ONE.content)
    assert parse(filters.askfleet_kept(str(copy))["list"].encode()) == ONE
    copy.write_bytes(ONE.content[:-9])
    kept = filters.askfleet_kept(str(copy))
    assert kept["list"] == ""
    assert "withdrawn-lab.jsonl is damaged" in kept["damage"]


def test_one_list_is_made_of_all() -> None:
    told = {"one": said(OTHER, OTHER.merged(ONE)), "two": said(NOTHING, ONE), "lost": {}}
    made = filters.askfleet_withdrawal(told, "", ["q1", "q3"])
    assert made["withdrawn"] == ["q1", "q2"]
    assert made["changed"] == ["q1"]
    assert parse(made["list"].encode()).digest == made["digest"]
    kept = filters.askfleet_withdrawal({}, BACK.content.decode(), [])
    assert kept["digest"] == BACK.digest


def test_what_was_not_withdrawn_cannot_be_brought_back() -> None:
    made = filters.askfleet_withdrawal({"one": said(ONE, BACK)}, "", ["q1", "q9"], undo=True)
    assert (made["withdrawn"], made["changed"], made["strangers"]) == ([], ["q1"], ["q9"])


def test_whoever_does_not_answer_by_the_list_is_named() -> None:
    told = {
        "well": said(ONE, ONE),
        "behind": {**said(ONE, ONE), "behind": {"shard-1": "late"}},
        "down": {**said(ONE, ONE), "silent": ["shard-2"]},
        "other": said(NOTHING, OTHER),
        "lost": {},
    }
    found = filters.askfleet_unaware(told, told, ONE.digest)
    assert found == {
        "unasked": ["lost"],
        "lost": ["other", "lost"],
        "behind": ["behind: shard-1: late"],
        "silent": ["down: shard-2"],
        "sound": ["well", "down"],
    }


def test_of_an_empty_list_nobody_is_said_to_answer_by_it() -> None:
    """No service is asked then."""
    told = {"one": said(NOTHING, NOTHING), "lost": {}}
    found = filters.askfleet_unaware(told, told, "")
    assert (found["sound"], found["lost"], found["unasked"]) == ([], ["lost"], ["lost"])


def test_a_withdrawal_wins_over_an_undo_that_some_hosts_missed(tmp_path: Path) -> None:
    """As long as one host that knows of the undo can be reached, or the command is repeated."""
    missed, knows, away = (FakeHost(tmp_path / name) for name in ("missed", "knows", "away"))
    for host, list_ in ((missed, ONE), (knows, BACK), (away, BACK)):
        (host.data / NAME).write_bytes(list_.content)
    told = {"missed": withdraw(missed, ids=["q1"]), "knows": withdraw(knows, ids=["q1"])}
    made = filters.askfleet_withdrawal(told, "", ["q1"])
    assert made["withdrawn"] == ["q1"]
    withdraw(away, add=made["list"])
    assert read(away.data / NAME).ids == {"q1"}
    # Where nobody who knows is there, the undo comes back with who was away, until it is repeated.
    alone = filters.askfleet_withdrawal({"missed": said(ONE, ONE)}, "", ["q1"])
    assert parse(alone["list"].encode()).merged(BACK).ids == set()
    again = parse(alone["list"].encode()).merged(BACK.changed(["q1"], RUN["since"], RUN["by"]))
    assert again.ids == {"q1"}


def looked(content: Withdrawn, digest: str | None = None, damage: str = "") -> dict[str, Any]:
    body = {"status": "ok", "withdrawn": {"documents": 1, "digest": digest or content.digest}}
    told = {"list": content.content.decode(), "damage": damage}
    return {"look": {"withdrawn": told, "health": {"shard-0": body, "encoder": {"status": "ok"}}}}


def test_the_status_page_names_hosts_and_services_that_lack_the_list() -> None:
    seen = {
        "a": looked(ONE),
        "b": looked(NOTHING, ONE.digest),
        "c": looked(ONE, "another"),
        "d": looked(NOTHING, ONE.digest, damage="the list is damaged"),
        "e": {},
    }
    faults = filters.askfleet_withdrawn_faults(seen, list(seen))
    assert len(faults) == 3
    assert faults[0].startswith("b: it has not got the list")
    assert faults[1].startswith("c: shard-0: it does not answer by")
    assert faults[2] == "d: the list is damaged"
    lines = filters.askfleet_withdrawn_lines(seen)
    assert lines[1] == f"  q1  since {RUN['since']} by root@controller"


def test_where_nothing_is_withdrawn_the_status_page_says_nothing() -> None:
    seen = {"a": looked(NOTHING), "b": {"look": {"health": {"gateway": {"status": "silent"}}}}}
    assert filters.askfleet_withdrawn_faults(seen, list(seen)) == []
    assert filters.askfleet_withdrawn_lines(seen) == []
    many = NOTHING.changed([f"q{number:02}" for number in range(30)], RUN["since"], "x")
    lines = filters.askfleet_withdrawn_lines({"a": looked(many)})
    assert len(lines) == 22
    assert lines[-1] == "  and 10 more"
    assert json.dumps(lines)
