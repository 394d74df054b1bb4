"""Another CA of the fleet. A file of its own, for its plays take as long as the others together."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from internal_tls_plays import PEM, Make, changed, days_left

pytestmark = pytest.mark.slow  # a play each


def test_another_ca_is_trusted_beside_the_one_before(make: Make, tmp_path: Path) -> None:
    host = tmp_path / "host"
    make().check_returncode()
    first = PEM.findall((host / "ca.pem").read_text())
    make(internal_tls_new_ca=True).check_returncode()
    both = PEM.findall((host / "ca.pem").read_text())
    assert len(both) == 2
    assert both[1:] == first
    days_left(host)
    # A host that was not reached has the certificate of before, and trusts the first CA alone.
    assert ssl.create_default_context(cafile=host / "ca.pem").cert_store_stats()["x509_ca"] == 2
    assert changed(make()) == 0
    make(internal_tls_new_ca=True).check_returncode()
    third = PEM.findall((host / "ca.pem").read_text())
    assert third[1:] == both[:1]  # the first is forgotten
