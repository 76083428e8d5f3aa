"""Is a store on a network file system? SQLite's locks and its shared memory are not to be relied on there."""

import re
from pathlib import Path, PurePosixPath

MOUNTS = Path("/proc/self/mountinfo")
MOUNT_POINT = 4  # its place among a line's fields

NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "drvfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "orangefs", "smb3", "smbfs",
        "fuse.ceph", "fuse.ceph-fuse", "fuse.curlftpfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs",
        "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    }
)  # fmt: skip
"""File systems whose files are on another machine, as the kernel names them (9p, drvfs: a host's folder in a VM)."""


def network_file_system(path: Path) -> str | None:
    """The name of the network file system that holds `path`, which need not exist; None if it is a local one.

    None too where the system does not say what is mounted.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = file_system(mounts, PurePosixPath(path.resolve()))
    return kind if kind in NETWORK else None


def file_system(mountinfo: str, path: PurePosixPath) -> str | None:
    """The file system that an absolute path is on: of the mounts above it the deepest, of equally deep ones the last.

    Args:
        mountinfo: the text of `/proc/self/mountinfo`.
        path: absolute, without links.
    """
    deepest, found = -1, None
    for line in mountinfo.splitlines():
        mount, separator, file_systems = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) <= MOUNT_POINT:
            continue
        point = PurePosixPath(_unescaped(fields[MOUNT_POINT]))
        if path.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, found = len(point.parts), file_systems.split(" ")[0]
    return found


def _unescaped(field: str) -> str:
    r"""Spaces, tabs, line ends and backslashes stand as octal numbers, such as \040."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
