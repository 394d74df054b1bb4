import json
import pickle

import numpy as np
import pytest

from app.errors import CorpusError
from index_builder.corpus.course import course_files, read_course
from index_builder.corpus.fields import id_of_text

CLUSTERS = {"0": ["how are you", "how do you do"], "1": ["where is it", "where to"], "2": ["why"]}


def spread(clusters, dim=4):
    sentences = [s for members in clusters.values() for s in members]
    return {s: np.eye(dim, dtype=np.float32)[n % dim] * (n + 1) for n, s in enumerate(sentences)}


@pytest.fixture
def course(tmp_path):
    def write(clusters=CLUSTERS, embeddings=None, centers=None, **options):
        paths = [tmp_path / "clusters_use_dg1.json"]
        paths[0].write_text(json.dumps(clusters))
        for name, value in (("use_embeddings", embeddings), ("clusters_centers_use", centers)):
            path = tmp_path / f"{name}_dg1.pkl"
            if value is not None:
                path.write_bytes(pickle.dumps(value))
            paths.append(path if value is not None else None)
        return read_course(*paths, **options)

    return write


def test_clusters_vectors_and_centres_are_kept(course):
    centers = {"0": np.ones(4), "1": np.ones((1, 4)), "2": [0.0, 0.0, 0.0, 3.0]}
    found = course(embeddings=spread(CLUSTERS), centers=centers)
    assert [d.text for d in found.documents] == [s for c in CLUSTERS.values() for s in c]
    assert found.documents[0].id == id_of_text("how are you")
    assert found.labels.tolist() == [0, 0, 1, 1, 2]
    assert found.clusters == ["0", "1", "2"]
    assert np.array_equal(found.vectors, np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0]])
    assert np.array_equal(found.centres[:2], np.full((2, 4), 0.5, dtype=np.float32))
    assert found.centres[2].tolist() == [0, 0, 0, 1]
    assert found.notes == []


def test_the_clusters_alone_are_enough(course):
    found = course()
    assert (found.vectors, found.centres, found.notes) == (None, None, [])


@pytest.mark.parametrize("form", ["array", "list", "lists", "int keys", "numpy keys"])
def test_centres_may_be_a_dict_a_list_or_an_array(course, form):
    array = np.eye(3, 4)
    centers = {
        "array": array,
        "list": list(array),
        "lists": array.tolist(),
        "int keys": dict(enumerate(array)),
        "numpy keys": {np.int32(n): row for n, row in enumerate(array)},
    }[form]
    assert np.array_equal(course(centers=centers).centres, array)


def test_a_centre_without_a_cluster_is_left_out_and_said_so(course):
    found = course(centers={str(n): np.eye(5)[n] for n in range(5)})
    assert np.array_equal(found.centres, np.eye(5)[:3])
    assert found.notes == [
        "clusters_centers_use_dg1.pkl: centres without a cluster left out: '3', '4'"
    ]


def test_a_cluster_without_a_centre_gets_the_mean_of_its_vectors(course):
    found = course(embeddings=spread(CLUSTERS), centers={"0": np.ones(4), "2": np.ones(4)})
    assert found.centres[1] == pytest.approx([0, 0, 0.5**0.5, 0.5**0.5])
    assert "mean of its vectors is the centre of '1'" in found.notes[0]


def test_without_vectors_a_missing_centre_leaves_all_to_be_computed(course):
    found = course(centers={"0": np.ones(4)})
    assert found.centres is None
    assert "clusters without a centre: '1', '2'" in found.notes[0]


def test_centres_of_other_labels_altogether_are_refused(course):
    with pytest.raises(
        CorpusError, match="no centre belongs to a cluster: centres 'a', clusters '0'"
    ):
        course(centers={"a": np.ones(4)})


def test_sentences_without_a_vector_leave_all_to_be_encoded(course):
    embeddings = spread(CLUSTERS)
    del embeddings["where to"]
    found = course(embeddings=embeddings)
    assert found.vectors is None
    assert "1 sentences have no vector, 'where to' first" in found.notes[0]


def test_vectors_of_no_sentence_are_left_out(course):
    found = course(embeddings=spread(CLUSTERS) | {"nobody": np.ones(4)})
    assert found.vectors.shape == (5, 4)
    assert "1 vectors belong to no document" in found.notes[0]


def test_a_sentence_in_two_clusters_stays_in_the_first(course):
    found = course({"a": ["one", "two", "one"], "b": ["two ", "three"]})
    assert [d.text for d in found.documents] == ["one", "two", "three"]
    assert found.labels.tolist() == [0, 0, 1]
    assert found.notes == ["2 repeated sentences left out, each stays where it was first"]


def test_a_sentence_is_found_by_its_own_spelling_and_cleaned(course):
    found = course({"a": [" two  words "]}, embeddings={" two  words ": np.ones(4)})
    assert found.documents[0].text == "two words"
    assert found.vectors is not None


def test_clusters_that_are_or_become_empty_are_left_out_with_their_centres(course):
    clusters = {"a": [], "b": ["one"], "c": ["one"], "d": ["two"]}
    found = course(clusters, centers={name: np.eye(4)[n] for n, name in enumerate("abcd")})
    assert found.clusters == ["b", "d"]
    assert found.labels.tolist() == [0, 1]
    assert np.array_equal(found.centres, np.eye(4)[[1, 3]])
    assert "clusters without a sentence of their own left out: 'a', 'c'" in found.notes


def test_unusable_sentences_are_tolerated_up_to_a_fraction(course):
    clusters = {"a": ["one", "", 5, "two"]}
    with pytest.raises(CorpusError, match="2 of 4 sentences are unusable: cluster 'a', sentence 2"):
        course(clusters)
    found = course(clusters, max_bad=0.5)
    assert len(found.documents) == 2
    assert "cluster 'a', sentence 3: wrong type" in found.notes[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"clusters": []}, "not an object of clusters"),
        ({"clusters": {"a": "text"}}, "cluster 'a' is no list"),
        ({"clusters": {}}, "no sentence in it"),
        ({"embeddings": [1]}, "not a dict of sentence to vector"),
        ({"embeddings": dict.fromkeys(spread(CLUSTERS), "x")}, "'how are you' has no array"),
        ({"embeddings": dict.fromkeys(spread(CLUSTERS), np.zeros(4))}, "vector of length 0"),
        ({"embeddings": spread(CLUSTERS) | {"why": np.ones(3)}}, "'why' has 3 dimensions, not 4"),
        ({"embeddings": spread(CLUSTERS) | {"why": np.full(4, np.nan)}}, "of length nan"),
        ({"centers": "text"}, "neither a dict nor a list"),
        ({"centers": np.ones(4)}, "neither a dict nor a list"),
        ({"centers": np.ones((3, 5)), "embeddings": spread(CLUSTERS)}, "of 5 dim.* of 4"),
    ],
)
def test_what_does_not_fit_is_refused(course, files, message):
    with pytest.raises(CorpusError, match=message):
        course(**files)


def test_files_of_two_data_generations_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="different data generations"):
        read_course(tmp_path / "clusters_use_dg1.json", tmp_path / "use_embeddings_dg2.pkl")


def test_a_missing_or_broken_clusters_file_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"clusters_use_dg1\.json: no such file"):
        read_course(tmp_path / "clusters_use_dg1.json")
    (tmp_path / "clusters_use_dg1.json").write_text("{")
    with pytest.raises(CorpusError, match="invalid JSON"):
        read_course(tmp_path / "clusters_use_dg1.json")


def test_the_other_files_are_found_beside_the_clusters(tmp_path):
    clusters = tmp_path / "clusters_use_dg2.json"
    assert course_files(clusters) == (None, None)
    (tmp_path / "use_embeddings_dg2.pkl").touch()
    (tmp_path / "clusters_centers_use_dg2.pkl").touch()
    (tmp_path / "clusters_centers_use_dg1.pkl").touch()
    assert course_files(clusters) == (
        tmp_path / "use_embeddings_dg2.pkl",
        tmp_path / "clusters_centers_use_dg2.pkl",
    )
    assert course_files(tmp_path / "corpus.jsonl") == (None, None)
