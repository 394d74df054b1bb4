"""What the hosts use: memory and open files."""

from lab_hosts import HOSTS, run_on

# Prometheus keeps two hours in memory before it writes them down: it grows for so long.
MEMORY = """cat /proc/[0-9]*/status 2>/dev/null | awk '
/^Name:/ {own = $2 != "prometheus"} /^RssAnon/ && own {s += $2} END {print s}'"""
FILES = "ls -d /proc/[0-9]*/fd/* 2>/dev/null | wc -l"


def memory() -> dict[str, int]:
    """Anonymous memory of all processes but Prometheus, by host, in KiB."""
    return {host: int(run_on(host, "sh", "-c", MEMORY)) for host in HOSTS}


def open_files() -> dict[str, int]:
    """Open files of all processes, by host."""
    return {host: int(run_on(host, "sh", "-c", FILES)) for host in HOSTS}
