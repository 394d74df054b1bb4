"""The end state of a case on every host: by symlink, by /health and by status.yml."""

from collections.abc import Collection
from dataclasses import dataclass

from lab_corpora import Corpora
from lab_hosts import HOSTS, kind_of, links, serving
from lab_plays import play


@dataclass(frozen=True)
class Picture:
    """`current` and `previous` of every host and service, by link and by the service's own word."""

    links: dict[str, tuple[str, str]]
    told: dict[str, tuple[str | None, str | None]]

    @classmethod
    def take(cls, without: Collection[str] = ()) -> "Picture":
        """Look at every host but some; every service must be well."""
        linked = {where: one for where, one in links().items() if where.split()[0] not in without}
        return cls(linked, serving(without))

    def but(self, *hosts: str) -> "Picture":
        """The same without some hosts."""
        links_, told = (
            {where: one for where, one in found.items() if where.split()[0] not in hosts}
            for found in (self.links, self.told)
        )
        return Picture(links_, told)


def expect_serves(
    corpora: Corpora, new: str, old: str = "", *, gateways: str = "", without: Collection[str] = ()
) -> None:
    """Every host has one generation current, and another previous; gateways perhaps another.

    Args:
        corpora: the generations.
        new: what is current.
        old: what is previous; "" for anything.
        gateways: what is current on gateways, which leave `new` as previous.
        without: hosts that are away.
    """
    now = Picture.take(without)
    for where, found in (*now.links.items(), *now.told.items()):
        current, previous = (gateways, new) if gateways and "gateway" in where else (new, old)
        answers = corpora.answers[current]
        if "encoder" in where:
            model = corpora.answers[new].model
            assert found[0] == model, (where, found)
            continue
        assert found[0] == answers.generation, (where, found)
        if previous:
            assert found[1] == corpora.answers[previous].generation, (where, found)
    if not without:
        expect_status(corpora.answers[gateways or new].generation)


def expect_unchanged(before: Picture) -> None:
    """Every host links and serves what it did, and status.yml finds nothing inconsistent."""
    assert Picture.take() == before
    (generation,) = {now[0] for where, now in before.links.items() if "gateway" in where}
    expect_status(generation)


def expect_status(generation: str) -> None:
    """status.yml says that the gateways serve it, and that nothing is inconsistent."""
    told = play("status.yml").succeeded()
    assert f"The gateways serve {generation}, " in told.output, told.output[-4000:]
    rows = [line.split() for line in told.output.splitlines()]
    rows = [row for row in rows if len(row) > 4 and row[0] in HOSTS]
    wanted = {(host, unit) for host, (_, units) in HOSTS.items() for unit in map(_name, units)}
    assert {(row[0], row[1]) for row in rows} >= wanted, told.output[-4000:]
    for row in rows:
        assert "<-" not in row, row
        assert row[1] != "gateway" or row[3] == generation, row


def _name(unit: str) -> str:
    """A service's name in the table: encoder, gateway, shard-0."""
    return unit.removeprefix("askfleet-").replace("@", "-") if "@" in unit else kind_of(unit)
