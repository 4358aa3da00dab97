"""Which folders a database file may live in: those of this machine's own disks.

SQLite's write-ahead log needs memory that all its processes share, and locks that hold: a network file system gives
neither, and loses rows without a word.

Source: sqlite.org, "Write-Ahead Logging" ("WAL does not work over a network filesystem") and "How To Corrupt An SQLite
Database File", section 2.1 (read November 2026). The list of file systems is ours.
"""

from collections.abc import Iterator
from pathlib import Path

from broker.errors import StoreError

MOUNTS = Path("/proc/mounts")
"""Linux's table of mounts; elsewhere nothing is refused."""

_NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "coda",
        "ceph",
        "lustre",
        "beegfs",
        "gpfs",
        "glusterfs",
        "ocfs2",
        "gfs2",
        "orangefs",
        "pvfs2",
        "davfs",
        "davfs2",
        "9p",
        "sshfs",
        "ceph-fuse",
        "s3fs",
        "rclone",
        "gcsfuse",
        "goofys",
        "mountpoint-s3",
        "curlftpfs",
        "smbnetfs",
        "juicefs",
        "seaweedfs",
        "moosefs",
        "mfs",
        "afpfs",
    }
)
"""Without the prefix `fuse.`; `fuse` itself says nothing of where the data is."""
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
"""How the table writes what would break its lines."""


def require_local(path: Path, *, mounts: Path | None = None) -> None:
    """Raises `StoreError` where `path`, a file or a folder that may be yet to come, is on a network file system."""
    kind = file_system_of(path, mounts=mounts)
    if kind.removeprefix("fuse.") in _NETWORK_TYPES:
        raise StoreError(
            f"The state store {path} is on a network file system ({kind}), on which SQLite loses writes. Name a file "
            "on a disk of this machine (`StateStore: sqlite:PATH`), or use `StateStore: dynamodb:TABLE_PREFIX` for "
            "brokers on several machines.",
            code="NetworkFileSystem",
            retryable=False,
        )


def file_system_of(path: Path, *, mounts: Path | None = None) -> str:
    """The type of the file system of `path` as the table of mounts names it; empty where there is no such table."""
    target = path.resolve()
    covering = ((folder, kind) for folder, kind in _mounted(mounts or MOUNTS) if target.is_relative_to(folder))
    # Of two mounts on one folder the later one covers the other.
    return max(enumerate(covering), key=lambda each: (len(each[1][0].parts), each[0]), default=(0, (target, "")))[1][1]


def _mounted(mounts: Path) -> Iterator[tuple[Path, str]]:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, folder, kind, *_ = line.split(" ")
        for escape, character in _ESCAPES.items():
            folder = folder.replace(escape, character)
        yield Path(folder), kind
