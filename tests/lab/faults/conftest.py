"""A fleet that serves, whatever was there before."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fault_end import Picture
from lab_corpora import GENERATIONS, Corpora, start_update, update
from lab_hosts import GATEWAYS, STATE, links
from lab_load import Load
from lab_plays import Play, Running, play


class Fleet:
    """The fleet between two cases: it serves one generation everywhere."""

    def __init__(self, corpora: Corpora) -> None:
        self.corpora = corpora
        self.tasks = 40  # of an update; measured by the first

    @property
    def now(self) -> str:
        """The name of the generation that the gateways serve."""
        (generation,) = {links()[f"{gateway} gateway"][0] for gateway in GATEWAYS}
        return self.corpora.letter(generation)

    @property
    def before(self) -> str:
        """The name of the generation that the gateways served before that."""
        (generation,) = {links()[f"{gateway} gateway"][1] for gateway in GATEWAYS}
        return self.corpora.letter(generation)

    def other(self) -> str:
        """A or B, whichever is not served."""
        return "A" if self.now == "B" else "B"

    def serve(self, letter: str) -> None:
        """Bring a generation everywhere, if it is not."""
        (generation,) = self.corpora.ids(letter)
        if {now[0] for where, now in links().items() if "encoder" not in where} != {generation}:
            update(self.corpora, letter).succeeded()

    def update(self, letter: str, *more: str) -> Play:
        """Run update_index.yml to its end."""
        return update(self.corpora, letter, *more)

    def start(self, letter: str, *more: str) -> Running:
        """Start update_index.yml."""
        return start_update(self.corpora, letter, *more)

    def rollback(self) -> Play:
        """Run rollback.yml to its end."""
        return play("rollback.yml")

    def load(self, *letters: str) -> Load:
        """A load that accepts the answers of these generations."""
        return Load(self.corpora.by_id(*letters))

    def picture(self, *without: str) -> Picture:
        """What every host links and serves, but for some."""
        return Picture.take(without)

    def source(self, letter: str) -> Path:
        """A generation's directory on the controller."""
        return GENERATIONS / self.corpora.ids(letter)[0]


@pytest.fixture
def fleet(made_fleet: Fleet) -> Fleet:
    """It serves A or B, whatever the case before has left."""
    links_now = {now[0] for where, now in links().items() if "encoder" not in where}
    if not links_now <= set(made_fleet.corpora.ids("A")) and not links_now <= set(
        made_fleet.corpora.ids("B")
    ):
        made_fleet.update("B").succeeded()
    return made_fleet


@pytest.fixture(scope="session")
def made_fleet(corpora: Corpora) -> Fleet:
    """Made from bare hosts when these tests run alone."""
    fleet = Fleet(corpora)
    made = STATE.exists() and all(now[0] for now in links().values())
    if not made or not fleet.now:
        play("playbooks/lab.yml").succeeded()
        play("site.yml").succeeded()
        fleet.update("A").succeeded()
    return fleet


@pytest.fixture
def tell_load(tell: Callable[[object], None]) -> Callable[[Load], None]:
    """Add what a load met to the case's line, and assert that it was answered well."""

    def tell_and_check(load: Load) -> None:
        tell(f"{load}, {load.seconds:.1f} s to the end state")
        load.check()

    return tell_and_check
