"""A database file on a network file system is refused; which one it is, the table of mounts tells."""

from pathlib import Path

import pytest

from broker.errors import StoreError
from broker.stores.folders import file_system_of, require_local


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    table = tmp_path / "mounts"
    folder = str(tmp_path).replace(" ", "\\040")
    table.write_text(
        "/dev/sda / ext4 rw 0 0\n"
        f"/dev/sdb {folder} xfs rw 0 0\n"
        f"server:/a {folder}/shared nfs4 rw 0 0\n"
        f"server:/b {folder}/my\\040files cifs rw 0 0\n"
        f"me@host: {folder}/remote fuse.sshfs rw 0 0\n"
        f"/dev/sdc {folder}/shared/disk ext4 rw 0 0\n"
        f"server:/c {folder}/twice nfs rw 0 0\n"
        f"/dev/sdd {folder}/twice ext4 rw 0 0\n"
    )
    return table


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("state.sqlite", "xfs"),
        ("shared/state.sqlite", "nfs4"),
        ("shared", "nfs4"),
        ("sharedness/state.sqlite", "xfs"),
        ("my files/a/b/state.sqlite", "cifs"),
        ("remote/state.sqlite", "fuse.sshfs"),
        ("shared/disk/state.sqlite", "ext4"),
        ("twice/state.sqlite", "ext4"),
        ("shared/../state.sqlite", "xfs"),
        ("shared/../../state.sqlite", "ext4"),
    ],
)
def test_the_innermost_and_latest_mount_counts(tmp_path: Path, mounts: Path, path: str, kind: str) -> None:
    assert file_system_of(tmp_path / path, mounts=mounts) == kind


def test_a_link_is_followed(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    assert file_system_of(tmp_path / "link" / "state.sqlite", mounts=mounts) == "nfs4"


@pytest.mark.parametrize("folder", ["shared", "my files", "remote"])
def test_network_file_systems_are_refused_with_what_to_do(tmp_path: Path, mounts: Path, folder: str) -> None:
    with pytest.raises(StoreError, match="use `StateStore: dynamodb:TABLE_PREFIX`") as refused:
        require_local(tmp_path / folder / "state.sqlite", mounts=mounts)
    assert not refused.value.retryable


def test_a_local_disk_is_fine(tmp_path: Path, mounts: Path) -> None:
    require_local(tmp_path / "state.sqlite", mounts=mounts)


def test_where_there_is_no_table_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    require_local(tmp_path / "state.sqlite", mounts=tmp_path / "none")
