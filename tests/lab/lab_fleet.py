"""The fleet as the cases meet it."""

from pathlib import Path
from typing import Any

from lab_corpora import GENERATIONS, Corpora, start_update, update
from lab_end import Picture
from lab_hosts import GATEWAYS, links
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

    def rollback(self, *settings: str) -> Play:
        """Run rollback.yml to its end."""
        return play("rollback.yml", *(part for one in settings for part in ("-e", one)))

    def load(self, *letters: str, **how: Any) -> Load:
        """A load that accepts the answers of these generations; `how` as Load has it."""
        return Load(self.corpora.by_id(*letters), **how)

    def picture(self, *without: str) -> Picture:
        """What every host links and serves, but for some."""
        return Picture.take(without)

    def source(self, letter: str) -> Path:
        """A generation's directory on the controller."""
        return GENERATIONS / self.corpora.ids(letter)[0]
