"""What the stack does when a service is drained, killed or stopped."""

import json
import os
import signal
import threading
import time
from pathlib import Path

from stack_processes import Stack, ask

SEARCH = "/v1/search?cache=0"
BODY = json.dumps({"queries": ["how do vaccines work"], "k": 5, "probe": "all"}).encode()


def test_again_changes_nothing(stack: Stack):
    assert stack.succeed() == 0


def test_a_drained_gateway_refuses_but_answers_canaries(stack: Stack):
    flag = stack.drain_file("gateway")
    flag.touch()
    try:
        url = stack.service("gateway")
        refused = ask(SEARCH, BODY, url=url)
        assert (refused.status, refused.json["code"]) == (502, "draining")
        assert refused.headers["retry-after"]
        assert ask("/readyz", url=url).status == 503
        assert ask("/livez", url=url).status == 200
        assert ask(SEARCH, BODY, url=url, headers={"Askfleet-Canary": "1"}).status == 200
    finally:
        flag.unlink()
    assert ask(SEARCH, BODY).status == 200


def until(ask_again, good):
    """The first good answer; nginx leaves alone who failed for 2 s."""
    ends = time.monotonic() + 20
    while not good(answer := ask_again()):
        assert time.monotonic() < ends, answer
        time.sleep(0.2)
    return answer


def test_a_dead_shard_makes_the_answer_partial_and_says_which(stack: Stack):
    whole = ask(SEARCH, BODY).json
    assert whole["partial"] is False
    stack.kill("shard-2")
    partial = ask(SEARCH, BODY)
    assert partial.status == 200
    assert partial.json["partial"] is True
    assert partial.json["queries"][0]["shards_missing"] == [2]
    assert partial.json["queries"][0]["results"]
    assert stack.succeed() > 0
    again = until(lambda: ask(SEARCH, BODY), lambda answer: not answer.json["partial"])
    assert again.json["queries"] == whole["queries"]


def test_questions_that_need_lost_shards_alone_are_a_503_and_in_no_log(stack: Stack):
    """Whatever has failed before them; the gateway is never taken for dead."""
    for shard in range(4):
        stack.kill(f"shard-{shard}")
    refused = [ask(f"/v1/search?q=secret+number+{n}&cache=0") for n in range(30)]
    assert {(one.status, one.json["code"]) for one in refused} == {(503, "shards_unavailable")}
    assert all(int(one.headers["retry-after"]) > 0 for one in refused)
    stack.kill("gateway")
    assert ask("/v1/search?q=secret").status == 502
    stack.succeed()
    until(lambda: ask(SEARCH, BODY), lambda answer: answer.status == 200)
    logs = [path for path in (stack.directory / "log").iterdir() if path.is_file()]
    assert {"access.log", "gateway.log"} <= {path.name for path in logs}
    assert [path.name for path in logs if "secret" in path.read_text()] == []


def test_a_dead_encoder_is_a_503_with_retry_after(stack: Stack):
    stack.kill("encoder")
    refused = ask(SEARCH, BODY)
    assert (refused.status, refused.json["code"]) == (503, "encoder_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    stack.succeed()
    until(lambda: ask(SEARCH, BODY), lambda answer: answer.status == 200)


def test_a_spent_deadline_is_one_504_and_nobody_else_is_asked(stack: Stack):
    """The encoder takes the request and says nothing: neither pool nor edge asks again."""
    body = json.dumps({"queries": [f"question {n} about dogs" for n in range(60)]}).encode()
    pid = stack.pid("encoder")
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        late = ask(SEARCH, body, headers={"X-Request-ID": "late-1"})
    finally:
        for one in pids:
            os.kill(one, signal.SIGCONT)
    assert (late.status, late.json["code"]) == (504, "deadline")
    assert int(late.headers["retry-after"]) >= 1
    assert 4.5 < time.monotonic() - begun < 8

    def tried() -> dict[str, int]:
        lines = [
            json.loads(line)
            for path in stack.directory.rglob("access.log")
            for line in path.read_text().splitlines()
            if "late-1" in line
        ]
        return {line["server"]: line["upstream"].count(":") for line in lines}

    # nginx of the pool writes its line when it has seen that the gateway waits no more.
    until(tried, lambda found: found == {"edge": 1, "encoder": 1})
    until(lambda: ask(SEARCH, body), lambda answer: answer.status == 200)


def test_sigterm_finishes_what_is_in_flight(stack: Stack):
    """Questions that are under way when the gateway is told to stop are answered."""
    url, statuses = stack.service("gateway"), []
    many = json.dumps({"queries": [f"question {n} about dogs" for n in range(64)]}).encode()
    threads = [
        threading.Thread(target=lambda: statuses.append(ask(SEARCH, many, url=url).status))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    pid = stack.pid("gateway")
    os.kill(pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert statuses == [200, 200, 200]
    ends = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < ends, "the gateway does not stop"
        time.sleep(0.05)
    stack.succeed()
