"""How many machines a fleet needs: a model of memory, disk and CPU with measured constants.

Each constant names where it was measured; ``docs/scaling.md`` shows them beside real runs. Sizes
are bytes, times seconds unless the name says milliseconds (``_MS``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil, log2

from index_builder.index_kind import IVF_LIMIT, kind_by_size
from index_builder.storage import MOST, bytes_of

# CPU of a question by role, 2 cores of an EPYC with VNNI, 8 clients (docs/performance.md).
EDGE_MS = 0.12
ENCODER_MS = 1.76
GATEWAY_MS = 0.45
GATEWAY_SHARD_MS = 0.15
SHARD_MS = 0.25
SCAN_MS = 5.4e-6  # a document compared by PQ codes, one thread (docs/performance.md, growth)
# IVF compares a part of a large shard: 2.0 ms of a million where all are 5.4.
IVF_SHARE = 0.37
# Of a core, so that a host that is lost, and an update, leave room.
FULL = 0.6
# Of a host's memory, so that what is mapped stays in the page cache.
MAPPED = 0.8
# Resident memory of a process beside what it maps; an encoder has its model.
PROCESS = 65e6
ENCODER_PROCESS = 160e6
SYSTEM = 400e6
# On disk: a release and the wheels of its lock; the default model.
RELEASE, MODEL = 440e6, 59e6
# Generations on a host: what is served, the one before, and one that is staged.
MAPPED_GENERATIONS, KEPT_GENERATIONS = 2, 3
# A build, CPU ms a document: encoding 15 tokens in passes of 16; clustering, tuning, measuring.
ENCODE_MS, INDEX_MS = 1.0, 0.33
# What a shard keeps of a document beside its JSON: where it begins, its ordinal, its key.
DOCUMENT_EXTRA = 36
# What a shard keeps of a document's words, in bytes: a question of a line has about 37 trigrams.
# Of long texts, a share of the document's size: 2,000 characters of prose have 720.
WORDS, WORDS_SHARE = 80, 0.45
# A shard smaller than this costs a hop and saves nothing (docs/performance.md, growth).
SMALLEST_SHARD = 25_000
CLUSTERS_PER_SHARD = 128
# A generation with 1 % of other documents, built on the one before (decision 14).
DELTA = 0.013


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the fleet is to do.

    Attributes:
        documents: how many.
        per_second: questions a second, at the busiest.
        dim: of the model's vectors.
        document_bytes: mean size of one document as a line of JSON: id, text, answer, metadata.
        replicas: of each shard, of the encoders and of the gateways.
        index: ``auto``, ``lean`` or ``exact``.
        texts: that are searched, of each document: 2 where all have an answer that is.
    """

    documents: float
    per_second: float
    dim: int = 384
    document_bytes: float = 165.0
    replicas: int = 2
    index: str = "auto"
    texts: float = 1.0


@dataclass(frozen=True, slots=True)
class Machine:
    """One host: cores, and bytes of memory."""

    cores: int = 4
    memory: float = 16e9


@dataclass(frozen=True, slots=True)
class Role:
    """Hosts of one role; ``memory`` and ``disk`` of each, ``busy`` is their share of CPU."""

    name: str
    hosts: int
    memory: float
    disk: float
    busy: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes.

    Attributes:
        shards: how many the index is cut into.
        storage: stored documents over documents.
        shards_asked: by a question, on average.
        shard_bytes: of one shard of one generation, index and documents.
        roles: hosts by role.
        update_bytes: sent by an update of every document; ``delta_bytes`` of one of 1 %.
        build_cpu: CPU seconds of a build; ``build_bytes`` of disk, vectors and a generation.
        cpu_ms: of a question, all roles.
    """

    shards: int
    storage: float
    shards_asked: float
    shard_bytes: float
    roles: tuple[Role, ...]
    update_bytes: float
    delta_bytes: float
    build_cpu: float
    build_bytes: float
    cpu_ms: float


def stored_bytes(wanted: Wanted, shard_documents: float) -> float:
    """Of one stored document: its vector in the index, and its text."""
    rule = wanted.index if wanted.index != "exact" else "before"
    kind = (
        "Flat" if wanted.index == "exact" else kind_by_size(int(shard_documents), wanted.dim, rule)
    )
    words = max(WORDS, WORDS_SHARE * wanted.document_bytes)
    return bytes_of(kind, wanted.dim) + wanted.document_bytes + DOCUMENT_EXTRA + words


def shards_asked(shards: int) -> float:
    """By a question, with twice the corpus stored: 1.3 of 4 measured, 2.8 of 16."""
    return min(1.0 + 0.15 * log2(shards) + 0.075 * log2(shards) * max(log2(shards) - 2, 0), shards)


def shard_ms(documents: float) -> float:
    """CPU of one call to a shard that stores so many documents."""
    share = IVF_SHARE if documents > IVF_LIMIT else 1.0
    return SHARD_MS + SCAN_MS * documents * share


def plan(wanted: Wanted, machine: Machine) -> Plan:
    """The smallest fleet whose hosts have memory and CPU to spare."""
    storage = MOST if wanted.index != "exact" else 1.25
    shards = 1
    while True:
        made = _with(wanted, machine, shards, storage if shards > 1 else 1.0)
        shard_hosts = next(role.hosts for role in made.roles if role.name == "shards")
        enough = max(1, int(wanted.documents * wanted.texts // SMALLEST_SHARD))
        # A shard for each host, each on so many hosts as it has replicas.
        if min(shard_hosts, enough) <= shards:
            return made
        shards += max(1, shards // 16)


def _with(wanted: Wanted, machine: Machine, shards: int, storage: float) -> Plan:
    stored = wanted.documents * wanted.texts * storage
    each = stored_bytes(wanted, stored / shards)
    shard_bytes = stored / shards * each
    asked = shards_asked(shards)
    second = {
        "edge": EDGE_MS,
        "gateways": GATEWAY_MS + GATEWAY_SHARD_MS * asked,
        "encoders": ENCODER_MS,
        "shards": asked * shard_ms(stored / shards),
    }
    routing = shards * CLUSTERS_PER_SHARD * (4.0 * wanted.dim + 4)
    held = {"edge": 0.0, "gateways": routing, "encoders": MODEL}
    roles = [
        _role(name, wanted, machine, second[name], partial(_same, data))
        for name, data in held.items()
    ]
    parts = shards * wanted.replicas
    roles.append(
        _role(
            "shards",
            wanted,
            machine,
            second["shards"],
            lambda hosts: ceil(parts / hosts) * shard_bytes,
            lambda hosts: ceil(parts / hosts),
        )
    )
    gateways = next(role.hosts for role in roles if role.name == "gateways")
    sent = shard_bytes * parts + routing * gateways
    return Plan(
        shards=shards,
        storage=storage,
        shards_asked=asked,
        shard_bytes=shard_bytes,
        roles=tuple(roles),
        update_bytes=sent,
        delta_bytes=sent * DELTA,
        build_cpu=wanted.documents * wanted.texts * (ENCODE_MS + INDEX_MS) / 1e3,
        build_bytes=wanted.documents * (4 * wanted.dim * wanted.texts + wanted.document_bytes)
        + shard_bytes * shards,
        cpu_ms=sum(second.values()),
    )


def _same(data: float, _: int) -> float:
    """What every host has, however many there are."""
    return data


def _role(
    name: str,
    wanted: Wanted,
    machine: Machine,
    cpu_ms: float,
    data: Callable[[int], float],
    services: Callable[[int], int] = lambda _: 1,
) -> Role:
    """Hosts of a role whose questions take ``cpu_ms`` each.

    ``data`` are the bytes that one host has of a generation, ``services`` its services, both by
    the number of hosts.
    """
    process = ENCODER_PROCESS if name == "encoders" else PROCESS
    cores = wanted.per_second * cpu_ms / 1e3
    hosts = max(ceil(cores / (FULL * machine.cores)), wanted.replicas)

    def memory(hosts: int) -> float:
        return SYSTEM + services(hosts) * process + MAPPED_GENERATIONS * data(hosts)

    while memory(hosts) > MAPPED * machine.memory and memory(hosts) > memory(2 * hosts):
        hosts += 1
    disk = RELEASE * (name != "edge") + KEPT_GENERATIONS * data(hosts)
    return Role(name, hosts, memory(hosts), disk, cores / (hosts * machine.cores))
