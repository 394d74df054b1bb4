"""Settings of HTTPS and API keys that cannot work are named, and no hash with them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_sources import load_filter

edge = load_filter("edge")
GROUPS = {"edge": ["edge-1"], "gateways": ["gateway-1"]}
GOOD = {"name": "a", "sha256": "0" * 64}
FILES = {"askfleet_tls": "files", "askfleet_tls_certificate": "c.pem", "askfleet_tls_key": "k.pem"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, []),
        (FILES, []),
        ({"askfleet_tls": "self-signed", "askfleet_api_keys": [GOOD]}, []),
        ({"askfleet_tls": False}, ["askfleet_tls", "False", "none, files"]),
        ({"askfleet_tls": "files"}, ["askfleet_tls_certificate", "controller"]),
        ({**FILES, "askfleet_tls": "host", "askfleet_tls_key": ""}, ["askfleet_tls_key", "edge"]),
        ({"askfleet_api_keys": [{"sha256": "0" * 64}]}, ["[0]", "name"]),
        ({"askfleet_api_keys": [GOOD, {**GOOD, "sha256": "7"}]}, ["[1]", "(a)", "sha256sum"]),
        ({"askfleet_api_keys": [GOOD, GOOD]}, ["a: named twice"]),
        ({"askfleet_cors_origins": ["*"]}, []),
        ({"askfleet_cors_origins": ["https://a.example", "http://[::1]:3000", "app://x"]}, []),
        ({"askfleet_cors_origins": ["https://a.example", "*"]}, ["[1]", "leave out"]),
        ({"askfleet_cors_origins": ["https://a.example/"]}, ["[0]", "https://a.example/", "slash"]),
        ({"askfleet_cors_origins": ["a.example"]}, ["[0]", "a.example", "scheme"]),
        ({"askfleet_cors_origins": ["https://A.example"]}, ["[0]", "is not an origin"]),
        ({"askfleet_cors_origins": ['https://a";return 200;']}, ["[0]", "is not an origin"]),
        ({"askfleet_cors_origins": ["null"]}, ["[0]", "null"]),
        ({"askfleet_cors_origins": ["https://a.example:443"]}, ["[0]", "without :443"]),
    ],
)
def test_a_mistake_names_the_variable(variables: dict[str, Any], words: list[str]) -> None:
    errors = edge.askfleet_edge_errors(GROUPS, {"edge-1": variables, "gateway-1": variables})
    assert bool(errors) == bool(words), errors
    assert all(word in errors[0] for word in words), errors
    assert "0" * 64 not in str(errors)


def test_one_list_of_keys_for_all() -> None:
    hosts = {"edge-1": {}, "gateway-1": {"askfleet_api_keys": [GOOD]}}
    assert "differs" in edge.askfleet_edge_errors(GROUPS, hosts)[0]
