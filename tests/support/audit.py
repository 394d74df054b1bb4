"""``make audit``: pip-audit over the locked requirements, with dated exceptions.

pip-audit calls packages that its advisory service does not know "skipped" and succeeds, so behind a
mirror of PyPI that has no advisories it would pass whatever is locked. Here that is told apart.
Exit status: 0 nothing found, or nobody to ask, which is said; 1 something is to be done.
"""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXCEPTIONS = ROOT / "audit-exceptions.toml"
OPTIONS = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")
PATIENCE = 300
# How pip-audit ends where the service cannot be reached, or answers with an error of its own.
NOBODY = re.compile(r"ConnectionError|Timeout|ProxyError|SSLError|ServiceError|Could not connect")


class NoServiceError(Exception):
    """Nobody can be asked for advisories."""


@dataclass(frozen=True)
class Exempt:
    """One entry of the exceptions file."""

    id: str
    package: str
    why: str
    until: date


def read_exceptions(path: Path) -> list[Exempt]:
    """The entries; raises SystemExit where one is not whole."""
    try:
        table = tomllib.loads(path.read_text())
        found = [Exempt(**entry) for entry in table.pop("exception", [])]
    except (tomllib.TOMLDecodeError, TypeError) as error:
        sys.exit(f"audit: {path.name}: {error}: an exception has id, package, why and until")
    for one in found:
        if type(one.until) is not date or not str(one.why).strip():
            sys.exit(
                f"audit: {path.name}: {one.id}: until is a day such as 2027-01-31, why says why"
            )
    if table:
        sys.exit(f"audit: {path.name}: {', '.join(table)}: only [[exception]] is known")
    return found


def advisories(requirements: Path, *more: str) -> dict[str, Any]:
    """What pip-audit says; raises NoServiceError, or SystemExit where it failed otherwise."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(requirements),
        *OPTIONS,
        *more,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise NoServiceError(f"no answer in {PATIENCE} s") from None
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        if NOBODY.search(done.stderr):
            raise NoServiceError(last[:200]) from None
        sys.exit(f"audit: pip-audit failed on {requirements.name}: {last}")
    if told["dependencies"] and all("skip_reason" in one for one in told["dependencies"]):
        raise NoServiceError(f"it knows none of {len(told['dependencies'])} packages")
    return told


def judge(told: dict[str, Any], exceptions: list[Exempt]) -> tuple[list[str], list[str]]:
    """Lines about what must be mended, and about what is only to be known."""
    findings, notes = [], []
    for one in told["dependencies"]:
        if "skip_reason" in one:
            notes.append(f"not audited: {one['skip_reason']}")
            continue
        for fault in one["vulns"]:
            names = {fault["id"], *fault["aliases"]}
            what = f"{one['name']} {one['version']}: {fault['id']}"
            for exempt in exceptions:
                if exempt.id in names and exempt.package.lower() == one["name"].lower():
                    notes.append(f"{what}: accepted until {exempt.until}: {exempt.why}")
                    break
            else:
                fixed = ", ".join(fault["fix_versions"]) or "no version yet"
                findings.append(f"{what}: fixed in {fixed}: {fault['description'][:100]}")
    return findings, notes


def main(arguments: list[str], exceptions: Path = EXCEPTIONS) -> int:
    """Audit each file of requirements; what begins with ``-`` and follows is for pip-audit."""
    at = next((n for n, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    files, options = arguments[:at], arguments[at:]
    accepted = read_exceptions(exceptions)
    today = datetime.now(UTC).date()
    findings = [
        f"{exceptions.name}: {one.id} of {one.package} was accepted until {one.until}"
        for one in accepted
        if one.until < today
    ]
    notes: list[str] = []
    for file in files:
        try:
            told = advisories(Path(file), *options)
        except NoServiceError as error:
            notes.append(f"NOT AUDITED: no advisory service in reach ({error})")
            break  # nor will it know the next
        for lines, more in zip((findings, notes), judge(told, accepted), strict=True):
            lines += [f"{Path(file).name}: {line}" for line in more]
    for line in (*notes, *findings):
        print(f"audit: {line}")  # noqa: T201  # a command prints
    if not notes and not findings:
        print(f"audit: no known vulnerability in {', '.join(files)}")  # noqa: T201  # likewise
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
