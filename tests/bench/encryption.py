"""What TLS between hosts costs: the same stack with plain calls and with askfleet_internal_tls.

    .venv/bin/python tests/bench/encryption.py --generation var/generations/<id> --questions FILE

The two take turns, a round each; every round has questions of its own, for a cache would answer one
that comes again. FILE has a question a line, as text or as JSON with the member ``text``.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from askfleet_stack import Askfleet
from bench_processes import cpu_seconds
from bench_system import HERE
from peer_process import free_port

from app.generation.manifest import Manifest


class Stack(Askfleet):
    """A stack of its own beside the other one."""

    def __init__(self, work: Path, mode: str, offset: int) -> None:
        super().__init__(work / mode, free_port())
        self.mode = mode
        self._offset = offset

    def play(self, generation: Path, models: Path) -> None:
        self._play(
            stack_port_offset=self._offset,
            askfleet_internal_tls=self.mode,
            stack_generation=generation.resolve(),
            stack_models=models.resolve(),
        )

    def load(self, questions: list[str], clients: int, seconds: float) -> tuple[float, float]:
        """CPU ms of a question, and questions a second."""
        asked = [self.request(question) for question in questions]
        job = {
            "port": self.port,
            "requests": [(one.method, one.path, one.body.decode(), one.headers) for one in asked],
            "clients": clients,
            "seconds": seconds,
            "keep": False,
        }
        before = cpu_seconds([pid for pids in self.roots().values() for pid in pids])
        done = subprocess.run(
            [sys.executable, HERE / "bench_load.py"],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=True,
        )
        used = cpu_seconds([pid for pids in self.roots().values() for pid in pids]) - before
        told = json.loads(done.stdout)
        if told["failed"]:
            raise RuntimeError(f"{self.mode}: {told['failed'][0]}")
        count = len(told["latencies"])
        return used / count * 1e3, count / told["seconds"]


def questions_of(path: Path) -> list[str]:
    """The questions of a file, each once, in an order that is always the same."""
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] if line.startswith("{") else line for line in lines]
    found = sorted(set(texts))
    random.Random(1).shuffle(found)  # noqa: S311  # an order, no secret
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--generation", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("var/models"))
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    told = parser.parse_args()
    generation = told.generation.resolve()
    Manifest.load(generation)  # or a clear error
    questions = questions_of(told.questions)
    seen: dict[tuple[int, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="askfleet-encryption-") as work:
        stacks = [Stack(Path(work), "none", 19000), Stack(Path(work), "require", 23000)]
        try:
            for stack in stacks:
                stack.play(generation, told.models)
                stack.load([questions.pop() for _ in range(200)], 4, 60)
            for number in range(told.rounds):
                for clients in (1, 8, 32):
                    share = [questions.pop() for _ in range(int(350 * told.seconds))]
                    for stack in stacks if number % 2 else stacks[::-1]:
                        # Each has its own caches, so both may be asked the same.
                        figures = stack.load(share, clients, told.seconds)
                        seen.setdefault((clients, stack.mode), []).append(figures)
                print(f"round {number + 1} of {told.rounds}", file=sys.stderr, flush=True)
        finally:
            for stack in stacks:
                stack.stop()
    print("| clients | CPU ms, plain | CPU ms, TLS | TLS / plain | q/s, plain | q/s, TLS |")
    print("|---|---|---|---|---|---|")
    for clients in (1, 8, 32):
        plain, tls = seen[clients, "none"], seen[clients, "require"]
        ratio = median(b[0] / a[0] for a, b in zip(plain, tls, strict=True))
        cpu = [median(one[0] for one in both) for both in (plain, tls)]
        rate = [median(one[1] for one in both) for both in (plain, tls)]
        told_by = [
            f"{cpu[0]:.2f}",
            f"{cpu[1]:.2f}",
            f"{ratio:.3f}",
            *(f"{one:.0f}" for one in rate),
        ]
        print(f"| {clients} | {' | '.join(told_by)} |")


if __name__ == "__main__":
    main()
