"""``python -m index_builder plan``: how many machines, before there is one."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from app.errors import BuildError
from app.generation.model import Model
from index_builder.capacity import FULL, MAPPED, Machine, Plan, Wanted, plan

UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


def add_plan(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="how many machines: hosts by role, memory, disk, bytes of an update, time of a build",
        description="How many machines a corpus needs, from constants that were measured "
        "(docs/scaling.md). Nothing is built.",
    )
    parser.add_argument("--documents", type=number, required=True, metavar="N", help="50e6 or 50M")
    parser.add_argument(
        "--questions-per-second", type=number, required=True, metavar="N", help="at the busiest"
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="a model artefact, for the size of its vectors"
    )
    parser.add_argument(
        "--document-bytes",
        type=number,
        default=165.0,
        metavar="N",
        help="mean size of a document as a line of JSON (default 165)",
    )
    parser.add_argument("--replicas", type=int, default=2, help="of everything (default 2)")
    parser.add_argument("--index", choices=["auto", "lean", "exact"], default="auto")
    parser.add_argument(
        "--also-search",
        choices=("answer",),
        default="",
        help="plan for answers that are searched too, one a document",
    )
    parser.add_argument(
        "--growth", type=factor, default=1.0, metavar="2x", help="plan for so many times as much"
    )
    parser.add_argument("--cores", type=int, default=4, help="of a host (default 4)")
    parser.add_argument(
        "--memory", type=number, default=16.0, metavar="GB", help="of a host (default 16)"
    )
    parser.add_argument(
        "--price",
        type=price,
        metavar="cpu=…,gb=…",
        help="of a core, and of a GB of memory, for whatever time you pay by",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as one line of JSON")
    parser.set_defaults(run=_run)


def number(text: str) -> float:
    """A number above 0, also as 50e6 or 50M."""
    unit = UNITS.get(text[-1:], 0.0)
    value = float(text[:-1]) * unit if unit else float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def factor(text: str) -> float:
    """How many times as much: 2x or 2."""
    return number(text.removesuffix("x"))


def price(text: str) -> tuple[float, float]:
    """Of a core and of a GB, from ``cpu=…,gb=…``."""
    named = dict(part.split("=", 1) for part in text.split(","))
    if set(named) != {"cpu", "gb"}:
        raise argparse.ArgumentTypeError(f"{text!r}: write cpu=NUMBER,gb=NUMBER")
    return float(named["cpu"]), float(named["gb"])


def _run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.replicas <= 10:
        raise BuildError(f"--replicas {arguments.replicas}: use 1 to 10")
    if arguments.cores < 1:
        raise BuildError(f"--cores {arguments.cores}: use at least 1")
    wanted = Wanted(
        documents=arguments.documents * arguments.growth,
        per_second=arguments.questions_per_second * arguments.growth,
        dim=Model.load(arguments.model).dim if arguments.model else 384,
        document_bytes=arguments.document_bytes,
        replicas=arguments.replicas,
        index=arguments.index,
        texts=2.0 if arguments.also_search else 1.0,
    )
    machine = Machine(arguments.cores, arguments.memory * 1e9)
    found = plan(wanted, machine)
    short = [role.name for role in found.roles if role.memory > MAPPED * machine.memory]
    if short:
        raise BuildError(
            f"--memory {arguments.memory:g}: a host of {' and '.join(short)} needs more than "
            f"{MAPPED:.0%} of it, however many there are"
        )
    if arguments.json:
        print(msgspec.json.encode(asdict(found)).decode())
    else:
        print(told(wanted, machine, found, arguments.price))
    return 0


def told(
    wanted: Wanted, machine: Machine, found: Plan, price: tuple[float, float] | None = None
) -> str:
    """The plan for a person."""
    lines = [
        f"{wanted.documents:,.0f} documents, {wanted.per_second:,.0f} questions a second, "
        f"hosts of {machine.cores} cores and {machine.memory / 1e9:g} GB",
        "",
        f"{'':<10}{'hosts':>6}{'memory':>11}{'disk':>11}{'CPU':>7}   each",
    ]
    lines += [
        f"{role.name:<10}{role.hosts:>6}{_size(role.memory):>11}{_size(role.disk):>11}"
        f"{role.busy:>7.0%}"
        for role in found.roles
    ]
    hosts = sum(role.hosts for role in found.roles)
    minutes = found.build_cpu / machine.cores / 60
    build = f"{minutes / 60:.1f} hours" if minutes >= 60 else f"{max(minutes, 1):.0f} min"
    lines += [
        f"{'in all':<10}{hosts:>6}",
        "",
        f"askfleet_shard_count: {found.shards}, {wanted.replicas} replicas of each; a shard has "
        f"{_size(found.shard_bytes)}, {found.storage:.2f} documents are stored for each one",
        f"a question asks {found.shards_asked:.1f} shards and takes {found.cpu_ms:.1f} ms of CPU",
        f"an update of all sends {_size(found.update_bytes)}; of 1 %, with --base, "
        f"{_size(found.delta_bytes)}",
        f"a build takes {build} on one such host, and {_size(found.build_bytes)} of its disk",
    ]
    if price is not None:
        each = price[0] * machine.cores + price[1] * machine.memory / 1e9
        lines.append(f"price: {hosts * each:,.2f}, {each:,.2f} a host")
    lines += [
        "",
        f"Hosts are at most {FULL:.0%} busy and {MAPPED:.0%} full, so that one may be lost. Groups "
        "may share hosts.",
        "Constants are of 2 cores of an EPYC with VNNI and texts of 15 tokens: docs/scaling.md.",
    ]
    return "\n".join(lines)


def _size(count: float) -> str:
    for unit in ("kB", "MB", "GB"):
        count /= 1e3
        if count < 999.5:
            return f"{count:.3g} {unit}"
    return f"{count / 1e3:.3g} TB"
