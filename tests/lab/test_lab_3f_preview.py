"""What an update would change is asked before users get it; the questions stay on no host."""

import json
import re
from pathlib import Path

from lab_corpora import GENERATIONS, WORK
from lab_end import expect_unchanged
from lab_plays import play
from lab_privacy import expect_kept_nowhere

QUESTIONS = 1000
WORD = "Xanthoptilon"  # of no document


def asked() -> Path:
    """Questions of both corpora, and one with the word."""
    lines = list(
        dict.fromkeys(
            json.loads(line)["text"]
            for letter in "AB"
            for line in (WORK / f"{letter}.jsonl").read_text(encoding="utf-8").splitlines()
        )
    )
    path = WORK / "asked.txt"
    step = len(lines) // QUESTIONS
    texts = [f"what is {WORD} and who has found it", *lines[::step]][:QUESTIONS]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_a_preview_under_load_changes_nothing(fleet, tell, tell_load):
    old, new = fleet.now, fleet.other()
    before, (generation,) = fleet.picture(), fleet.corpora.ids(new)
    settings = [f"generation={generation}", f"generation_dir={GENERATIONS}"]
    extra = [part for one in (*settings, f"questions={asked()}") for part in ("-e", one)]
    with fleet.load(old) as load:
        made = play("preview.yml", *extra).succeeded()
    tell_load(load)
    expect_unchanged(before)
    output = " ".join(made.output.split())
    assert "every host serves what it did" in output
    (page,) = set(re.findall(r"What changes for users: (\S+)", output))
    figures = json.loads(Path(page).with_suffix(".json").read_bytes())
    assert figures["compared"] == figures["questions"] == QUESTIONS
    assert 0.2 < figures["changed"] < 0.8  # the two share half of their documents
    latency = figures["latency"]["p99"]
    tell(f"{figures['changed']:.2f} changed, p99 of the preview {latency['after']:.0f} ms")
    expect_kept_nowhere(WORD)


def test_a_gate_that_fails_puts_everything_back(fleet, tell_load):
    old, new = fleet.now, fleet.other()
    before = fleet.picture()
    gate = ("askfleet_preview_max_changed=0.1", f"questions={asked()}")
    with fleet.load(old) as load:
        refused = fleet.update(new, *gate)
    tell_load(load)
    refused.failed("preview: the first answer changed for", "askfleet_preview_max_changed 10.00 %")
    expect_unchanged(before)
