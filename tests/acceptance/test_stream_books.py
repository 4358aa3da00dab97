"""The books find what they are kept for: without these tests, a proof that finds nothing would prove nothing."""

from pathlib import Path

import pytest

from tests.acceptance.stream_notes import Books, Left, Notebook

SHARD = "shardId-000000000000"


def books(folder: Path, *lines: str) -> Books:
    """Each line is `what member epoch request number key/value`; numbers are sequence numbers of one shard."""
    path = folder / "notes.txt"
    whole = []
    for line in lines:
        what, member, epoch, request, number, text = line.split()
        whole.append(f"{what} {member} {epoch} {request} 0 {SHARD} {number} {text}\n")
    path.write_text("".join(whole))
    return Notebook(path).read()


def test_a_batch_that_was_handed_on_unfinished_and_begun_again_is_no_fault(tmp_path: Path) -> None:
    found = books(
        tmp_path,
        "start a 1 r1 1 k/0",
        "end a 1 r1 1 k/0",
        "start a 1 r2 2 k/1",
        "start b 2 r3 2 k/1",
        "end b 2 r3 2 k/1",
        "end a 1 r2 2 k/1",
    )
    assert found.missing({"k": 2}) == []
    assert found.out_of_order() == []
    assert found.epoch_faults() == []
    assert found.left() == {"a": Left(in_flight=1, settled=0), "b": Left(in_flight=0, settled=0)}


def test_what_was_begun_and_never_ended_is_missing(tmp_path: Path) -> None:
    found = books(tmp_path, "start a 1 r1 1 k/0", "end a 1 r1 1 k/0", "start a 1 r2 2 k/1")
    assert found.missing({"k": 3}) == ["k/1", "k/2"]


def test_a_line_that_is_not_whole_is_not_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    notebook = Notebook(path)
    path.write_text(f"start a 1 r1 0 {SHARD} 1 k/0\nend a 1")
    assert len(notebook.read().notes) == 1
    with path.open("a") as file:
        file.write(f" r1 0 {SHARD} 1 k/0\n")
    assert [note.is_end for note in notebook.read().notes] == [False, True]


def test_a_record_that_begins_before_the_one_before_it_has_ended_is_out_of_order(tmp_path: Path) -> None:
    found = books(tmp_path, "start a 1 r1 1 k/0", "start a 1 r2 2 k/1", "end a 1 r1 1 k/0", "end a 1 r2 2 k/1")
    assert len(found.out_of_order()) == 1


def test_a_record_that_is_skipped_is_out_of_order(tmp_path: Path) -> None:
    assert len(books(tmp_path, "start a 1 r1 2 k/1", "end a 1 r1 2 k/1").out_of_order()) == 1


def test_records_of_one_batch_follow_each_other(tmp_path: Path) -> None:
    assert books(tmp_path, "start a 1 r1 1 k/0", "start a 1 r1 2 k/1").out_of_order() == []


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (("start a 1 r1 1 k/0", "start b 2 r2 1 k/0", "start a 1 r3 2 k/1"), "although epoch 2 has begun"),
        (("start a 1 r1 1 k/0", "end a 1 r1 1 k/0", "start a 1 r2 1 k/0"), "starts again"),
        (("start a 1 r1 1 k/0", "start a 1 r2 2 l/0"), "2 batches are open"),
        (("start a 1 r1 1 k/0", "start b 2 r2 2 l/0"), "begins behind 1, which was not finished"),
    ],
    ids=["older epoch", "again", "two at once", "skipped"],
)
def test_an_owner_that_does_what_it_may_not_is_found(tmp_path: Path, lines: tuple[str, ...], fault: str) -> None:
    (found,) = books(tmp_path, *lines).epoch_faults()
    assert fault in found


def test_lanes_may_have_a_batch_each_but_not_two_of_one_key(tmp_path: Path) -> None:
    found = books(tmp_path, "start a 1 r1 1 k/0", "start a 1 r2 2 l/0", "start a 1 r3 1 k/0")
    assert len(found.epoch_faults(factor=3)) == 1


def test_what_was_finished_and_begun_again_is_told_from_what_was_in_flight(tmp_path: Path) -> None:
    found = books(
        tmp_path,
        "start a 1 r1 1 k/0",
        "end a 1 r1 1 k/0",
        "start a 1 r2 2 k/1",
        "start b 2 r3 1 k/0",
        "start b 2 r3 2 k/1",
    )
    assert found.left()["a"] == Left(in_flight=1, settled=1)
    assert found.duplicates() == 2
