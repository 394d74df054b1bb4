"""The fleet page: what differs is red, a change is one row, and nothing from outside is markup."""

from pathlib import Path

import pytest
from report_page import ReportPage
from sample_pages import ENTRY, FOUND, HOSTILE, ID, fleet_page

from index_builder.cli import main
from index_builder.fleet_page.found import Entry, changes


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    own = tmp_path / "fleet"
    own.mkdir()
    return own


def entries(*told: dict[str, object]) -> list[Entry]:
    return [Entry(**{**ENTRY, **one}) for one in told]  # type: ignore[arg-type]  # a test's own


def test_it_shows_what_differs_and_is_whole(directory: Path) -> None:
    text = fleet_page(directory).read_text(encoding="utf-8")
    page = ReportPage(text)
    assert [fault for fault in page.faults if "leads to" not in fault] == []
    assert "ServiceDown" in page.sections["alerts"].partition("DiskFull")[0]  # it fires
    services = page.sections["services"]
    assert "73.5 MB" in services
    assert "8.2" in services
    assert "it is drained" in services
    assert text.count("<img") == 0
    assert "\u202e" not in text


def test_without_what_watches_it_says_so(directory: Path) -> None:
    text = fleet_page(directory, prometheus=None, faults=[], rows=FOUND["rows"][:1]).read_text()
    assert "Not known" in text
    assert "Nothing among the services" in text


def test_a_run_is_one_change_and_its_undoing_another(tmp_path: Path) -> None:
    back = f"put back, for update to {ID} failed"
    journal = entries(
        {"host": "a", "time": "T1", "what": f"update to {ID}", "result": "ok"},
        {"host": "b", "time": "T2", "what": f"update to {ID}", "result": "it is silent"},
        {"host": "a", "time": "T3", "what": back, "result": "ok"},
    )
    newest, first = changes(journal, tmp_path, tmp_path / "fleet")
    assert (newest.what, newest.hosts, newest.failed) == (back, 1, [])
    assert (first.time, first.hosts, first.failed) == ("T1", 2, ["b: it is silent"])


def test_a_change_leads_to_its_reports(tmp_path: Path, directory: Path) -> None:
    report = tmp_path / f"generations/{ID}/report.html"
    older, newer = (tmp_path / f"previews/2026112{n}T000000Z-{ID}/preview.html" for n in (6, 7))
    for file in (report, older, newer):
        file.parent.mkdir(parents=True)
        file.touch()
    journal = entries({"host": "a", "time": "T1", "what": f"update to {ID}", "result": "ok"})
    (change,) = changes(journal, tmp_path, directory)
    assert {name: (directory / link).resolve() for name, link in change.links.items()} == {
        "build": report,
        "preview": newer,
    }


def test_what_is_no_finding_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text('{"rows": 1}')
    command = ["fleet-page", str(tmp_path / "x.json"), f"--out={tmp_path}/x", f"--kept={tmp_path}"]
    assert main(command) == 1
    assert "not what fleet_page.yml writes" in capsys.readouterr().err
    assert HOSTILE not in (tmp_path / "x.json").read_text()
