"""Frames: what is cut, decoded and refused, whatever comes in whatever pieces."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import frames
from app.wire.frames import Answer, Encode, FrameError, Refusal, Search, Splitter

MESSAGES = [
    Encode("m", 250, "r-1", ["a", "é", ""]),
    Search("g", "m", 10, "r-1,r-2", b"\x00\xff"),
    Answer(2, b"body"),
    Refusal(503, "draining", "shard-0 is being drained"),
]


def decoded(payload: bytes) -> object:
    try:
        return frames.question(payload)
    except FrameError:
        return frames.reply(payload)


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.lists(st.integers(1, 60), min_size=1))
def test_pieces_of_any_size_give_the_same_frames(
    messages: list[frames.Question | frames.Reply], sizes: list[int]
) -> None:
    stream = b"".join(frames.frame(number, one) for number, one in enumerate(messages, 4294967290))
    splitter, found, at, turn = Splitter(1000), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += splitter.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert [number for number, _ in found] == list(range(4294967290, 4294967290 + len(messages)))
    assert [decoded(payload) for _, payload in found] == messages


@given(st.binary(max_size=200))
def test_what_is_no_frame_is_refused_and_never_read_beyond_the_limit(data: bytes) -> None:
    splitter = Splitter(100)
    try:
        for _, payload in splitter.feed(data):
            assert len(payload) <= 100
            decoded(payload)
    except FrameError:
        return


def test_a_length_over_the_limit_is_refused_before_its_payload_comes() -> None:
    with pytest.raises(FrameError, match="101 bytes, at most 100"):
        Splitter(100).feed(struct.pack("<II", 101, 1))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"\x90", b"\x93\xa6encode\x01\x02", b"\x92\xa4nope\x01", b"\x91" * 5000],
)
def test_a_payload_that_is_no_question_is_named(payload: bytes) -> None:
    with pytest.raises(FrameError, match="unreadable payload"):
        frames.question(payload)


def test_a_reply_is_no_question() -> None:
    _, payload = Splitter(100).feed(frames.frame(1, Answer(1, b"")))[0]
    with pytest.raises(FrameError):
        frames.question(payload)
