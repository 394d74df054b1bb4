"""What is sent, and to whom."""

import re

import pytest
from lab_corpora import DOCUMENTS, write_corpus
from lab_end import expect_serves
from lab_hosts import GATEWAYS, HOSTS, SHARDS, parts
from lab_plays import REPO

from app.generation.manifest import Manifest

LETTER = "R"
NEW = DOCUMENTS // 100
SHARE = 0.1


@pytest.mark.long
def test_small_change_is_a_small_transfer(fleet, tell, tell_load):
    """1 % of other documents, cut on the generation that is served."""
    fleet.serve("B")
    lines = (REPO / "var/test/lab/B.jsonl").read_text(encoding="utf-8").splitlines()
    all_lines = (REPO / "var/demo/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    others = sorted(set(all_lines) - set(lines))
    more = others[:: len(others) // NEW][:NEW]
    corpus = write_corpus(LETTER, [*lines[: len(lines) - NEW], *more])
    base = str(fleet.source("B"))
    fleet.corpora.add(LETTER, corpus, fleet.corpora.model, "--base", base)
    with fleet.load("B", LETTER) as load:
        done = fleet.update(LETTER).succeeded()
    whole = sum(map(_size_on, [Manifest.load(fleet.source(LETTER))] * len(HOSTS), HOSTS))
    tell(f"{done.sent} bytes sent of {whole}, {done.sent / whole:.1%}")
    tell_load(load)
    assert len(set(more)) == NEW
    assert done.sent < SHARE * whole
    expect_serves(fleet.corpora, LETTER, "B")


def test_no_host_holds_a_file_of_a_shard_that_is_not_its_own():
    """Whatever was staged here by all the cases before."""
    for host, (_, units) in HOSTS.items():
        own = {f"shard-{int(unit.partition('@')[2]):03d}" for unit in units if "@" in unit}
        held = parts(host)
        found = {match[1] for path in held if (match := re.search(r"/(shard-\d+)/", path))}
        assert found == own, host
        assert any(path.startswith("models/") for path in held) == host.startswith("encoder"), host
        if host not in SHARDS + GATEWAYS:
            assert not any(path.startswith("generations/") for path in held), host
        if host not in GATEWAYS:
            assert not any("/routing/" in path for path in held), host


def _size_on(manifest: Manifest, host: str) -> int:
    """Bytes that a host holds of a generation."""
    shards = [int(unit.partition("@")[2]) for unit in HOSTS[host][1] if "@" in unit]
    files = manifest.parts(shards, routing=host in GATEWAYS)
    return sum(info.size for info in files.values())
