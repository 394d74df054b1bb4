"""A preview and a fleet page, with what a fleet may say and what nobody should."""

from pathlib import Path
from typing import Any

import msgspec

from app.wire.preview import Found as Result
from app.wire.preview import Pair, Side
from index_builder.cli import main
from index_builder.preview.command import judged
from index_builder.preview.wanted import Gates, Wanted

HOSTILE = '<img src=x onerror=alert(1)> \u202e & "it\'s"'
ID = "20261127T115108Z-2cd370d9"
ROW = {
    "release": "0.1.0-0badc0de",
    "current": ID,
    "previous": "-",
    "model": "4c1e77d1302d3398",
    "health": "ok",
    "documents": "2000",
    "faults": [],
}
ENTRY = {"run": "r-1", "by": "anna@desk", "seconds": 2.5}
FOUND: dict[str, Any] = {
    "made": "2026-11-27 13:02:11 UTC",
    "serves": f"The gateways serve {ID}.",
    "rows": [
        {**ROW, "host": "gateway-1", "service": "gateway"},
        {**ROW, "host": "shard-a", "service": "shard-0", "faults": ["it is drained", HOSTILE]},
    ],
    "notes": ["3 documents are withdrawn."],
    "faults": ["shard-a: shard-0: it is drained"],
    "journal": [
        {**ENTRY, "host": "shard-a", "time": "T1", "what": f"update to {ID}", "result": "ok"},
        {**ENTRY, "host": "shard-b", "time": "T2", "what": f"update to {ID}", "result": HOSTILE},
        {**ENTRY, "host": "gateway-1", "time": "T3", "what": "prune", "result": "ok"},
    ],
    "prometheus": {
        "alerts": [
            {"labels": {"alertname": "DiskFull"}, "state": "pending"},
            {
                "labels": {"alertname": "ServiceDown", "host": "shard-a", "unit": "shard-0"},
                "state": "firing",
                "annotations": {"summary": f"shard-0 is down {HOSTILE}"},
                "activeAt": "2026-11-27T12:58:00.123Z",
            },
        ],
        "load": [{"metric": {"host": "gateway-1", "unit": "gateway"}, "value": [1.0, "8.25"]}],
        "memory": [
            {"metric": {"host": "gateway-1", "unit": "gateway"}, "value": [1.0, "73500000"]},
            {"metric": {"host": "shard-a", "unit": "shard-0"}, "value": [1.0, "NaN"]},
        ],
    },
}


def fleet_page(directory: Path, **changes: Any) -> Path:
    """The page of a fleet where one service is drained."""
    file, page = directory / "fleet.json", directory / "fleet.html"
    file.write_bytes(msgspec.json.encode({**FOUND, **changes}))
    command = ["fleet-page", str(file), f"--out={page}", f"--kept={directory.parent}"]
    assert main(command) == 0
    return page


def preview_page(directory: Path) -> Path:
    """The page of a preview in which a gate has failed."""

    def side(ids: str, **more: Any) -> Side:
        results = [
            Result(one, 0.9 - at / 50, f"text {one} {HOSTILE}", "an answer", {"set": "x"})
            for at, one in enumerate(ids)
        ]
        return Side(results, ids[:1], 0.75, shards_asked=[0, 2], ms=5.0, **more)

    pairs = [Pair(f"question {n}", side("abcdefghij"), side("abcdefghij")) for n in range(30)]
    pairs += [Pair(HOSTILE, side("abc"), side("bcd")), Pair("gone", side("ab"), Side(error="503"))]
    lost = side("")
    lost.match = None
    pairs.append(Pair("lost", side("abc"), lost))
    wanted = Wanted(
        [pair.question for pair in pairs],
        {f"question {n}": frozenset("a") for n in range(20)},
        ("set",),
        Gates(max_changed=0.01),
        ("A remark.",),
    )
    return judged(wanted, pairs, [ID, f"{ID[:-1]}0"], directory).report
