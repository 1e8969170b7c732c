# SPDX-License-Identifier: Apache-2.0
"""Loop devices of a node that lost its power.

The kernel keeps a loop device whose file is below a dead node's disk.  Its path is of no use from
outside the node's mount namespace, so it is known by device and inode of its file.
"""

import fcntl
import os
import struct
from pathlib import Path

LOOP_CLR_FD = 0x4C01
LOOP_GET_STATUS64 = 0x4C05

# struct loop_info64 begins with lo_device and lo_inode.
INFO_SIZE = 232


def _backing(fd):
    """(device, inode) of the file below an open loop device; None when it is free."""
    info = bytearray(INFO_SIZE)
    try:
        fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
    except OSError:
        return None
    device, inode = struct.unpack_from("=QQ", info)
    return device, inode


def _encoded(device):
    """A device number as the kernel puts it into loop_info64 (huge_encode_dev)."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _files_below(top):
    found = set()
    for path, _, names in os.walk(top):
        for name in names:
            try:
                status = os.lstat(os.path.join(path, name))
            except OSError:
                continue
            found.add((_encoded(status.st_dev), status.st_ino))
    return found


def _busy():
    """(device, (st_dev, inode) of its file) of every loop device in use."""
    for entry in sorted(Path("/sys/block").glob("loop*/loop")):
        device = Path("/dev") / entry.parent.name
        try:
            fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        backing = _backing(fd)
        os.close(fd)
        if backing:
            yield device, backing


def attached(top):
    """The loop devices whose file is below top."""
    busy = list(_busy())
    files = _files_below(top) if busy else set()
    return [device for device, backing in busy if backing in files]


def attached_in(root):
    """The loop devices whose file is seen, under the name that the kernel gives it, below root:
    another mount namespace's root directory."""
    found = []
    for device, backing in _busy():
        name = Path(f"/sys/block/{device.name}/loop/backing_file").read_text().rstrip("\n")
        try:
            status = os.stat(root / name.lstrip("/"))
        except OSError:
            continue
        if (_encoded(status.st_dev), status.st_ino) == backing:
            found.append(device)
    return found


def free(device):
    """Takes the file from a loop device.  A device that still is in use frees itself later."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, LOOP_CLR_FD)
    except OSError:
        pass  # It freed itself with the last mount.
    finally:
        os.close(fd)


def detach(top):
    """Frees the loop devices whose file is below top."""
    for device in attached(top):
        free(device)
