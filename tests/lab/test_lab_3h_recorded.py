"""What users asked is told to a gateway's own host alone, reaches the controller, and no disk."""

import json
import stat

import pytest
import requests
from lab_hosts import GATEWAYS, HOSTS, address, run_on
from lab_plays import REPO, URL, play
from lab_privacy import expect_kept_nowhere

WORD = "Dimorphodontid"
ASKED = 20
COMMAND = ["/opt/askfleet/current/bin/askfleet", "recorded", "--url=http://127.0.0.1:7000"]


pytestmark = pytest.mark.long  # two rollouts


@pytest.fixture(scope="module", autouse=True)
def _recording(made_fleet):
    """Gateways record for these tests; then nothing, as the inventory says."""
    assert made_fleet.now
    try:
        play("site.yml", "-e", "askfleet_record_questions=50").succeeded()
        for number in range(ASKED):
            question = f"{WORD} number {number}"
            requests.get(f"{URL}/v1/search", params={"q": question}, timeout=10).raise_for_status()
            body = {"instances": [f"{question} of a process"]}
            requests.post(f"{URL}/process", json=body, timeout=10).raise_for_status()
        yield
    finally:
        play("site.yml").succeeded()
    for host in GATEWAYS:
        assert "records no questions" in run_on(host, "sh", "-c", f"{' '.join(COMMAND)} 2>&1; true")


def test_the_gateways_tell_their_own_hosts():
    told = [json.loads(run_on(host, *COMMAND)) for host in GATEWAYS]
    samples = [process["asked"] for one in told for process in one["processes"]]
    assert sum(sample["seen"] for sample in samples) == 2 * ASKED
    texts = {text for sample in samples for text in sample["texts"]}
    assert texts == {
        f"{WORD} number {n}{end}" for n in range(ASKED) for end in ("", " of a process")
    }


def test_nobody_else_is_told():
    assert requests.get(f"{URL}/recorded", timeout=10).status_code == 404
    for host in HOSTS:
        for gateway in GATEWAYS:
            url = f"http://{address(gateway)}:7000/recorded"
            told = run_on(host, "curl", "--silent", "--max-time", "3", url, check=False)
            assert WORD not in told, f"{host} -> {gateway}"


def test_the_play_tells_and_leaves_nothing_on_hosts(tmp_path):
    groups = tmp_path / "groups.json"
    done = play("unanswered.yml", "-e", f"unanswered_file={groups}").succeeded()
    assert f"Of {2 * ASKED} questions since the gateways were" in " ".join(done.output.split())
    assert stat.S_IMODE(groups.stat().st_mode) == 0o600
    assert json.loads(groups.read_bytes()) == []  # without a bound whatever is nearest matches
    for path in (REPO / "var/questions").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert WORD not in done.output
    expect_kept_nowhere(WORD)
