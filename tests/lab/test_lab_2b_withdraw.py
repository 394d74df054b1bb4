"""A document goes at once, from hosts too that were down, and from what is built later."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from lab_breaks import kill_host, revive
from lab_corpora import GENERATIONS, WORK, Answer, Right, answer_to
from lab_hosts import GATEWAYS, HOSTS, SHARDS, health, root, run_on, snapshot
from lab_load import Load
from lab_plays import REPO, URL, Running, play

from app.generation.engine import open_engine
from app.generation.manifest import Manifest
from app.wire import vectors_to_bytes
from index_builder.replay import Replay

# Seconds. On a machine with nothing else to do it is a third of this (docs/decisions/0046); here
# nine hosts, a load and whatever else runs share its cores.
AT_ONCE = 30.0
AWAY = ["gateway-1", "shard-c"]
LETTER = "A"
# Of this checkout's lab, whichever its name.
INVENTORY = sha256(str((REPO / "inventory/lab").resolve()).encode()).hexdigest()[:8]
COPY = REPO / f"var/withdrawn-lab-{INVENTORY}.jsonl"


class Story:
    """One document, questions that it is no answer to, and who answers with it."""

    def __init__(self, corpora: Any) -> None:
        answers = corpora.answers[LETTER]
        self.model = corpora.model
        self.generation = answers.generation
        self.question = corpora.questions[0]
        self.id = answers.auto[self.question].ids[0]
        replay, engine = Replay(GENERATIONS / self.generation), open_engine(self.model)
        self.vector = engine.encode([self.question])
        replay.withdraw(frozenset({self.id}))
        self.without: dict[str, Answer] = {}
        for question in corpora.questions:
            self.without[question] = answer_to(question, replay, engine)
        self.same: Right = {
            self.generation: {
                question: answer
                for question, answer in answers.auto.items()
                if answer == self.without[question]
            }
        }

    def by_user(self) -> tuple[bool, list[str]]:
        """Whether it is in an answer through the edge, and the ids."""
        body = {"queries": [self.question], "k": 5}
        answer = requests.post(f"{URL}/v1/search", json=body, timeout=10).json()
        ids = [one["id"] for one in answer["queries"][0]["results"]]
        return self.id in ids, ids

    def by_gateway(self, host: str) -> int | None:
        """How often a gateway's answer has it, asked on its host; None where none comes."""
        body = json.dumps({"queries": [self.question], "k": 50, "probe": "all"})
        url = "http://127.0.0.1:7000/v1/search"
        told = run_on(host, "curl", "-s", "--max-time", "5", "-d", body, url, check=False)
        if '"queries"' not in told:
            return None
        return told.count(json.dumps({"id": self.id})[1:-1].replace(": ", ":"))

    def by_shard(self, host: str, port: int) -> int:
        """How often a shard's answer has it, asked on its host past every gateway."""
        file = root(host) / "var/tmp/question"
        file.write_bytes(vectors_to_bytes(self.vector.astype(np.float32)))
        told = run_on(
            host,
            *("curl", "-s", "--max-time", "5", "--data-binary", "@/var/tmp/question"),
            *("-H", f"Askfleet-Model: {self.model.name}"),
            f"http://127.0.0.1:{port}/search?generation={self.generation}&k=100",
        )
        assert '"results"' in told, told
        return told.count(json.dumps({"id": self.id})[1:-1].replace(": ", ":"))

    def holders(self, *without: str) -> dict[str, int]:
        """Everybody who answers with it: "host port" -> how often."""
        found = {
            f"{host} 7000": self.by_gateway(host) or 0 for host in GATEWAYS if host not in without
        }
        for host in SHARDS:
            if host not in without:
                for port in HOSTS[host][1].values():
                    found[f"{host} {port}"] = self.by_shard(host, port)
        return {where: count for where, count in found.items() if count}


class Seen:
    """Asks again and again beside something else, and notes when the document was seen last."""

    def __init__(self, ask: Callable[[], bool | int | None]) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.last = 0.0
        self.answers = 0

    def __enter__(self) -> "Seen":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            with suppress(OSError, ValueError, LookupError, subprocess.SubprocessError):
                there = self._ask()
                self.answers += there is not None
                if there:
                    self.last = time.monotonic()


@pytest.fixture(scope="module")
def story(made_fleet, corpora) -> Iterator[Story]:
    made_fleet.serve(LETTER)
    COPY.unlink(missing_ok=True)
    yield Story(corpora)
    COPY.unlink(missing_ok=True)


def test_soon_nobody_answers_with_it(story, tell):
    """Two hosts are down meanwhile; then they come back, and nobody tells them."""
    assert len(story.same[story.generation]) > 10
    assert story.by_user()[0]
    holders = story.holders()
    assert set(holders) >= {f"{gateway} 7000" for gateway in GATEWAYS}
    assert any(where.startswith("shard") for where in holders), holders
    with Load(story.same, pause=0.3) as load, Seen(lambda: story.by_user()[0]) as seen:
        for host in AWAY:
            kill_host(host)
        time.sleep(3)
        begun = time.monotonic()
        with Running("withdraw.yml", "-e", f"ids={story.id}") as running:
            while (holders := story.holders(*AWAY)) and time.monotonic() < begun + AT_ONCE:
                time.sleep(0.5)
            done = running.done()
        # A play that is not sure says so.
        lost = "2 of 6 hosts do not have the list yet: gateway-1, shard-c"
        done.failed(lost, "status.yml names them")
        assert "no shard that was asked has" not in done.output
        with Seen(lambda: story.by_gateway("gateway-1")) as returned:
            revive()
            deadline = time.monotonic() + 60
            while returned.answers < 20 and time.monotonic() < deadline:
                time.sleep(0.2)
        late = story.holders()
    tell(
        f"{load}; gone {max(seen.last - begun, 0):.1f} s after the command, which took "
        f"{done.seconds:.1f} s; a gateway that came back answered {returned.answers} times without"
    )
    assert seen.answers > 20
    assert seen.last - begun < AT_ONCE
    assert holders == {}
    assert returned.answers >= 20
    assert returned.last == 0.0, "a gateway that was away has answered with it"
    assert late == {}
    assert story.by_user()[1] == story.without[story.question].ids
    load.check()


def test_status_names_who_has_not_got_the_list(story):
    """They know it, by asking; their disks do not, until somebody runs the play again."""
    told = play("status.yml").failed(
        *(f"{host}: it has not got the list of withdrawn documents" for host in AWAY)
    )
    assert f"{story.id}  since " in told.output
    lists = {body["withdrawn"]["digest"] for body in health().values() if "withdrawn" in body}
    assert len(lists) == 1
    assert lists != {""}
    before = snapshot("shard-c")
    play("withdraw.yml", "--check").succeeded()
    assert snapshot("shard-c") == before
    mended = play("withdraw.yml").succeeded()
    assert {host for host, counts in mended.recap.items() if counts["changed"]} == set(AWAY)
    play("withdraw.yml", "-e", f"ids={story.id}").changed_nothing()
    play("status.yml").succeeded()
    journal = play("status.yml", "-e", "history=true").succeeded().output
    assert f"withdraw {story.id}" in journal


@pytest.mark.usefixtures("story")
def test_what_is_no_id_is_refused_and_what_nobody_has_is_told():
    play("withdraw.yml", "-e", json.dumps({"ids": ["a\tb"]})).failed("512 printable characters")
    play("withdraw.yml", "-e", "undo=true").failed("say which documents")
    COPY.write_text("damaged")
    told = play("withdraw.yml", "-e", "ids=no-such-document").succeeded()
    assert f"{COPY.name} is damaged" in " ".join(told.output.split())
    assert "no shard that was asked has no-such-document" in " ".join(told.output.split())
    told = play("withdraw.yml", "-e", "ids=no-such-document,other", "-e", "undo=true").succeeded()
    assert "nothing to bring back: other" in " ".join(told.output.split())


def test_a_build_whose_corpus_has_it_leaves_it_out_and_says_so(story, made_fleet, tell):
    update = [
        *("-e", f"corpus={WORK / LETTER}.jsonl", "-e", f"model={story.model}"),
        *("-e", f"generation_dir={GENERATIONS}"),
    ]
    with Seen(lambda: story.by_user()[0]) as seen:
        done = play("update_index.yml", *update).succeeded()
        assert f"withdrawn: 1 left out of the corpus: {story.id}" in done.output
        made = {body["generations"]["current"] for w, body in health().items() if "gateway" in w}
        (new,) = made
        assert new != story.generation
        manifest = Manifest.load(GENERATIONS / new)
        assert manifest.withdrawn == (story.id,)
        assert manifest.documents == Manifest.load(GENERATIONS / story.generation).documents - 1
        back = made_fleet.rollback().succeeded()
    assert made_fleet.now == LETTER
    assert seen.last == 0.0, "the generation before, which has it, answers without it"
    assert seen.answers > 20
    tell(f"update {done.seconds:.1f} s, rollback {back.seconds:.1f} s")


def test_undo_brings_it_back(story, corpora, tell):
    begun = time.monotonic()
    done = play("withdraw.yml", "-e", f"ids={story.id}", "-e", "undo=true").succeeded()
    assert story.by_user()[0]
    tell(
        f"back {time.monotonic() - begun:.1f} s after the command, which took {done.seconds:.1f} s"
    )
    assert set(story.holders()) >= {f"{gateway} 7000" for gateway in GATEWAYS}
    with Load(corpora.by_id(LETTER), pause=0.1) as load:
        time.sleep(5)
    load.check()
    assert not list(Path(COPY.parent).glob(f"{COPY.name}.*"))
    play("status.yml").succeeded()
