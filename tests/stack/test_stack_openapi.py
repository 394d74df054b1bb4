"""schemathesis asks the running stack whatever the OpenAPI document allows, and what it forbids."""

import json
import os
import subprocess
from pathlib import Path

from stack_processes import BIN, REPO, URL, ask

HERE = Path(__file__).parent
# The same requests in every run: about 1,200 in a dozen seconds.
SAME = [
    "--generation-deterministic",
    "--max-examples",
    "150",
    "--phases",
    "examples,coverage,fuzzing",
]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
    "allow_header_conformance",
)


def test_the_document_is_served_through_the_edge():
    answer = ask("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads((REPO / "app/gateway/openapi.json").read_text())


def test_every_answer_is_as_the_document_says(tmp_path: Path):
    done = subprocess.run(
        [f"{BIN}/schemathesis", "run", f"{URL}/openapi.json", *SAME, "--checks", ",".join(CHECKS),
         "--continue-on-failure", "--no-color", "--warnings", "off"],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE)},
        cwd=tmp_path,  # where it would leave its files
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Operations:       7 selected / 7 total" in done.stdout
