"""Generations with filters: what passes is what is found, however many shards there are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canary_answers import canary_difference
from encoder_fakes import vector_of
from small_generations import SmallGeneration, build_small, vectors_of

from app.errors import BuildError, GenerationError, ProblemError
from app.generation import canary
from app.generation.filtering import Filtering
from app.generation.manifest import Manifest
from app.generation.manifest_parts import FilterField
from app.generation.shard_part import ShardPart
from index_builder.corpus.document import Document
from index_builder.filterable import Filterable, wanted_fields
from index_builder.replay import Replay

FIELDS = wanted_fields("set,year,lang,open")


def documents(count: int = 300) -> list[Document]:
    """Every seventh has no metadata at all; years are as many as bins, and more."""
    return [
        Document(
            id=f"d{n:04}",
            text=f"how do I open the {n % 17} door of house {n}?",
            metadata=None
            if n % 7 == 6
            else {
                "set": ("faq", "news", "blog")[n // 2 % 3],
                "year": 1900 + n * 37 % 301 / 2,
                "lang": ["en", "de", "fr"][: n % 4],
                "open": n % 5 == 0,
            },
        )
        for n in range(count)
    ]


def is_in(metadata: dict[str, Any] | None, name: str, wanted: Any) -> bool:
    values = (metadata or {}).get(name)
    values = values if isinstance(values, list) else [] if values is None else [values]
    if isinstance(wanted, dict):
        low, high = wanted.get("gte", -np.inf), wanted.get("lt", np.inf)
        return any(low <= value < high for value in values)
    return any(value in (wanted if isinstance(wanted, list) else [wanted]) for value in values)


FILTERS: list[dict[str, Any]] = [
    {"set": "faq"},
    {"set": ["news", "blog"]},
    {"set": "none such"},
    {"year": {"gte": 1950}},
    {"year": {"gte": 1950, "lt": 1951}},
    {"year": 1900},
    {"lang": "fr"},
    {"lang": ["fr", "it"], "open": True},
    {"open": False, "year": {"lt": 2000}, "set": "faq"},
]
QUESTIONS = ["how do I open the 3 door?", "house 41", "?", *(f"house {n}" for n in range(20))]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[int, SmallGeneration]:
    root = tmp_path_factory.mktemp("filtered")
    return {
        shards: build_small(
            root / str(shards),
            documents=documents(),
            shards=shards,
            storage=storage,
            filterable=FIELDS,
        )
        for shards, storage in ((1, 1.0), (3, 1.5), (4, 2.0))
    }


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("texts", [[], QUESTIONS])
def test_what_passes_is_found_and_nothing_else(
    built: dict[int, SmallGeneration], wanted: dict[str, Any], texts: list[str]
) -> None:
    """The same list whatever the number of shards; by score it is exact search over what passes."""
    rows = [
        place
        for place, one in enumerate(documents())
        if all(is_in(one.metadata, name, value) for name, value in wanted.items())
    ]
    lists = []
    for generation in built.values():
        found = Replay(generation.directory).search(vectors_of(QUESTIONS), 10, "all", texts, wanted)
        lists.append([[(hit.row.id, hit.score, hit.lexical) for hit in own] for own in found.hits])
        assert {hit.row.ordinal for own in found.hits for hit in own} <= set(rows)
        assert {len(own) for own in found.hits} == {min(10, len(rows))}
    assert lists[0] == lists[1] == lists[2]
    if not texts and rows:
        scores = vectors_of(QUESTIONS) @ vectors_of([one.text for one in documents()])[rows].T
        best = -np.sort(-scores, axis=1)[:, :10]
        got = [[score for _, score, _ in own] for own in lists[0]]
        assert np.allclose(np.array(got), best, atol=1e-5)


@pytest.mark.parametrize("wanted", FILTERS)
def test_few_that_pass_are_all_looked_for(
    built: dict[int, SmallGeneration], wanted: dict[str, Any]
) -> None:
    """Fewer than a hundred pass here: every shard that holds one is asked, by ``auto`` too."""
    replay = Replay(built[4].directory)
    every = replay.search(vectors_of(QUESTIONS), 10, "all", QUESTIONS, wanted)
    auto = replay.search(vectors_of(QUESTIONS), 10, "auto", QUESTIONS, wanted)
    if sum(is_in(one.metadata, *next(iter(wanted.items()))) for one in documents()) < 100:
        assert auto.ids == every.ids
    assert auto.fan_out <= every.fan_out
    if wanted == {"set": "none such"}:
        assert every.fan_out == 0


def test_the_manifest_tells_what_filters_gave(built: dict[int, SmallGeneration]) -> None:
    filters = built[4].manifest.routing.filters
    assert filters is not None
    assert filters.fields == (
        FilterField("set", "keyword"),
        FilterField("year", "number"),
        FilterField("lang", "keyword"),
        FilterField("open", "boolean"),
    )
    for row in filters.table:
        assert row.documents >= 100
        assert row.recall_at_1 >= 0.995
        assert row.recall_at_10 >= 0.987
    filtering = Filtering.load(built[4].directory, built[4].manifest)
    assert filtering is not None
    told = {one["name"]: one for one in filtering.fields()}
    assert told["set"]["distinct"] == 3
    assert sum(one["documents"] for one in told["set"]["values"]) == told["set"]["documents"]
    assert (told["year"]["min"], told["year"]["max"]) == (1900, 2050)
    assert {one["value"] for one in told["open"]["values"]} == {True, False}


def test_canaries_prove_filters(built: dict[int, SmallGeneration]) -> None:
    for generation in built.values():
        replay = Replay(generation.directory)
        canaries = canary.read(generation.directory / canary.NAME)
        filtered = [one for one in canaries if one.filter]
        assert len(filtered) == 8
        assert len({one.filter for one in filtered}) == 8
        for one in canaries:
            assert canary_difference(replay, one, vector_of(one.question)) is None
        assert any(
            canary_difference(
                replay,
                canary.Canary(one.question, one.ids, one.scores),
                vector_of(one.question),
            )
            for one in filtered
        ), "without their filters some would be answered otherwise"


def test_without_fields_every_filter_is_refused(tmp_path: Path) -> None:
    plain = build_small(tmp_path)
    assert plain.manifest.routing.filters is None
    assert not [name for name in plain.manifest.files if "filter" in name or "sizes" in name]
    with pytest.raises(ProblemError, match="without --filterable"):
        ShardPart.open(plain.directory, 0).passing('{"set":"faq"}')


def test_the_setting_alone_changes_the_inputs(tmp_path: Path) -> None:
    """And without it a generation that was sealed before there was such a setting is found."""
    one = build_small(tmp_path, documents=documents())
    again = build_small(tmp_path, documents=documents(), artefact=one.artefact)
    assert not again.new
    other = build_small(tmp_path, documents=documents(), artefact=one.artefact, filterable=FIELDS)
    assert other.new


def test_a_base_keeps_rows_and_fields_may_come(tmp_path: Path) -> None:
    first = build_small(tmp_path, documents=documents())
    edited = [one for one in documents() if one.id != "d0007"]
    second = build_small(
        tmp_path,
        documents=edited,
        artefact=first.artefact,
        base=first.directory,
        filterable=FIELDS,
    )
    found = Replay(second.directory).search(vectors_of(QUESTIONS), 300, "all", [], {"set": "news"})
    wanted = {one.id for one in edited if is_in(one.metadata, "set", "news")}
    assert set(found.ids[0]) == wanted


PQ = "PQ8x4fs,Refine(SQfp16)"


@pytest.mark.parametrize("kind", [f"IVF1,{PQ}", "SQfp16", "IVF4,Flat", f"IVF4,{PQ}", "HNSW8"])
def test_indexes_that_take_filters(tmp_path: Path, kind: str) -> None:
    built = build_small(tmp_path, documents=documents(), shards=2, index=kind, filterable=FIELDS)
    for wanted in ({"set": "faq"}, {"year": {"lt": 1905}}):
        hits = Replay(built.directory).search(built.vectors[:20], 5, "all", [], wanted).hits
        for own in hits:
            assert own
            for hit in own:
                metadata = documents()[hit.row.ordinal].metadata
                assert all(is_in(metadata, name, value) for name, value in wanted.items())


def test_an_index_that_takes_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="takes no filters: use --index auto"):
        build_small(tmp_path, documents=documents(), shards=1, index=PQ, filterable=FIELDS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("colour", r"no document has a value in this metadata field; they have set, "),
        ("mixed", r"document 'b': 7 is no keyword.*mixed:keyword"),
        ("mixed:number", "document 'a': 'x' is no number"),
        ("nested", "none of a string, a number, true or false, or a list"),
        ("big", r"beyond 2\*\*53: write such numbers as strings"),
    ],
)
def test_values_that_cannot_be_filtered_by(fields: str, message: str) -> None:
    read = [
        ("a", b'{"set":"faq","mixed":"x","nested":{"a":1},"big":1}'),
        ("b", b'{"set":"faq","mixed":7,"big":90071992547409930}'),
        ("c", b"null"),
    ]
    with pytest.raises(BuildError, match=message):
        Filterable.read(wanted_fields(fields), read)


def test_strings_of_a_table_become_what_is_asked_for() -> None:
    read = [
        ("a", b'{"year":"2020","open":"TRUE","n":7}'),
        ("b", b'{"year":"1.5e3","open":"false"}'),
    ]
    found = Filterable.read(wanted_fields("year:number,open:boolean,n:keyword"), read)
    assert found.columns[0].values.tolist() == [2020, 1500]
    assert found.columns[1].values.tolist() == [1, 0]
    assert found.columns[2].counts.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"1_000"', "is no number"),
        ('"\u0663"', "is no number"),
        ('"9007199254740993"', "beyond 2"),
        ('"1e999"', "beyond 2"),
        ("true", "is no number"),
    ],
)
def test_what_is_no_number_in_a_table(value: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        Filterable.read(wanted_fields("n:number"), [("a", f'{{"n":{value}}}'.encode())])


def test_a_word_has_a_limit() -> None:
    with pytest.raises(BuildError, match="has 1,001 characters"):
        Filterable.read(wanted_fields("n"), [("a", b'{"n":"%b"}' % (b"x" * 1001))])


@pytest.mark.parametrize(
    "text", ["", "a,,b", "a:colour", "a,a", ",".join(f"f{n}" for n in range(21))]
)
def test_names_of_fields_are_checked(text: str) -> None:
    with pytest.raises(BuildError, match="--filterable"):
        wanted_fields(text)


@pytest.mark.parametrize("name", ["filter-0-counts.npy", "filter-1-values.npy"])
def test_damaged_columns_are_named(
    built: dict[int, SmallGeneration], tmp_path: Path, name: str
) -> None:
    copy = tmp_path / built[3].directory.name
    copy.mkdir()
    for path in built[3].directory.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(built[3].directory)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    array = np.load(copy / "shard-000" / name)
    np.save(copy / "shard-000" / name, array[1:])
    with pytest.raises(GenerationError, match="does not fit the shard"):
        ShardPart.open(copy, 0)
    (copy / "routing/filter_values.json").write_text("[]")
    with pytest.raises(GenerationError, match=r"filter_counts\.npy does not fit"):
        Filtering.load(copy, Manifest.load(copy))
