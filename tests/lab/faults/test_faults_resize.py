"""Another number of shards under load: 4 to 6, back and forth, to 3, and 4 again."""

import json
from pathlib import Path

import pytest
from fault_inventory import Inventory, shards
from lab_corpora import WORK
from lab_end import expect_serves
from lab_hosts import GATEWAYS, HOSTS, links, parts, run_on, snapshot
from lab_plays import play

pytestmark = pytest.mark.long

SIX, THREE = "R", "T"  # generations of A's documents, in so many shards
ROWS_OF_SIX = {
    "shard_a": [0, 1, 4],
    "shard_b": [1, 2, 5],
    "shard_c": [2, 3, 4],
    "shard_d": [3, 0, 5],
}
ROWS_OF_THREE = {"shard_a": [0, 1], "shard_b": [1, 2], "shard_c": [2], "shard_d": [0]}
BASE_PORT = 7200


@pytest.fixture(scope="module", autouse=True)
def _generations(corpora):
    """Every case goes on where the one before ended."""
    for letter, count in ((SIX, 6), (THREE, 3)):
        corpora.add(letter, WORK / "A.jsonl", corpora.model, f"--shards={count}")


@pytest.fixture
def six(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "six", shards(**ROWS_OF_SIX), askfleet_shard_count=6)


@pytest.fixture
def three(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "three", shards(**ROWS_OF_THREE), askfleet_shard_count=3)


def served(rows: dict[str, list[int]]) -> set[tuple[str, str]]:
    """Current and previous of every shard service."""
    found = set()
    for name, ids in rows.items():
        for shard in ids:
            url = f"http://127.0.0.1:{BASE_PORT + shard}/health"
            body = json.loads(run_on(name.replace("_", "-"), "curl", "--silent", url))
            assert body["status"] == "ok", (name, shard, body)
            found.add(tuple(body["generations"].values()))
    return found


def flipped() -> tuple[str, str]:
    """What gateways have as current and previous."""
    (both,) = {links()[f"{gateway} gateway"] for gateway in GATEWAYS}
    return both


def test_more_shards_than_are_served_run_with_nothing(fleet, six, tell_load):
    """The units are there, pools too, and users notice nothing."""
    with fleet.load(fleet.now) as load:
        six.site().succeeded()
        six.status().succeeded()
    tell_load(load)
    (generation,) = fleet.corpora.ids(fleet.now)
    assert {current for current, _ in served(ROWS_OF_SIX)} == {generation}


def test_an_update_to_six_that_fails_half_way_goes_back(made_fleet, six, tell_load):
    """Every shard has it when a gate of the preview fails."""
    fleet, before = made_fleet, flipped()
    asked = WORK / "asked-six.txt"
    asked.write_text("\n".join(fleet.corpora.questions), encoding="utf-8")
    held = served(ROWS_OF_SIX)
    with fleet.load(fleet.now) as load:
        refused = six.update(
            fleet.corpora.ids(SIX)[0], f"questions={asked}", "askfleet_preview_min_overlap=1"
        )
    tell_load(load)
    refused.failed("askfleet_preview_min_overlap")
    assert flipped() == before
    assert served(ROWS_OF_SIX) == held


def test_grow_to_six(made_fleet, six, tell, tell_load):
    fleet, old = made_fleet, made_fleet.now
    with fleet.load(old, SIX) as load:
        done = six.update(fleet.corpora.ids(SIX)[0]).succeeded()
        six.status().succeeded()
    tell(f"update {done.seconds:.1f} s")
    tell_load(load)
    assert load.served[fleet.corpora.ids(SIX)[0]]
    assert served(ROWS_OF_SIX) == {fleet.corpora.ids(SIX, old)}


def test_back_to_four_and_to_six_again(made_fleet, six, tell_load):
    fleet, old = made_fleet, made_fleet.before
    with fleet.load(old, SIX) as load:
        six.rollback().succeeded()
        assert flipped() == fleet.corpora.ids(old, SIX)
        six.rollback().succeeded()
    tell_load(load)
    assert flipped() == fleet.corpora.ids(SIX, old)


def test_shards_that_are_served_stay_in_the_inventory(made_fleet, three, tell_load):
    files = {host: snapshot(host) for host in HOSTS}
    with made_fleet.load(SIX) as load:
        refused = three.site()
    tell_load(load)
    refused.failed("No host has been touched.", "has 6 shards, the inventory 3")
    assert {host: snapshot(host) for host in HOSTS} == files


def test_shrink_to_three(made_fleet, six, three, tell, tell_load):
    """First the generation, then the inventory: data leaves the old places last."""
    fleet = made_fleet
    with fleet.load(SIX, THREE) as load:
        done = six.update(fleet.corpora.ids(THREE)[0]).succeeded()
        six.rollback().succeeded()
        six.rollback().succeeded()
        shrunk = three.site().succeeded()
        three.status().succeeded()
    tell(f"update {done.seconds:.1f} s, site.yml {shrunk.seconds:.1f} s")
    tell_load(load)
    assert {current for current, _ in served(ROWS_OF_THREE)} == {fleet.corpora.ids(THREE)[0]}
    for host in HOSTS:
        assert not any(f"/shard-00{gone}/" in path for path in parts(host) for gone in (3, 4, 5))
    three.rollback().failed("has 6 shards, the inventory 3")


def test_grow_again(made_fleet, tell_load):
    """As the lab's inventory has it; the fleet is whole for who comes next."""
    fleet = made_fleet
    with fleet.load(THREE, "A") as load:
        play("site.yml").succeeded()
        fleet.update("A").succeeded()
    tell_load(load)
    expect_serves(fleet.corpora, "A")
