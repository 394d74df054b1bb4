"""Changing the index under a load that knows the right answers."""

import threading
import time
from pathlib import Path

import pytest
from lab_corpora import Corpora, update
from lab_hosts import links, root, serving
from lab_load import Load
from lab_plays import play

ROLLBACK_SECONDS = 120  # generous: this machine may be busy; the figure is printed


def test_update_under_load(corpora, tell):
    with Load(corpora.by_id("A", "B")) as load:
        done = update(corpora, "B")
    tell(f"update {done.seconds:.1f} s; {load}")
    done.succeeded()
    load.check()
    assert set(load.served) == set(corpora.ids("A", "B"))
    _expect(corpora, everywhere=("B", "A"))


def test_update_again_changes_nothing(corpora):
    update(corpora, "B").changed_nothing()


def test_corrupt_file_puts_every_link_back(corpora, tell):
    """The file rots on the last shard host, after it was staged and verified there."""
    before = links()
    file = root("shard-d") / f"srv/askfleet/generations/{corpora.ids('C')[0]}/shard-003/index.faiss"
    rot = Rot(file)
    with rot, Load(corpora.by_id("B")) as load:
        failed = update(corpora, "C")
    tell(f"update {failed.seconds:.1f} s; {load}")
    assert rot.done, f"{file} never appeared"
    assert failed.status != 0
    message = failed.output.rpartition("TASK [activation : Fail with what went wrong]")[2]
    for named in ("shard-d: activating shard", "Verify the part", "shard-003/index.faiss"):
        assert named in message, failed.output[-6000:]
    load.check()
    assert set(load.served) == set(corpora.ids("B"))
    assert links() == before
    _expect(corpora, everywhere=("B", "A"))


def test_the_next_run_mends_it(corpora, tell):
    with Load(corpora.by_id("B", "C")) as load:
        done = update(corpora, "C")
    tell(f"update {done.seconds:.1f} s; {load}")
    done.succeeded()
    load.check()
    assert any("Put the verified part" in change and "shard-d" in change for change in done.changes)
    _expect(corpora, everywhere=("C", "B"))


def test_the_run_after_that_changes_nothing(corpora):
    update(corpora, "C").changed_nothing()


@pytest.mark.parametrize(("to", "back"), [("B", "C"), ("C", "B")])
def test_rollback_goes_back_and_forward(corpora, tell, to, back):
    with Load(corpora.by_id("B", "C")) as load:
        done = play("rollback.yml")
    tell(f"rollback {done.seconds:.1f} s; {load}")
    done.succeeded()
    load.check()
    assert done.seconds < ROLLBACK_SECONDS
    _expect(corpora, everywhere=("C", "B"), gateways=(to, back))
    with Load(corpora.by_id(to)) as load:
        time.sleep(1)
    load.check()


class Rot(threading.Thread):
    """Flips one byte of a file as soon as it is there; its size stays."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._over = threading.Event()
        self.done = False

    def __enter__(self) -> "Rot":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.01):
            if self._file.exists():
                with self._file.open("r+b") as file:
                    file.seek(self._file.stat().st_size // 2)
                    byte = file.read(1)[0]
                    file.seek(-1, 1)
                    file.write(bytes([byte ^ 1]))
                self.done = True
                return


def _expect(
    corpora: Corpora, everywhere: tuple[str, str], gateways: tuple[str, str] | None = None
) -> None:
    """Current and previous of each service, by its links and by its own word."""
    told, linked = serving(), links()
    for where in told.keys() | linked.keys():
        wanted = gateways if gateways and "gateway" in where else everywhere
        for found in (now[where] for now in (told, linked) if where in now):
            if "encoder" in where:
                assert found[0] == corpora.model.name, where
                assert not found[1], where
            else:
                assert found == corpora.ids(*wanted), where
