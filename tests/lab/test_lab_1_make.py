"""From nothing to hosts that are ready for an index."""

from collections import Counter

import pytest
from lab_hosts import HOSTS, links, run_on, snapshot, unit_properties
from lab_plays import RELEASES, play

pytestmark = pytest.mark.stage


def test_lab_makes_nine_hosts(tell):
    made = play("playbooks/lab.yml").succeeded()
    assert set(made.recap) == {*HOSTS, "localhost"}
    for host in HOSTS:
        assert run_on(host, "hostname").strip() == host
    tell(f"{len(HOSTS)} hosts")


def test_hosts_are_of_both_releases(tell):
    names = Counter(
        run_on(host, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME").strip()
        for host in HOSTS
    )
    assert set(names) == set(RELEASES)
    tell(dict(names))


def test_lab_again_changes_nothing():
    play("playbooks/lab.yml").changed_nothing()


def test_site_in_check_mode_on_bare_hosts_changes_nothing_on_them():
    before = {host: snapshot(host) for host in HOSTS}
    play("site.yml", "--check", "--diff").succeeded()
    for host in HOSTS:
        after = snapshot(host)
        touched = {path for path in after if after[path] != before[host].get(path)}
        assert not touched, f"{host}: {sorted(touched)[:20]}"
        assert not before[host].keys() - after.keys()


def test_site_makes_the_fleet():
    play("site.yml").succeeded()


def test_site_again_changes_nothing():
    play("site.yml").changed_nothing()


def test_a_configuration_that_nginx_refuses_stops_the_rollout():
    """Its host is in no later play, and the fleet is not judged without it."""
    extra = ["-e", "askfleet_rate_per_address=999", "-e", "nginx_program=/bin/false"]
    told = "edge-1: it failed before this", "gateway-2: it failed before this"
    play("site.yml", *extra).failed("No service has been touched", *told)


def test_site_in_check_mode_then_sees_nothing_to_change():
    play("site.yml", "--check", "--diff").changed_nothing()


@pytest.mark.parametrize("host", HOSTS)
def test_units_are_enabled_and_wait_for_an_index(host):
    _, units = HOSTS[host]
    wanted = {f"{unit}.{suffix}" for unit in units for suffix in ("socket", "service")}
    there = run_on(host, "systemctl", "list-units", "--all", "--plain", "--no-legend", "askfleet*")
    for unit in wanted:
        state = unit_properties(host, unit, "UnitFileState", "ActiveState", "Result")
        assert state["UnitFileState"] == "enabled", (unit, state)
        assert state["ActiveState"] == "inactive", (unit, state)
        assert state["Result"] == "success", (unit, state)
    running = {line.split()[0] for line in there.splitlines()}
    assert {unit for unit in running if not unit.endswith(".slice")} <= wanted
    assert "failed" not in there
    nginx = run_on(host, "systemctl", "is-active", "nginx.service", check=False).strip()
    assert (nginx == "active") == (host.startswith(("edge", "gateway")))


def test_no_link_is_there_yet():
    assert set(links().values()) == {("", "")}
