"""The board that processes share, and how one of them asks another."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.service.siblings import Board, Siblings, get


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board(2)
    yield made
    made.close()


def test_slots_are_taken_freed_and_taken_again(board: Board) -> None:
    assert [board.take(), board.take()] == [0, 1]
    assert not board.mark_ready(1)
    assert board.others(0) == [1]
    assert board.mark_ready(0), "now all are"
    board.free(0)
    assert (board.others(1), board.take()) == ([], 0)


def test_who_was_ready_and_says_nothing_is_silent(board: Board) -> None:
    board.take(), board.take()
    board.mark_ready(0)
    time.sleep(0.05)
    assert board.silent(0.02) == [0], "a process that loads is waited for"
    board.mark_alive(0)
    assert board.silent(0.02) == []


def test_its_directory_goes_and_one_process_needs_none(board: Board) -> None:
    assert board.directory is not None
    assert board.directory.stat().st_mode & 0o077 == 0, "for nobody else"
    board.close()
    assert not board.directory.exists()
    assert Board(1).directory is None


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", b"no"),
        (b"HTTP/1.1 500 Error\r\nContent-Length: 2\r\n\r\nno", None),
        (b"something else", None),
        (b"", None),
    ],
)
def test_only_a_health_page_is_an_answer(
    tmp_path: Path, answer: bytes, wanted: bytes | None
) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert get(path, "/health", 5, {}) == wanted
        thread.join()


def test_nobody_there_is_none(board: Board) -> None:
    board.take(), board.take()
    board.mark_ready(1)
    assert Siblings(board, 0).ask("/health", {}) == {1: None}
