"""Generations that must not be served: damaged before, damaged after, and sealed but wrong."""

import pytest
from fault_generations import (
    empty_index,
    nothing_wrong,
    other_dimension,
    other_fingerprint,
    relist,
    resealed,
    tampered,
    wrong_canaries,
)
from fault_inject import Trigger, flip_bit, turn_of
from lab_corpora import GENERATIONS, WORK, start_update_to
from lab_end import expect_serves, expect_unchanged
from lab_hosts import HOSTS, root, snapshot


def test_truncated_before_the_update(fleet, tell_load):
    before, files = fleet.picture(), {host: snapshot(host) for host in HOSTS}
    source = fleet.source("C")
    with resealed(source, GENERATIONS, nothing_wrong) as broken, fleet.load(fleet.now) as load:
        file = broken / "shard-002/index.faiss"
        content = file.read_bytes()
        file.unlink()  # its other name is the right generation's
        file.write_bytes(content[: len(content) // 2])
        with start_update_to(broken) as running:
            failed = running.done()
    tell_load(load)
    failed.failed(f"shard-002/index.faiss has {len(content) // 2} bytes")
    assert {host: snapshot(host) for host in HOSTS} == files
    expect_unchanged(before)


@pytest.mark.long
def test_bit_flipped_after_staging(fleet, tell, tell_load):
    """On the last shard host, so that the others have been switched; the next run mends it."""
    old, new = fleet.now, fleet.other()
    before, (generation,) = fleet.picture(), fleet.corpora.ids(new)
    file = root("shard-d") / f"srv/askfleet/generations/{generation}/shard-003/index.faiss"
    with (
        fleet.load(old) as load,
        fleet.start(new) as running,
        Trigger(turn_of(running, "encoders"), lambda: flip_bit(file)) as fault,
    ):
        failed = running.done()
    tell_load(load)
    assert fault.fired
    failed.failed("shard-d: activating shard: verify the part", "shard-003/index.faiss")
    expect_unchanged(before)
    with fleet.load(old, new) as load:
        mended = fleet.update(new).succeeded()
    size = file.stat().st_size
    tell(f"mended: {load}, {mended.seconds:.1f} s, {mended.sent} bytes sent for a file of {size}")
    load.check()
    assert mended.sent < size, "not its whole part"
    placed = "Put each part in its place, once it has been verified on shard-d"
    assert [change for change in mended.changes if change.endswith(placed)], mended.changes
    expect_serves(fleet.corpora, new, old)


def test_changed_together_with_its_hash(fleet, tell_load):
    """Every checksum of the manifest is right, but its id is that of another content."""
    before, held = fleet.picture(), {host: snapshot(host) for host in HOSTS}
    with (
        tampered(fleet.source("C"), WORK / "tampered", "shard-002/documents.bin") as broken,
        fleet.load(fleet.now) as load,
        start_update_to(broken) as running,
    ):
        failed = running.done()
    tell_load(load)
    failed.failed("it was changed after it was sealed", "fetch_generation.yml")
    assert {host: snapshot(host) for host in HOSTS} == held
    expect_unchanged(before)


@pytest.mark.long
def test_another_content_under_an_id_that_a_host_has(fleet, tell, tell_load):
    """Which of the two is right, the play cannot know; the fix that it names is tried."""
    now = fleet.now
    before, (generation,) = fleet.picture(), fleet.corpora.ids(now)
    manifest = root("shard-b") / f"srv/askfleet/generations/{generation}/manifest.json"
    relist(manifest, "shard-002/documents.bin", "0" * 64)
    held = {host: snapshot(host) for host in HOSTS}
    with fleet.load(now) as load, fleet.start(now) as running:
        failed = running.done()
    tell_load(load)
    place = f"/srv/askfleet/generations/{generation}/manifest.json"
    failed.failed(f"shard-b: generation {generation}: {place} is not the controller's: one id")
    assert {host: snapshot(host) for host in HOSTS} == held
    expect_unchanged(before)
    manifest.unlink()
    with fleet.load(now) as load:
        mended = fleet.update(now).succeeded()
    tell(f"mended: {load}, {mended.seconds:.1f} s, {mended.sent} bytes sent")
    load.check()
    expect_unchanged(before)


WRONG = {
    "other dimension": (other_dimension, "512"),
    "other fingerprint": (other_fingerprint, "0123456789abcdef"),
    "empty index": (empty_index, "a cluster without documents"),
    "wrong canary answers": (wrong_canaries, "gateway-1: activating gateway: ask the canaries"),
}


@pytest.mark.parametrize(
    "fault", [*list(WRONG)[:-1], pytest.param("wrong canary answers", marks=pytest.mark.long)]
)
def test_right_checksums_wrong_content(fleet, tell_load, fault):
    change, message = WRONG[fault]
    before = fleet.picture()
    with (
        resealed(fleet.source("C"), GENERATIONS, change) as broken,
        fleet.load(fleet.now) as load,
        start_update_to(broken) as running,
    ):
        failed = running.done()
    tell_load(load)
    failed.failed(message)
    expect_unchanged(before)
