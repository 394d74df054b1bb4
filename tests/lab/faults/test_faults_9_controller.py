"""The controller's disk is lost: a fresh var/, and nothing but the hosts to go on with."""

import filecmp
from pathlib import Path

import pytest
from lab_corpora import start_update_to, write_corpus
from lab_end import expect_serves
from lab_plays import REPO, play

LETTER = "N"
DOCUMENTS = 600


@pytest.mark.long
def test_a_fresh_controller_goes_on(fleet, tell, tell_load, tmp_path):
    """Look, go back, fetch what is served, and serve a new index that is built with its model."""
    if not fleet.before:
        fleet.serve(fleet.other())
    lost, first, second = tmp_path / "var", fleet.now, fleet.before
    fresh = ("-e", f"askfleet_build_dir={lost}")
    lines = (REPO / "var/test/lab/C.jsonl").read_text(encoding="utf-8").splitlines()
    corpus = write_corpus(LETTER, lines[:DOCUMENTS])
    with fleet.load(first, second) as load:
        play("status.yml", *fresh).succeeded()
        generation = f"generation={fleet.corpora.ids(second)[0]}"
        missing = play("update_index.yml", *fresh, "-e", generation, "--check")
        missing.failed("is no sealed generation", f"fetch_generation.yml -e {generation}")
        play("rollback.yml", *fresh).succeeded()
        asked = play("fetch_generation.yml", *fresh, "--check").succeeded()
        assert not lost.exists(), "--check writes nothing"
        fetched = play("fetch_generation.yml", *fresh).succeeded()
        again = play("fetch_generation.yml", *fresh).changed_nothing()
        play("update_index.yml", *fresh, "-e", generation, "--check").succeeded()
    tell_load(load)
    tell(f"fetched in {fetched.seconds:.1f} s, again {again.seconds:.1f} s")
    assert "bytes from shard-" in asked.output
    source, model = fleet.source(second), fleet.corpora.model
    expect_the_same(source, lost / "generations" / source.name)
    expect_the_same(model, lost / "models" / model.name)

    options = ("--out", str(lost / "generations"))
    fleet.corpora.add(LETTER, corpus, lost / "models" / model.name, *options)
    (new,) = fleet.corpora.ids(LETTER)
    with (
        fleet.load(second, LETTER) as load,
        start_update_to(lost / "generations" / new, f"askfleet_build_dir={lost}") as running,
    ):
        running.done().succeeded()
    tell_load(load)
    expect_serves(fleet.corpora, LETTER, second)


def expect_the_same(one: Path, other: Path) -> None:
    """Two directories hold the same files, byte for byte."""
    names = {
        str(path.relative_to(top))
        for top in (one, other)
        for path in top.rglob("*")
        if path.is_file()
    }
    assert filecmp.cmpfiles(one, other, names, shallow=False)[1:] == ([], [])
