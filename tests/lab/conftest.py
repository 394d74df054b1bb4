"""One lab for the whole story; it is taken down whatever happens."""

import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from lab_corpora import Corpora, make_corpora
from lab_fleet import Fleet
from lab_hosts import STATE, links
from lab_load import Load
from lab_plays import Play, play

_failed_stage = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-lab", action="store_true", help="use the test lab that is there, and leave it there"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stage: what comes after needs it; not tried if it failed")
    config.addinivalue_line(
        "markers", "long: takes minutes; in `make lab-long`, not in `make test`"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A fleet that could not be made has no more to say."""
    stage = item.config.stash.get(_failed_stage, None)
    if stage is not None:
        pytest.fail(f"not tried, because {stage} failed", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    is_stage = item.get_closest_marker("stage") is not None or call.when == "setup"
    if report.failed and is_stage and _failed_stage not in item.config.stash:
        item.config.stash[_failed_stage] = item.name
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """One line a case: its seconds and what it measured."""
    if report.when != "call" or not report.passed or "lab" not in report.nodeid:
        return None
    told = "".join(f"; {value}" for key, value in report.user_properties if key == "told")
    return "passed", ".", f"PASSED {report.duration:.1f} s{told}"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Add something measured to the case's line."""
    return lambda told: record_property("told", str(told))


def _take_down() -> Play:
    return play("playbooks/lab_down.yml")


@pytest.fixture(scope="session", autouse=True)
def lab(pytestconfig: pytest.Config) -> Iterator[None]:
    """No lab before (one that was killed may have left its hosts), and none after."""
    if pytestconfig.getoption("--keep-lab", default=False):
        yield
        return

    def interrupt(*_: int | FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        _take_down().succeeded()
        yield
    finally:
        _take_down().succeeded()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def corpora() -> Corpora:
    """Generations A, B and C."""
    return make_corpora()


@pytest.fixture
def fleet(made_fleet: Fleet) -> Fleet:
    """It serves A or B, whatever the case before has left."""
    links_now = {now[0] for where, now in links().items() if "encoder" not in where}
    if not links_now <= set(made_fleet.corpora.ids("A")) and not links_now <= set(
        made_fleet.corpora.ids("B")
    ):
        made_fleet.update("B").succeeded()
    return made_fleet


@pytest.fixture(scope="session")
def made_fleet(corpora: Corpora) -> Fleet:
    """Made from bare hosts when these tests run alone."""
    fleet = Fleet(corpora)
    made = STATE.exists() and all(now[0] for now in links().values())
    if not made or not fleet.now:
        play("playbooks/lab.yml").succeeded()
        play("site.yml").succeeded()
        fleet.update("A").succeeded()
    return fleet


@pytest.fixture
def tell_load(tell: Callable[[object], None]) -> Callable[[Load], None]:
    """Add what a load met to the case's line, and assert that it was answered well."""

    def tell_and_check(load: Load) -> None:
        tell(f"{load}, {load.seconds:.1f} s to the end state")
        load.check()

    return tell_and_check
