"""Configuration: read once from the environment, at the edge, into frozen types.

An unknown ``ASKFLEET_*`` variable is an error, so a typing mistake never passes for a default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from app.errors import ConfigError

PREFIX = "ASKFLEET_"
MOST_PROCESSES = 64
COMMON = (
    "HOST",
    "UNIT",
    "LINKS",
    "DRAIN_FILE",
    "RELEASE",
    "THREADS",
    "PROCESSES",
    "GRACEFUL_SECONDS",
    "BIND",
    "TLS",
    "TLS_DIR",
)
TLS_MODES = ("allow", "prefer", "require")


class _Reader:
    """Typed access to the variables of one service."""

    def __init__(self, environ: Mapping[str, str], known: tuple[str, ...]) -> None:
        self._environ = environ
        names = [PREFIX + name for name in known]
        for name in environ:
            if name.startswith(PREFIX) and name not in names:
                import difflib  # only here: this module comes before "starting" can be said

                near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
                hint = (
                    f"; did you mean {PREFIX}{near[0]}?" if near else f"; known: {', '.join(names)}"
                )
                raise ConfigError(f"unknown environment variable {name}{hint}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(PREFIX + name, default)
        if value is None or value == "":
            raise ConfigError(f"{PREFIX}{name} is not set and has no default")
        return value

    def integer(self, name: str, default: int | None, low: int, high: int) -> int:
        raw = self.text(name, None if default is None else str(default))
        try:
            value = int(raw)
        except ValueError:
            raise ConfigError(f"{PREFIX}{name}={raw!r} is not a whole number") from None
        if not low <= value <= high:
            raise ConfigError(f"{PREFIX}{name}={value} is outside {low}..{high}")
        return value

    def seconds(self, name: str, default: float, low: float, high: float) -> float:
        return self.number(name, default, low, high, " of seconds")

    def number(self, name: str, default: float, low: float, high: float, unit: str = "") -> float:
        raw = self.text(name, str(default))
        try:
            value = float(raw)
        except ValueError:
            raise ConfigError(f"{PREFIX}{name}={raw!r} is not a number{unit}") from None
        if not low <= value <= high:
            raise ConfigError(
                f"{PREFIX}{name}={raw} is outside {low}..{high}{unit.removeprefix(' of')}"
            )
        return value


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How a service encrypts what goes between hosts.

    ``mode`` is ``allow``: it accepts TLS and plain connections, and opens plain ones; ``prefer``:
    it accepts both, and opens TLS; ``require``: TLS alone, but for callers on its own host.
    ``directory`` has the host's certificate and key, and the fleet's CA.
    """

    mode: str
    directory: Path

    @classmethod
    def read(cls, reader: _Reader) -> TlsConfig | None:
        """The settings; None where nothing is encrypted."""
        mode = reader.text("TLS", "none")
        if mode == "none":
            return None
        if mode not in TLS_MODES:
            raise ConfigError(f"{PREFIX}TLS={mode!r} is none of none, {', '.join(TLS_MODES)}")
        return cls(mode, Path(reader.text("TLS_DIR")))


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What every service knows about itself.

    ``links`` is the directory whose ``current`` and ``previous`` links name what is served;
    ``drain_file`` takes the service out of its pools while it exists; ``threads`` are those that
    work beside its event loop; ``tls`` is None where calls between hosts are plain.
    """

    host: str
    unit: str
    release: str
    links: Path
    drain_file: Path
    threads: int
    tls: TlsConfig | None = field(default=None, kw_only=True)

    @classmethod
    def _common(cls, reader: _Reader, unit: str) -> dict[str, object]:
        unit = reader.text("UNIT", unit)
        return {
            "host": reader.text("HOST", "localhost"),
            "unit": unit,
            "release": reader.text("RELEASE", "development"),
            "links": Path(reader.text("LINKS")),
            "drain_file": Path(reader.text("DRAIN_FILE", f"/run/askfleet/drain/{unit}")),
            "threads": reader.integer("THREADS", 8, 1, 256),
            "tls": TlsConfig.read(reader),
        }


@dataclass(frozen=True, slots=True)
class EncoderConfig(ServiceConfig):
    """Settings of an encoder."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raises ConfigError naming the variable at fault."""
        reader = _Reader(environ, COMMON)
        return cls(**cls._common(reader, "encoder"))  # type: ignore[arg-type]  # built key by key above


@dataclass(frozen=True, slots=True)
class ShardConfig(ServiceConfig):
    """Settings of one shard replica; ``shard`` is its number."""

    shard: int

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raises ConfigError naming the variable at fault."""
        reader = _Reader(environ, (*COMMON, "SHARD"))
        shard = reader.integer("SHARD", None, 0, 9999)
        return cls(shard=shard, **cls._common(reader, f"shard-{shard}"))  # type: ignore[arg-type]  # as above


@dataclass(frozen=True, slots=True)
class GatewayConfig(ServiceConfig):
    """Settings of a gateway.

    ``shard_urls[i]`` is the base URL of the pool of shard ``i``, ``shard_replicas[i]`` are its
    replicas (host:port). ``deadline`` is the time one question may take, ``patience`` that in which
    one of several replicas answers a short question, in seconds. ``api_keys`` is the file of the
    keys, None where everybody may ask; ``edges`` are the addresses of the edges.
    ``min_confidence`` is how sure an answer must be to be a match, 0 to 1.
    ``record_questions`` is how many questions of users a process keeps in memory, 0 to 10,000.
    """

    encoder_url: str
    shard_urls: tuple[str, ...]
    deadline: float
    encoder_replicas: tuple[str, ...] = ()
    shard_replicas: tuple[tuple[str, ...], ...] = ()
    patience: float = 0.6
    api_keys: Path | None = None
    edges: frozenset[str] = frozenset()
    min_confidence: float = 0.0
    record_questions: int = 0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raises ConfigError naming the variable at fault."""
        own = (
            "ENCODER_URL",
            "SHARD_URLS",
            "ENCODER_REPLICAS",
            "SHARD_REPLICAS",
            "REPLICA_SECONDS",
            "DEADLINE_SECONDS",
            "API_KEYS",
            "EDGES",
            "MIN_CONFIDENCE",
            "RECORD_QUESTIONS",
        )
        reader = _Reader(environ, (*COMMON, *own))
        urls = tuple(url.strip().rstrip("/") for url in reader.text("SHARD_URLS").split(","))
        encoder_url = reader.text("ENCODER_URL").rstrip("/")
        for url in (*urls, encoder_url):
            if not url.startswith("http://"):
                raise ConfigError(f"ASKFLEET_SHARD_URLS/ENCODER_URL: {url!r} is not an http:// URL")
        shards = environ.get(PREFIX + "SHARD_REPLICAS", "")
        shard_replicas = tuple(map(_addresses, shards.split(","))) if shards else ()
        if shard_replicas and len(shard_replicas) != len(urls):
            raise ConfigError(
                f"{PREFIX}SHARD_REPLICAS names {len(shard_replicas)} shards, "
                f"{PREFIX}SHARD_URLS {len(urls)}"
            )
        return cls(
            encoder_url=encoder_url,
            shard_urls=urls,
            encoder_replicas=_addresses(environ.get(PREFIX + "ENCODER_REPLICAS", "")),
            shard_replicas=shard_replicas,
            patience=reader.seconds("REPLICA_SECONDS", 0.6, 0.01, 60.0),
            deadline=reader.seconds("DEADLINE_SECONDS", 5.0, 0.1, 60.0),
            api_keys=_credential(environ, "api_keys") if environ.get(PREFIX + "API_KEYS") else None,
            min_confidence=reader.number("MIN_CONFIDENCE", 0.0, 0.0, 1.0),
            record_questions=reader.integer("RECORD_QUESTIONS", 0, 0, 10_000),
            edges=frozenset(filter(None, environ.get(PREFIX + "EDGES", "").split(","))),
            **cls._common(reader, "gateway"),  # type: ignore[arg-type]  # as above
        )


def _addresses(text: str) -> tuple[str, ...]:
    """The host:port of each replica of one pool."""
    addresses = tuple(filter(None, text.split("|")))
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ConfigError(
                f"{PREFIX}ENCODER_REPLICAS/SHARD_REPLICAS: {address!r} is not host:port"
            )
    return addresses


def _credential(environ: Mapping[str, str], name: str) -> Path:
    """Where systemd put a secret (``LoadCredential=``), which no environment holds."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise ConfigError(f"{PREFIX}{name.upper()} is set, CREDENTIALS_DIRECTORY is not")
    return Path(directory) / name


def _processes(reader: _Reader) -> int:
    """How many processes; ``auto`` is half the cores: nginx and the kernel need the rest."""
    if reader.text("PROCESSES", "1") == "auto":
        return max(1, min(len(os.sched_getaffinity(0)) // 2, MOST_PROCESSES))
    return reader.integer("PROCESSES", 1, 1, MOST_PROCESSES)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of the gunicorn process around a service.

    ``processes`` share the socket. ``bind`` is None under systemd, whose socket unit passes a
    listening descriptor; ``drain_file`` is None where only the service itself knows its default.
    """

    bind: str | None
    processes: int
    graceful_seconds: int
    drain_file: Path | None
    tls: TlsConfig | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; unknown variables are left to the service's own reader."""
        known = tuple(n.removeprefix(PREFIX) for n in environ if n.startswith(PREFIX))
        reader = _Reader(environ, (*COMMON, *known))
        bind = environ.get(PREFIX + "BIND")
        drain_file = environ.get(PREFIX + "DRAIN_FILE")
        if not bind and "LISTEN_FDS" not in environ:
            raise ConfigError("no socket from systemd (LISTEN_FDS) and ASKFLEET_BIND is not set")
        return cls(
            bind=bind or None,
            processes=_processes(reader),
            graceful_seconds=reader.integer("GRACEFUL_SECONDS", 20, 1, 600),
            drain_file=Path(drain_file) if drain_file else None,
            tls=TlsConfig.read(reader),
        )
