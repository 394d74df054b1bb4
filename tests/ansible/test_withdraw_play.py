"""What withdraw.yml takes, refuses and says, where no host can be reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_sources import ROOT, Run, load_filter
from tripwire import fleet_behind_a_tripwire

filters = load_filter("ids")


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ("a,b", ["a", "b"]),
        (" a , b,,a", ["a", "b"]),
        (["a,b", 17], ["a,b", "17"]),
        (17, ["17"]),
        ("", []),
        ([], []),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_ids_are_read_as_they_are_given(
    ids: object, wanted: list[str], mark: str, tmp_path: Path
) -> None:
    assert filters.askfleet_ids(ids) == wanted
    file = tmp_path / "ids.txt"
    file.write_text(f"{mark}x,y\n\n  né \n")
    assert filters.askfleet_ids(ids, str(file)) == [*wanted, "x,y", "né"]
    assert filters.askfleet_no_ids(ids, str(file)) == []


def test_what_is_no_id_is_told_with_what_is_allowed() -> None:
    [fault] = filters.askfleet_no_ids(["a", "a\tb"])
    assert "'a\\tb' is no id" in fault
    assert "printable" in fault


@pytest.mark.parametrize("ids", [[True], True, [None], None, [1.5], [["a"]], {"a": 1}])
def test_what_only_json_can_say_is_no_id(ids: object) -> None:
    """True was the document "True"."""
    [fault] = filters.askfleet_no_ids(ids)
    assert " is no id: write it in quotes" in fault
    assert filters.askfleet_ids(ids) == []


@pytest.mark.parametrize("content", [None, b"a\n\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "gone.txt"
    if content:
        file.write_bytes(content)
    [fault] = filters.askfleet_no_ids("", str(file))
    assert fault.startswith(f"-e ids_file: {file}: ")
    assert ("not UTF-8, from byte 2 on" in fault) == (content is not None)


@pytest.mark.slow
def test_a_value_with_a_space_is_told_how_to_be_written(play: Run, tmp_path: Path) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    done = play("-i", hosts, "withdraw.yml", "-e", "ids=faq 12")
    assert done.returncode == 5
    assert "-e: '12' stands alone; a value with a space in it is written -e '{" in done.stderr
    assert not mark.exists()


@pytest.mark.slow
def test_more_than_a_list_may_hold_is_refused_before_a_host_is_touched(
    play: Run, tmp_path: Path
) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    file = tmp_path / "gone.txt"
    file.write_text("".join(f"{number:0500}\n" for number in range(60_000)))
    extra = ["-e", f"ids_file={file}", "-e", f"askfleet_build_dir={tmp_path}/var"]
    done = play("-i", hosts, "withdraw.yml", *extra)
    assert done.returncode == 2, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "No host has been touched" in said
    assert "with its 60,000 ids; it may take 32 MiB, which is about 250,000 ids" in said
    assert not mark.exists()


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.slow
def test_where_nobody_answers_nothing_is_claimed(
    play: Run, tmp_path: Path, check: bool, undo: bool
) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    extra = json.dumps({"ids": ["q1"], "undo": undo, "askfleet_build_dir": str(tmp_path / "var")})
    done = play("-i", hosts, "withdraw.yml", "-e", extra, *["--check"] * check)
    assert mark.exists()
    assert done.returncode == 2, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "No host has answered." in said
    assert "so already" not in said
    assert "answers by that" not in said
    assert "no shard that was asked" not in said
    if check:
        assert "2 of 2 hosts could not be asked, so what would change there is not known" in said
    else:
        assert "2 of 2 hosts do not have the list yet: gateway-1, shard-a" in said
        assert f"repeat this command, with the same ids{' and undo=true' * undo}, when" in said


@pytest.mark.slow
def test_fleets_whose_inventories_have_one_name_have_two_copies(play: Run, tmp_path: Path) -> None:
    book = tmp_path / "where.yml"
    book.write_text(
        "- hosts: localhost\n  gather_facts: false\n"
        f"  vars_files: [{ROOT}/roles/askfleet/vars/main.yml]\n"
        "  vars: {askfleet_build_dir: /v}\n"
        "  tasks: [{debug: {msg: 'copy={{ askfleet_withdrawn_list }}='}}]\n"
    )
    found = set()
    for name in ("one", "two"):
        directory = tmp_path / name / "production"
        directory.mkdir(parents=True)
        hosts, _ = fleet_behind_a_tripwire(directory)
        done = play("-i", hosts, book)
        found.add(done.stdout.partition("copy=")[2].partition("=")[0])
    assert len(found) == 2, done.stdout + done.stderr
    assert all(path.startswith("/v/withdrawn-production-") for path in found)
