"""Which file system a store is on, from texts as Linux writes them."""

from pathlib import Path, PurePosixPath

import pytest

from harvester.store import network
from harvester.store.network import NETWORK, file_system, network_file_system

MOUNTS = r"""22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard,errors=remount-ro
23 22 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
31 22 253:1 / /home rw,relatime shared:12 - xfs /dev/vdb rw,attr2,inode64
40 31 0:45 / /home/ann/shared rw,relatime shared:30 - nfs4 10.0.0.5:/export/shared rw,vers=4.2,hard,proto=tcp
41 31 0:46 / /home/ann/My\040Documents rw,relatime shared:31 - cifs //server/My\040Documents rw,vers=3.1.1
42 31 253:0 /srv/local /home/ann/shared/fast rw,relatime shared:1 - ext4 /dev/vda rw,discard
43 22 0:45 /data /srv/bound rw,relatime shared:30 master:4 propagate_from:2 - nfs4 10.0.0.5:/export/shared rw,vers=4.2
44 22 0:50 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=0
45 22 0:51 / /mnt/host rw,nosuid,nodev,relatime shared:33 - fuse.sshfs ann@host:/data rw,user_id=0
46 22 0:52 / /mnt/odd\134name rw - fuse.glusterfs gluster:/volume rw
47 22 0:53 / /mnt/twice rw - nfs old:/export rw
48 47 0:54 / /mnt/twice rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/root/harvest.db", "ext4"),
        ("/home/ann/harvest.db", "xfs"),
        ("/homeless/harvest.db", "ext4"),  # /home is no beginning of it, though its letters are
        ("/home/ann/shared/harvest.db", "nfs4"),
        ("/home/ann/shared2/harvest.db", "xfs"),
        ("/home/ann/shared/fast/harvest.db", "ext4"),  # a local folder bound into a network one
        ("/srv/bound/harvest.db", "nfs4"),  # and the other way round, with optional fields
        ("/home/ann/My Documents/harvest.db", "cifs"),
        ("/mnt/c/Users/ann/harvest.db", "9p"),
        ("/mnt/host/harvest.db", "fuse.sshfs"),
        (r"/mnt/odd\name/harvest.db", "fuse.glusterfs"),
        ("/mnt/twice/harvest.db", "tmpfs"),  # the later mount hides the earlier one
    ],
)
def test_a_path_is_on_the_deepest_mount_above_it(path: str, kind: str) -> None:
    assert file_system(MOUNTS, PurePosixPath(path)) == kind


def test_without_a_word_about_mounts_nothing_is_said() -> None:
    assert file_system("", PurePosixPath("/harvest.db")) is None


def test_fault_06_a_network_file_system_is_named_and_a_local_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(network, "MOUNTS", mounts)
    (tmp_path / "link").symlink_to(tmp_path / "far")
    local = "22 1 253:0 / / rw - ext4 /dev/vda rw\n"
    mounts.write_text(local + f"40 22 0:45 / {tmp_path}/far rw - nfs4 10.0.0.5:/export rw\n")
    assert network_file_system(tmp_path / "far" / "harvest.db") == "nfs4"
    assert network_file_system(tmp_path / "link" / "harvest.db") == "nfs4"
    assert network_file_system(tmp_path / "harvest.db") is None
    mounts.unlink()
    assert network_file_system(tmp_path / "far" / "harvest.db") is None


def test_file_systems_of_this_machine_are_none_of_the_network_ones() -> None:
    assert {"ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.mergerfs"}.isdisjoint(NETWORK)
