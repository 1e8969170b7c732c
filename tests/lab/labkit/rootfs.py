# SPDX-License-Identifier: Apache-2.0
"""The file system that a node sees, put together by its PID 1 in a mount namespace of its own.

    /                 the node's disk, a directory of the lab
    /usr              the machine's, with the installed build laid over it, read-only
    /etc              the machine's, with the node's own files laid over it
    /mnt/shared       one directory for all nodes: plays shared storage
    /srv/btrfs        with --btrfs, a btrfs file system in a file of the node
    /dev              the machine's devices, own /dev/pts and /dev/shm
    /proc /sys /run   fresh
"""

import os
from pathlib import Path

from .run import run

# Links into /usr on a machine with merged /usr, directories on an older one.
SYSTEM_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def _mount(*arguments):
    run(["mount", *(str(argument) for argument in arguments)])


def _system(disk):
    """/usr and what goes with it."""
    for name in SYSTEM_DIRECTORIES:
        outside, inside = Path("/") / name, disk / name
        if outside.is_symlink():
            if not inside.is_symlink():
                inside.symlink_to(os.readlink(outside))
        elif outside.is_dir():
            inside.mkdir(exist_ok=True)
            _mount("--bind", outside, inside)
            _mount("-o", "remount,bind,ro", inside)


def _cgroups(disk, trees):
    """Mounts the machine's cgroup trees afresh; the cgroup namespace makes them the node's own."""
    top = disk / "sys/fs/cgroup"
    if not any(tree["mount"] == "/sys/fs/cgroup" for tree in trees):
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", top)
    for tree in sorted(trees, key=lambda tree: tree["mount"]):
        place = disk / tree["mount"].lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        options = ["-o", tree["options"]] if tree["options"] else []
        _mount("-t", tree["fstype"], *options, tree["fstype"], place)


def build(config):
    """Mounts everything below the node's disk and makes that the root."""
    node = Path(config["directory"])
    disk = node / "disk"

    _mount("--bind", disk, disk)
    for name in ("dev", "proc", "sys", "run", "tmp", "usr", "etc", "mnt/shared", "old-root"):
        (disk / name).mkdir(parents=True, exist_ok=True)
    _system(disk)

    staging = Path(config["staging"]) / "usr" if config["staging"] else None
    if staging and staging.is_dir():
        _mount("-t", "overlay", "-o", f"ro,lowerdir={staging}:/usr", "overlay", disk / "usr")
    else:
        _mount("--bind", "/usr", disk / "usr")
        _mount("-o", "remount,bind,ro", disk / "usr")
    _mount("-t", "overlay", "-o", f"lowerdir=/etc,upperdir={node}/etc,workdir={node}/etc.work",
           "overlay", disk / "etc")
    if not config["cluster"]:
        # Debian's example is in the machine's /etc.
        (disk / "etc/corosync/corosync.conf").unlink(missing_ok=True)
    _mount("--bind", config["shared"], disk / "mnt/shared")
    if config["btrfs"]:
        (disk / "srv/btrfs").mkdir(parents=True, exist_ok=True)
        _mount("-o", "loop", node / "btrfs.img", disk / "srv/btrfs")

    _mount("-t", "tmpfs", "-o", "mode=755,nosuid,nodev", "tmpfs", disk / "run")
    _mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "tmpfs", disk / "tmp")
    (disk / "run/lock").mkdir()
    _mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", disk / "proc")
    _mount("-t", "sysfs", "-o", "nosuid,nodev,noexec", "sysfs", disk / "sys")
    _cgroups(disk, config["cgroups"])
    _mount("--bind", "/dev", disk / "dev")
    _mount("-t", "devpts", "-o", "gid=5,mode=620,ptmxmode=666", "devpts", disk / "dev/pts")
    _mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "tmpfs", disk / "dev/shm")

    os.chdir(disk)
    run(["pivot_root", ".", "old-root"])
    os.chroot(".")
    os.chdir("/")
    run(["umount", "--lazy", "/old-root"])
    os.rmdir("/old-root")
