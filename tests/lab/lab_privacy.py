"""Whether a text that was asked is kept anywhere on the fleet."""

from lab_hosts import HOSTS, run_on

PLACES = "/etc /home /opt/askfleet /root /run /srv /tmp /var"


def expect_kept_nowhere(word: str) -> None:
    """No file, binary or not, and no entry of a journal of any host has a word."""
    look = f"grep -rls --exclude-dir=proc {word} {PLACES}; journalctl --no-pager | grep -c {word}"
    for host in HOSTS:
        assert run_on(host, "sh", "-c", f"{look} || true").split() == ["0"], host
