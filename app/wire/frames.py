"""Frames: many questions under way on one connection, each with a number (docs/frames.md).

A frame is the length of its payload and a number, both uint32 and little-endian, then the payload:
one message as MessagePack. An answer has the number of its question. Answers come in any order.
"""

from __future__ import annotations

import struct
from typing import TypeVar

import msgspec

T = TypeVar("T")

# A connection begins as HTTP: GET this path, with this value of Upgrade, which names the format.
PATH = "/frames"
PROTOCOL = "askfleet-frames/1"
# Bytes of a payload. Questions are short; a thousand results for each of 16 questions are not.
MAX_QUESTION = 1 << 20
MAX_ANSWER = 64 << 20

_HEAD = struct.Struct("<II")


class FrameError(Exception):
    """What came is no frame, or none of a kind that is expected here."""


class Encode(msgspec.Struct, frozen=True, array_like=True, tag="encode"):
    """Texts to encode as questions by exactly this model, within so many milliseconds."""

    model: str
    milliseconds: int
    request_id: str
    texts: list[str]


class Search(msgspec.Struct, frozen=True, array_like=True, tag="search"):
    """Vectors (n, dim), float32 as in ``app.wire``, to search in exactly this generation.

    ``model`` made them; ``k`` hits are wanted of each. ``terms`` are the words of each question
    (``app.generation.trigrams``); none where only scores count. ``filter`` is what documents must
    pass (``app.generation.filters``); "" for all.
    """

    generation: str
    model: str
    k: int
    request_id: str
    vectors: bytes
    terms: tuple[bytes, ...] = ()
    filter: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """The body that HTTP would carry, and how many questions the service works on at one time."""

    slots: int
    body: bytes


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """An error, by the status and code that HTTP would carry."""

    status: int
    code: str
    detail: str


Question = Encode | Search
Reply = Answer | Refusal

_ENCODER = msgspec.msgpack.Encoder()
_QUESTION: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_REPLY: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def frame(number: int, message: Question | Reply) -> bytes:
    """One frame."""
    payload = _ENCODER.encode(message)
    return _HEAD.pack(len(payload), number) + payload


def question(payload: bytes) -> Question:
    """The question in a payload; raises FrameError."""
    return _decoded(_QUESTION, payload)


def reply(payload: bytes) -> Reply:
    """The reply in a payload; raises FrameError."""
    return _decoded(_REPLY, payload)


def _decoded(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"unreadable payload: {error}") from None


class Splitter:
    """Cuts a stream into frames.

    Args:
        limit: bytes that a payload may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._wanted = _HEAD.size

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Number and payload of each frame that is whole now.

        Raises: FrameError where a length is over the limit.
        """
        self._rest += data
        if len(self._rest) < self._wanted:
            return []
        found, at, size = [], 0, len(self._rest)
        self._wanted = _HEAD.size
        while size - at >= _HEAD.size:
            length, number = _HEAD.unpack_from(self._rest, at)
            if length > self._limit:
                raise FrameError(f"a payload of {length:,} bytes, at most {self._limit:,}")
            begin = at + _HEAD.size
            if size - begin < length:
                self._wanted = _HEAD.size + length
                break
            at = begin + length
            found.append((number, bytes(self._rest[begin:at])))
        del self._rest[:at]
        return found
