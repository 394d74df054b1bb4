"""A plan of machines beside what was measured, and what people type."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from pathlib import Path

import numpy as np
import pytest
from small_generations import DIM, build_small, documents_of, vectors_of

from index_builder import capacity, cli, plan_command
from index_builder.capacity import Machine, Wanted, plan, shard_ms, shards_asked, stored_bytes

ROOT = Path(__file__).parents[3]
COUNT = 9000


@pytest.mark.slow
@pytest.mark.parametrize("index", ["auto", "lean", "exact"])
def test_a_build_is_as_large_as_planned(index: str, tmp_path: Path) -> None:
    """Memory within 10 %, disk within 5 %."""
    texts = [f"how is number {number} of so many asked about in words" for number in range(COUNT)]
    storage = 1.5
    built = build_small(tmp_path, texts, shards=2, index=index, storage=storage, sample=50)
    lines = [
        json.dumps({"id": one.id, "text": one.text, "answer": one.answer, "metadata": {}})
        for one in documents_of(texts)
    ]
    mean = sum(map(len, lines)) / COUNT
    wanted = Wanted(COUNT, 1, dim=DIM, document_bytes=mean, index=index)
    files = built.manifest.files
    real = sum(shard.memory_bytes for shard in built.manifest.shards) / built.manifest.stored
    planned = stored_bytes(wanted, built.manifest.stored / 2)
    assert planned == pytest.approx(real, rel=0.10)
    disk = sum(file.size for name, file in files.items() if name.startswith("shard-"))
    assert planned * built.manifest.stored == pytest.approx(disk, rel=0.05)


def test_a_question_costs_what_the_bench_has_measured() -> None:
    """Within 30 % of the row of docs/performance.md: 31,105 documents, 4 shards, 8 clients."""
    page = (ROOT / "docs/performance.md").read_text()
    row = re.search(r"^\| \*\*askfleet\*\* \|(.+)\|$", page, re.MULTILINE)
    assert row
    measured = float(row[1].split("|")[2])
    machine = Machine(2, 16e9)
    made = capacity._with(Wanted(31_105, 100), machine, 4, 2.0)
    assert made.cpu_ms == pytest.approx(measured, rel=0.30)


def test_more_shards_are_asked_by_more_of_them_and_never_more_than_there_are() -> None:
    assert shards_asked(1) == 1
    assert shards_asked(4) == pytest.approx(1.3, abs=0.05)
    assert shards_asked(16) == pytest.approx(2.2, abs=0.7)
    counts = [1, 2, 3, 4, 8, 16, 64, 256, 1000]
    assert all(shards_asked(count) <= count for count in counts)
    assert sorted(map(shards_asked, counts)) == list(map(shards_asked, counts))
    assert shard_ms(1e6) < 5.4, "IVF does not compare all of them"


@pytest.mark.parametrize("documents", [1, 1e4, 31_105, 1e6, 5e7, 1e9])
@pytest.mark.parametrize("per_second", [1, 300, 5000])
@pytest.mark.parametrize("index", ["auto", "lean", "exact"])
def test_a_plan_fits_its_hosts(documents: float, per_second: float, index: str) -> None:
    machine = Machine(8, 32e9)
    wanted = Wanted(documents, per_second, index=index)
    made = plan(wanted, machine)
    assert {role.name for role in made.roles} == {"edge", "gateways", "encoders", "shards"}
    for role in made.roles:
        assert role.hosts >= wanted.replicas
        assert role.memory <= capacity.MAPPED * machine.memory
        assert role.busy <= capacity.FULL
    hosts = next(role.hosts for role in made.roles if role.name == "shards")
    assert 1 <= made.shards <= max(hosts * 1.1, 1)
    total = made.shard_bytes * made.shards * wanted.replicas
    assert total <= made.update_bytes <= total + 1e9
    # More of anything never needs fewer hosts.
    more = plan(Wanted(documents * 2, per_second * 2, index=index), machine)
    assert sum(role.hosts for role in more.roles) >= sum(role.hosts for role in made.roles)


def test_the_command_prints_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--documents", "50M", "--questions-per-second", "800"]
    assert cli.main([*asked, "--price", "cpu=10,gb=2", "--growth", "2x"]) == 0
    told = capsys.readouterr().out
    assert "100,000,000 documents, 1,600 questions a second" in told
    assert re.search(r"^shards +\d+ ", told, re.MULTILINE)
    assert "askfleet_shard_count:" in told
    assert "72.00 a host" in told
    assert cli.main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shards"] > 1


def test_hosts_that_are_too_small_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--documents", "1e6", "--questions-per-second", "10", "--memory", "0.5"]
    assert cli.main(asked) == 1
    assert "--memory 0.5: a host of" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "k", ""])
def test_a_number_is_above_zero(text: str) -> None:
    with pytest.raises((ArgumentTypeError, ValueError)):
        plan_command.number(text)


def test_vectors_of_other_sizes_are_planned_for() -> None:
    assert len(vectors_of(["a"])[0]) == DIM
    assert np.isclose(stored_bytes(Wanted(1e6, 1, dim=768, document_bytes=0), 1e5), 1632 + 36 + 80)


def test_answers_that_are_searched_double_the_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    one, both = (plan(Wanted(4e6, 100, texts=texts), Machine()) for texts in (1.0, 2.0))
    assert both.shard_bytes * both.shards == pytest.approx(
        2 * one.shard_bytes * one.shards, rel=0.05
    )
    asked = ["plan", "--documents", "4M", "--questions-per-second", "100", "--json"]
    assert cli.main([*asked, "--also-search", "answer"]) == 0
    assert json.loads(capsys.readouterr().out)["build_cpu"] == pytest.approx(2 * one.build_cpu)
