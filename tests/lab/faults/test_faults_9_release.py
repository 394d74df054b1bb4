"""Another version of the application, under load: forward, and back when it does not start."""

import pytest
from fault_releases import roll_out, version
from lab_end import expect_unchanged
from lab_hosts import ENCODERS, HOSTS, SHARDS, health, root
from lab_plays import play


def releases() -> dict[str, str]:
    """ "host unit" -> the release that the service says it runs."""
    return {where: body["release"] for where, body in health().items()}


def linked() -> set[str]:
    """The releases that the hosts' links name."""
    links = [root(host) / "opt/askfleet/current" for host, (_, units) in HOSTS.items() if units]
    return {link.readlink().name for link in links}


@pytest.mark.long
def test_new_release(fleet, tell, tell_load):
    with fleet.load(fleet.now) as load:
        done = roll_out(version("7"))
    tell(f"site.yml {done.seconds:.1f} s")
    tell_load(load)
    done.succeeded()
    (release,) = linked()
    assert release.startswith("7."), release
    assert set(releases().values()) == {release}


@pytest.mark.long
def test_broken_release_goes_back(fleet, tell, tell_load):
    """Encoders and shards have it when the first gateway does not start."""
    before, ran, link = fleet.picture(), releases(), linked()
    with fleet.load(fleet.now) as load:
        failed = roll_out(version("8", broken=True))
    tell(f"site.yml {failed.seconds:.1f} s")
    tell_load(load)
    failed.failed("gateway-1: rolling out 8.", "this release is broken")
    went_back = [change for change in failed.changes if "Go back to the release" in change]
    assert {change.rpartition(" ")[2] for change in went_back} == {*ENCODERS, *SHARDS}
    assert releases() == ran
    assert linked() == link
    expect_unchanged(before)


@pytest.mark.long
def test_back_to_the_repository(fleet, tell, tell_load):
    """An older version is a release like any other."""
    with fleet.load(fleet.now) as load:
        done = play("site.yml")
    tell(f"site.yml {done.seconds:.1f} s")
    tell_load(load)
    done.succeeded()
    (release,) = linked()
    assert not release.startswith("7."), release
    assert set(releases().values()) == {release}
