"""Settings from the environment: typed, complete, and never silently mistyped."""

import re
from pathlib import Path

import pytest

from app.config import EncoderConfig, GatewayConfig, ServerConfig, ShardConfig
from app.errors import ConfigError

ROOT = Path(__file__).parents[3]
LINKS = {"ASKFLEET_LINKS": "/links"}
GATEWAY = {
    **LINKS,
    "ASKFLEET_ENCODER_URL": "http://e:1/",
    "ASKFLEET_SHARD_URLS": "http://s:1, http://s:2/",
}


def test_a_shard_reads_its_settings() -> None:
    config = ShardConfig.read({**LINKS, "ASKFLEET_SHARD": "3", "PATH": "/bin"})
    assert (config.shard, config.unit, config.links) == (3, "shard-3", Path("/links"))
    assert config.drain_file == Path("/run/askfleet/drain/shard-3")
    assert (config.host, config.release) == ("localhost", "development")


def test_the_drain_file_is_that_of_the_unit() -> None:
    config = EncoderConfig.read({**LINKS, "ASKFLEET_UNIT": "encoder-b"})
    assert config.drain_file == Path("/run/askfleet/drain/encoder-b")
    config = EncoderConfig.read({**LINKS, "ASKFLEET_DRAIN_FILE": "/flag"})
    assert config.drain_file == Path("/flag")


def test_a_gateway_reads_its_settings() -> None:
    config = GatewayConfig.read(GATEWAY)
    assert config.encoder_url == "http://e:1"
    assert config.shard_urls == ("http://s:1", "http://s:2")
    assert config.deadline == 5.0


@pytest.mark.parametrize(
    ("reader", "environ", "message"),
    [
        (
            EncoderConfig,
            {**LINKS, "ASKFLEET_LINK": "x"},
            "unknown environment variable ASKFLEET_LINK; did you mean ASKFLEET_LINKS",
        ),
        (EncoderConfig, {**LINKS, "ASKFLEET_ZZZ": "x"}, "ASKFLEET_ZZZ; known: ASKFLEET_HOST, "),
        (EncoderConfig, {**LINKS, "ASKFLEET_SHARD": "1"}, "unknown .* ASKFLEET_SHARD"),
        (EncoderConfig, {}, "ASKFLEET_LINKS is not set and has no default"),
        (EncoderConfig, {"ASKFLEET_LINKS": ""}, "ASKFLEET_LINKS is not set"),
        (ShardConfig, LINKS, "ASKFLEET_SHARD is not set"),
        (ShardConfig, {**LINKS, "ASKFLEET_SHARD": "one"}, "ASKFLEET_SHARD='one' is not a whole"),
        (ShardConfig, {**LINKS, "ASKFLEET_SHARD": "-1"}, "ASKFLEET_SHARD=-1 is outside 0..9999"),
        (GatewayConfig, {**GATEWAY, "ASKFLEET_SHARD_URLS": "s:1"}, "'s:1' is not an http:// URL"),
        (GatewayConfig, {**GATEWAY, "ASKFLEET_SHARD_URLS": "http://s:1,"}, "'' is not an http"),
        (GatewayConfig, {**GATEWAY, "ASKFLEET_DEADLINE_SECONDS": "soon"}, "not a number of sec"),
        (GatewayConfig, {**GATEWAY, "ASKFLEET_DEADLINE_SECONDS": "nan"}, "outside 0.1..60.0"),
        (GatewayConfig, {**GATEWAY, "ASKFLEET_DEADLINE_SECONDS": "0"}, "outside 0.1..60.0"),
        (EncoderConfig, {**LINKS, "ASKFLEET_TLS": "yes"}, "'yes' is none of none, allow, prefer"),
        (EncoderConfig, {**LINKS, "ASKFLEET_TLS": "allow"}, "ASKFLEET_TLS_DIR is not set"),
    ],
)
def test_a_wrong_setting_is_named(
    reader: type[EncoderConfig], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        reader.read(environ)


def test_the_server_needs_a_socket() -> None:
    with pytest.raises(ConfigError, match="no socket from systemd"):
        ServerConfig.read(LINKS)
    assert ServerConfig.read({"LISTEN_FDS": "1"}).bind is None
    config = ServerConfig.read({"ASKFLEET_BIND": "127.0.0.1:1", "ASKFLEET_ANYTHING": "x"})
    assert (config.bind, config.graceful_seconds) == ("127.0.0.1:1", 20)


@pytest.mark.parametrize("threads", ["0", "257", "8.0", "many"])
def test_threads_out_of_range_are_named(threads: str) -> None:
    with pytest.raises(ConfigError, match="ASKFLEET_THREADS"):
        EncoderConfig.read({**LINKS, "ASKFLEET_THREADS": threads})


def test_settings_cannot_be_changed() -> None:
    config = EncoderConfig.read(LINKS)
    with pytest.raises(AttributeError):
        config.unit = "other"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("told", "cores", "wanted"),
    [("auto", 1, 1), ("auto", 2, 1), ("auto", 5, 2), ("auto", 400, 64), ("3", 1, 3), (None, 8, 1)],
)
def test_processes_are_half_of_the_cores_or_as_told(
    monkeypatch: pytest.MonkeyPatch, told: str | None, cores: int, wanted: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(cores))
    environ = {"ASKFLEET_BIND": "127.0.0.1:0"}
    if told is not None:
        environ["ASKFLEET_PROCESSES"] = told
    assert ServerConfig.read(environ).processes == wanted


@pytest.mark.parametrize("told", ["0", "65", "-1", "many"])
def test_a_number_of_processes_that_cannot_be_is_named(told: str) -> None:
    with pytest.raises(ConfigError, match="ASKFLEET_PROCESSES"):
        ServerConfig.read({"ASKFLEET_BIND": "127.0.0.1:0", "ASKFLEET_PROCESSES": told})


def test_every_setting_that_ansible_writes_is_known() -> None:
    """A service that refuses one does not start."""
    template = (ROOT / "templates/env/service.env.j2").read_text(encoding="utf-8")
    written = set(re.findall(r"^(ASKFLEET_\w+)=", template, re.MULTILINE))
    for name in written - GATEWAY.keys() - {"ASKFLEET_SHARD"}:  # another service's
        said = ""
        try:
            GatewayConfig.read({**GATEWAY, name: "1"})
        except ConfigError as error:
            said = str(error)
        assert "unknown environment variable" not in said
