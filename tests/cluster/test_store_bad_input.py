# SPDX-License-Identifier: Apache-2.0
"""What breaks a rule of the store gets the errno that POSIX gives, and changes nothing on any node."""

import ctypes
import errno
import os

import pytest
from support.store import barrier, put, root, state, wait_writable

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
MIB = 1 << 20


def renameat2(old, new, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def with_open(flags, function):
    """A request that opens the file f of the directory, and does something with it."""
    def request(top):
        descriptor = os.open(top / "f", flags)
        try:
            function(descriptor)
        finally:
            os.close(descriptor)

    return request


def create(path, flags=os.O_EXCL):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | flags))


# What is asked for in a directory with a file f, a file g and a directory d that holds a file, and
# what it must fail with.
REQUESTS = {
    "a second file of one name": (errno.EEXIST, lambda top: create(top / "f")),
    "a directory over a file": (errno.EEXIST, lambda top: os.mkdir(top / "f")),
    "a directory over a directory": (errno.EEXIST, lambda top: os.mkdir(top / "d")),
    "a file in nothing": (errno.ENOENT, lambda top: create(top / "none/f")),
    "a file in a file": (errno.ENOTDIR, lambda top: create(top / "f/x")),
    "writing to a directory": (errno.EISDIR, lambda top: os.open(top / "d", os.O_WRONLY)),
    "opening nothing": (errno.ENOENT, lambda top: os.open(top / "none", os.O_WRONLY)),
    "removing nothing": (errno.ENOENT, lambda top: os.unlink(top / "none")),
    "removing a directory as a file": (errno.EISDIR, lambda top: os.unlink(top / "d")),
    "removing a file as a directory": (errno.ENOTDIR, lambda top: os.rmdir(top / "f")),
    "removing a directory with content": (errno.ENOTEMPTY, lambda top: os.rmdir(top / "d")),
    "renaming nothing": (errno.ENOENT, lambda top: os.rename(top / "none", top / "x")),
    "renaming into nothing": (errno.ENOENT, lambda top: os.rename(top / "f", top / "none/x")),
    "renaming a file over a directory": (
        errno.EISDIR, lambda top: os.rename(top / "f", top / "d")),
    "renaming a directory over a file": (
        errno.ENOTDIR, lambda top: os.rename(top / "d", top / "f")),
    "renaming a directory into itself": (
        errno.EINVAL, lambda top: os.rename(top / "d", top / "d/e")),
    "renaming a directory with content": (
        errno.EPERM, lambda top: os.rename(top / "d", top / "e")),
    "renaming without replacing": (
        errno.EEXIST, lambda top: renameat2(top / "f", top / "g", RENAME_NOREPLACE)),
    "exchanging": (errno.EINVAL, lambda top: renameat2(top / "f", top / "g", RENAME_EXCHANGE)),
    "a name of 256 bytes": (errno.ENAMETOOLONG, lambda top: create(top / ("n" * 256))),
    "a symbolic link": (errno.EPERM, lambda top: os.symlink("f", top / "l")),
    "a hard link": (errno.EPERM, lambda top: os.link(top / "f", top / "l")),
    "a fifo": (errno.EPERM, lambda top: os.mkfifo(top / "p")),
    "another mode": (errno.EPERM, lambda top: os.chmod(top / "f", 0o777)),
    "another owner": (errno.EPERM, lambda top: os.chown(top / "f", 12345, -1)),
    "an extended attribute": (
        errno.ENOTSUP, lambda top: os.setxattr(top / "f", "user.x", b"1")),
    "a file too large by truncate": (errno.EFBIG, lambda top: os.truncate(top / "f", MIB + 1)),
    # One write from the start would be cut by the kernel into what fits and what does not.
    "a file too large by a write behind its end": (
        errno.EFBIG, with_open(os.O_WRONLY, lambda fd: os.pwrite(fd, b"x", MIB))),
    "a negative size": (errno.EINVAL, lambda top: os.truncate(top / "f", -1)),
    "writing through a reader": (
        errno.EBADF, with_open(os.O_RDONLY, lambda fd: os.write(fd, b"x"))),
    "removing what the store makes": (
        errno.EPERM, lambda top: os.unlink(top.parent / ".members")),
    "replacing what the store makes": (
        errno.EPERM, lambda top: os.rename(top / "f", top.parent / ".version")),
    "a second configuration of one guest": (
        errno.EEXIST, lambda top: create(top.parent / "nodes/n2/lxc/91000.conf")),
    "a guest moved over another": (
        errno.EEXIST, lambda top: renameat2(top.parent / "nodes/n1/lxc/91000.conf",
                                            top.parent / "nodes/n2/lxc/91001.conf",
                                            RENAME_NOREPLACE)),
}


@pytest.fixture(scope="module")
def prepared(cluster_lab):
    """A lab whose store has the directory `bad`."""
    wait_writable(cluster_lab.nodes)
    top = root(cluster_lab.nodes[0])
    (top / "bad/d").mkdir(parents=True, exist_ok=True)
    for name in ("bad/f", "bad/g", "bad/d/inner", "nodes/n1/lxc/91000.conf",
                 "nodes/n2/lxc/91001.conf"):
        put(top / name, b"content")
    yield cluster_lab
    wait_writable(cluster_lab.nodes)
    for name in ("bad/f", "bad/g", "bad/d/inner", "nodes/n1/lxc/91000.conf",
                 "nodes/n2/lxc/91001.conf"):
        (top / name).unlink()
    (top / "bad/d").rmdir()
    (top / "bad").rmdir()


def digests(lab):
    for node in lab.nodes:
        barrier(node)
    return {node.name: state(node)["tree_digest"] for node in lab.nodes}


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_that_breaks_a_rule(prepared, what):
    code, request = REQUESTS[what]
    before = digests(prepared)
    assert len(set(before.values())) == 1
    for node in prepared.nodes:
        with pytest.raises(OSError) as caught:
            request(root(node) / "bad")
        assert errno.errorcode[caught.value.errno] == errno.errorcode[code]
    assert digests(prepared) == before
