"""Half an hour at half capacity, with an update and a rollback every three minutes; `make soak`."""

import os
import time

from lab_usage import memory, open_files

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
EVERY = 180.0  # seconds between two changes
CLIENTS = 8
GROWTH = 1.15


def test_soak(made_fleet, tell):
    fleet = made_fleet
    old, new = fleet.now, fleet.other()
    with fleet.load(old, new, pause=0.0) as flat_out:
        time.sleep(10)
    flat_out.check()
    half = flat_out.requests / flat_out.seconds / 2
    fleet.update(new).succeeded()  # from here on both are loaded
    began, changes, before = time.monotonic(), 0, {}
    ends = began + MINUTES * 60
    with fleet.load(old, new, pause=CLIENTS / half) as load:
        while time.monotonic() < ends:
            turn = time.monotonic()
            if not before and turn > began + MINUTES * 20:  # caches have had time to fill
                before = {"memory": memory(), "files": open_files()}
            (fleet.rollback() if changes % 2 == 0 else fleet.update(new)).succeeded()
            changes += 1
            time.sleep(max(turn + EVERY - time.monotonic(), 0.0))
    after = {"memory": memory(), "files": open_files()}
    grown = {
        what: max((after[what][host] / size, host) for host, size in sizes.items())
        for what, sizes in before.items()
    }
    tell(f"{half:.0f}/s, {changes} changes, grown to {grown}; {load}, p99 {load.p99:.2f} s")
    load.check()
    assert before, "the soak was too short to compare"
    assert all(times < GROWTH for times, _ in grown.values()), f"grown to {grown}; {load}"
