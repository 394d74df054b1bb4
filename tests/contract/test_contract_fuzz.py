"""Whatever is sent: an answer or a problem, never a 500."""

import json
from typing import Any

from contract import Process, Search, check_problem, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_fleet import LocalFleet
from mutations import changed_json, damaged

QUIET = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=8)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)
# Near to what is right, so that more than the first check is reached.
members = st.fixed_dictionaries(
    {},
    optional={
        "queries": st.lists(st.text(max_size=5) | scalars, max_size=4) | values,
        "instances": st.lists(st.text(max_size=5) | scalars, max_size=4) | values,
        "texts": st.lists(st.text(max_size=5) | scalars, max_size=4) | values,
        "k": st.integers(-2, 102) | values,
        "probe": st.sampled_from(["auto", "all", 1, 2]) | values,
    },
)
# json.dumps writes lone surrogates as escapes, and NaN: both must be refused, not crash.
bodies = (
    (members | values).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=80)
    | changed_json({"queries": ["a", "é"], "k": 5, "probe": "all"})
    | changed_json({"instances": ["a", "é"]})
    | changed_json({"texts": ["a", "é"]})
    | damaged('{"queries": ["\\u00e9", "é"], "k": 5, "probe": 2}'.encode())
)


@QUIET
@given(body=bodies, data=st.data())
def test_any_body(fleet: LocalFleet, body: bytes, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(["/process", "/v1/search"]))
    answer = fleet.gateway.post(route, data=body)
    if answer.status_code == 200:
        read(answer, {"/process": Process, "/v1/search": Search}[route])
    else:
        check_problem(answer, 400)


@QUIET
@given(body=bodies)
def test_any_body_to_an_encoder(fleet: LocalFleet, body: bytes) -> None:
    answer = fleet.encoder.post("/encode", data=body)
    if answer.status_code != 200:
        check_problem(answer, 400)


@QUIET
@given(
    body=st.binary(max_size=70),
    query=st.dictionaries(
        st.sampled_from(["generation", "k", "terms", "x"]),
        st.text(st.characters(codec="utf-8")) | st.integers(0, 80).map(str),
    ),
    right=st.booleans(),
)
def test_any_body_to_a_shard(
    fleet: LocalFleet, body: bytes, query: dict[str, str], right: bool
) -> None:
    manifest = fleet.generation.manifest
    if right:
        query = {**query, "generation": manifest.id}
    answer = fleet.shards[0].post(
        "/search",
        query_string=query,
        data=body,
        headers={"Askfleet-Model": manifest.model.fingerprint},
    )
    if answer.status_code != 200:
        check_problem(answer, 400 if right else 409)


@QUIET
@given(
    query=st.dictionaries(
        st.sampled_from(["q", "k", "probe", "min_confidence", "cache", "rescore", "x"]),
        st.text(st.characters(codec="utf-8"), max_size=8),
    )
    | st.binary(max_size=40).map(lambda raw: "q=" + "".join(f"%{byte:02x}" for byte in raw))
)
def test_any_query_string(fleet: LocalFleet, query: Any) -> None:
    answer = fleet.gateway.get("/v1/search", query_string=query)
    if answer.status_code == 200:
        read(answer, Search)
    else:
        check_problem(answer, 409 if answer.status_code == 409 else 400)


@QUIET
@given(
    path=st.text(st.characters(codec="utf-8"), max_size=12),
    method=st.sampled_from(["GET", "POST", "PUT"]),
)
def test_any_path(fleet: LocalFleet, path: str, method: str) -> None:
    for client in fleet.clients.values():
        assert client.open(f"/{path}", method=method).status_code < 500


@QUIET
@given(
    name=st.sampled_from(
        ["X-Request-ID", "Askfleet-Model", "Askfleet-Canary", "Askfleet-Deadline-Ms", "Accept",
         "Askfleet-Generation", "Askfleet-Quick", "Authorization", "Content-Type",
         "Content-Encoding", "Content-Length", "Transfer-Encoding", "Host"]
    ),
    value=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=20),
)  # fmt: skip
def test_any_header(fleet: LocalFleet, name: str, value: str) -> None:
    """gunicorn refuses control characters in headers; the services do not rely on it."""
    headers = {name: value}
    for answer in (
        fleet.gateway.post("/process", data='{"instances":["a"]}', headers=headers),
        fleet.encoder.post("/encode", data='{"texts":["a"]}', headers=headers),
        fleet.shards[0].get("/health", headers=headers),
    ):
        assert answer.status_code < 500, answer.data
