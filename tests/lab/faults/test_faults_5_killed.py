"""ansible-playbook is killed anywhere, and run again."""

import os
import random
import time

import pytest
from lab_end import expect_serves

SEEDS = range(int(os.environ.get("ASKFLEET_KILLS", "2")))  # `make faults` has ten
TICK = 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_and_run_again(fleet, tell, tell_load, seed):
    """By odd seeds the main process alone, so that its forks finish what they are at."""
    dice = random.Random(seed)  # noqa: S311  # the same kills in every run
    old, new = fleet.now, fleet.other()
    last, delay = dice.randint(1, fleet.tasks), dice.random()
    with fleet.load(old, new) as load, fleet.start(new) as running:
        while len(running.tasks) < last and running.alive:
            time.sleep(TICK)
        time.sleep(delay)
        running.kill(with_forks=seed % 2 == 0)
        at = running.tasks[-1]
        again = fleet.update(new)
    tell(f"killed in task {last}, {at}; again {again.seconds:.1f} s")
    tell_load(load)
    again.succeeded()
    expect_serves(fleet.corpora, new, old)
