# SPDX-License-Identifier: Apache-2.0
"""Volumes on a real file system: made, mounted on loop devices, filled from archives, removed.

Everything is done by atoll-probe in a mount name space of its own, so that no mount of a test can
be seen by, or outlive it on, the machine.
"""

import bz2
import ctypes
import gzip
import io
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("ATOLL_BUILD", TESTS.parent / "build"))
PROBE = BUILD / "tests/probe/atoll-probe"
MIB = 1024 * 1024
BASE = 100000  # Host id of the containers' root.

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def private_mounts():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "cannot make a private mount name space")


class Host:
    """A mount name space, kept by a process that sleeps in it, and a storage below a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.keeper = subprocess.Popen(["sleep", "infinity"], preexec_fn=private_mounts)
        self.storage = directory / "vz"
        self.cfg = directory / "storage.cfg"
        self.cfg.write_text(f"dir: local\n\tpath {self.storage}\n\tcontent rootdir,vztmpl\n")
        self.root = directory / "root"

    def close(self):
        self.keeper.kill()
        self.keeper.wait()

    def run(self, *argv, check=True):
        """Runs a program in the name space."""
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/{self.keeper.pid}/ns/mnt", "--", *map(str, argv)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC"})
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def probe(self, *args):
        return self.run(PROBE, "storage", "--cfg", self.cfg, *args).stdout.strip()

    def probe_fails(self, *args):
        """The reason that is given."""
        done = self.run(PROBE, "storage", "--cfg", self.cfg, *args, check=False)
        assert done.returncode == 1, done.stderr
        return done.stderr.strip()

    def alloc(self, size, vmid=100):
        return self.probe("alloc", "local", vmid, size, BASE)

    def mount(self, config, *options):
        path = self.directory / "ct.conf"
        path.write_text(config)
        self.probe("mount", path, self.root, BASE, *options)

    def mount_fails(self, config):
        path = self.directory / "ct.conf"
        path.write_text(config)
        return self.probe_fails("mount", path, self.root, BASE)

    def mounts(self):
        """(target, options) of mounts at and below the root."""
        table = self.run("cat", "/proc/self/mountinfo").stdout.splitlines()
        fields = [line.split() for line in table]
        return [(f[4], f[5].split(",")) for f in fields
                if (f[4] + "/").startswith(f"{self.root}/")]

    def stat(self, path, fmt="%a %u %g %F"):
        return self.run("stat", "-c", fmt, path).stdout.strip()

    def images(self):
        return sorted(str(p.relative_to(self.storage)) for p in self.storage.rglob("*"))

    def loop_devices(self):
        """Loop devices that hold a file of this test."""
        files = Path("/sys/block").glob("loop*/loop/backing_file")
        return [f for f in files if str(self.directory) in read_or_empty(f)]


def read_or_empty(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def eventually(condition, seconds=5):
    """The kernel detaches loop devices a moment after the last mount went."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def host(tmp_path):
    tmp_path.chmod(0o755)
    host = Host(tmp_path)
    yield host
    host.close()
    assert eventually(lambda: not host.loop_devices()), "a loop device was left"


@pytest.fixture
def rootfs(host):
    """A mounted, empty container of 64 MiB."""
    volume = host.alloc(64 * MIB)
    host.mount(f"rootfs: {volume}\n")
    return host.root


# --- archives ----------------------------------------------------------------------------------


def member(name, kind=tarfile.REGTYPE, **attributes):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def tar_bytes(*members):
    """A tar of TarInfo, or (TarInfo, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in members:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def archive(host, data, name="template.tar"):
    path = host.directory / name
    path.write_bytes(data)
    return path


def small_tree():
    return tar_bytes(
        member("./", tarfile.DIRTYPE),
        member("./etc", tarfile.DIRTYPE),
        (member("./etc/passwd", uid=3, gid=4, mode=0o640, mtime=1000000000), b"root:x:0:0\n"),
        (member("./bin/su", mode=0o4755), b"#!/bin/sh\n"),
        member("./etc/hard", tarfile.LNKTYPE, linkname="./etc/passwd"),
        member("./etc/soft", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("./run/fifo", tarfile.FIFOTYPE),
        member("./dev", tarfile.DIRTYPE),
        member("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
        (member("./dev/file"), b"x"),
    )


# --- volumes -----------------------------------------------------------------------------------


def test_an_image_lives_from_alloc_to_free(host):
    volume = host.alloc(1024 * MIB)
    assert volume == "local:100/vm-100-disk-0.raw"
    path = Path(host.probe("path", volume))
    assert path.stat().st_size == 1024 * MIB
    assert path.stat().st_blocks * 512 < 16 * MIB, "the image is not sparse"
    assert host.probe("list", "local") == f"{volume} raw rootdir {1024 * MIB} 100"

    host.mount(f"rootfs: {volume},size=1G\n")
    assert [target for target, _ in host.mounts()] == [str(host.root)]
    assert host.stat(host.root) == f"755 {BASE} {BASE} directory"
    assert len(host.loop_devices()) == 1
    host.probe("unmount", host.root)
    assert host.mounts() == []
    assert eventually(lambda: not host.loop_devices())

    host.probe("free", volume)
    assert host.images() == ["images"]
    assert "does not exist" in host.probe_fails("free", volume)


@pytest.mark.parametrize("shared", [False, True])
def test_images_of_shared_storages_are_protected_from_a_second_mount(host, shared):
    if shared:
        host.cfg.write_text(host.cfg.read_text() + "\tshared 1\n")
    path = host.probe("path", host.alloc(16 * MIB))
    features = host.run("dumpe2fs", "-h", path).stdout.split("Filesystem features:")[1]
    assert ("mmp" in features.splitlines()[0].split()) is shared


def test_alloc_takes_the_lowest_free_number(host):
    first, second, third = (host.alloc(8 * MIB) for _ in range(3))
    assert [v[-5] for v in (first, second, third)] == ["0", "1", "2"]
    host.probe("free", second)
    assert host.alloc(0) == "local:100/subvol-100-disk-1.subvol"
    assert host.alloc(0, vmid=101) == "local:101/subvol-101-disk-0.subvol"


def test_alloc_at_the_same_time_gives_different_volumes(host):
    commands = [
        subprocess.Popen([PROBE, "storage", "--cfg", host.cfg, "alloc", "local", "100",
                          str(8 * MIB), str(BASE)], stdout=subprocess.PIPE, text=True)
        for _ in range(8)]
    volumes = {command.communicate(timeout=60)[0].strip() for command in commands}
    assert volumes == {f"local:100/vm-100-disk-{k}.raw" for k in range(8)}


def test_a_directory_volume_is_removed_with_what_a_guest_put_there(host):
    volume = host.alloc(0)
    path = Path(host.probe("path", volume))
    assert host.stat(path) == f"755 {BASE} {BASE} directory"
    precious = host.directory / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (path / "link").symlink_to(precious)
    (path / "sub").mkdir()
    (path / "sub/link").symlink_to("../../../../precious")
    host.probe("free", volume)
    assert (precious / "file").read_text() == "mine"
    assert host.images() == ["images"]


def test_a_link_in_place_of_a_volume_is_not_followed(host):
    volume = host.alloc(8 * MIB)
    path = Path(host.probe("path", volume))
    path.rename(host.directory / "elsewhere")
    path.symlink_to(host.directory / "elsewhere")
    assert "cannot open volume" in host.mount_fails(f"rootfs: {volume}\n")

    shutil.rmtree(path.parent)
    (host.directory / "100").mkdir()
    (host.directory / "100/vm-100-disk-0.raw").write_bytes(b"mine")
    path.parent.symlink_to(host.directory / "100")
    assert "cannot open volume" in host.probe_fails("free", volume)
    assert (host.directory / "100/vm-100-disk-0.raw").read_bytes() == b"mine"
    assert "cannot" in host.probe_fails("alloc", "local", 100, 8 * MIB, BASE)
    assert sorted(p.name for p in (host.directory / "100").iterdir()) == ["vm-100-disk-0.raw"]


def small_file_system(host, size):
    """Puts the storage on a file system of this size."""
    image = host.directory / "small.img"
    with open(image, "wb") as file:
        file.truncate(size)
    host.run("mkfs.ext4", "-q", "-F", "-m0", image)
    host.storage.mkdir()
    host.run("mount", "-o", "loop", image, host.storage)


def test_a_full_disk_leaves_no_volume(host):
    small_file_system(host, 4 * MIB)
    host.run("mkdir", "-p", f"{host.storage}/images")
    host.run("dd", "if=/dev/zero", f"of={host.storage}/fill", "bs=64k", check=False)
    reason = host.probe_fails("alloc", "local", 100, 512 * MIB, BASE)
    assert "no space left" in reason.lower()
    assert len(reason.splitlines()) == 1
    assert host.run("ls", f"{host.storage}/images").stdout == ""


def test_a_storage_that_must_be_mounted_is_offline_without(host):
    host.cfg.write_text(host.cfg.read_text() + "\tis_mountpoint yes\n")
    host.storage.mkdir()
    assert host.probe("status", "local").startswith("inactive ")
    assert "is not online" in host.probe_fails("alloc", "local", 100, 8 * MIB, BASE)
    host.run("mount", "-t", "tmpfs", "none", host.storage)
    assert host.probe("status", "local").startswith("active ")


@pytest.mark.parametrize("size", [1, 4096, 2**62])
def test_a_size_that_cannot_be_made_leaves_nothing(host, size):
    assert host.probe_fails("alloc", "local", 100, size, BASE)
    assert host.images() in (["images"], [])


# --- mounting ----------------------------------------------------------------------------------


def test_mount_points_are_mounted_in_order_and_read_only_where_asked(host):
    root, data, inner = host.alloc(16 * MIB), host.alloc(16 * MIB), host.alloc(0)
    config = (f"rootfs: {root}\n"
              f"mp0: {data},mp=/srv,mountoptions=noatime;nodev\n"
              f"mp1: {inner},mp=/srv/in/ner,ro=1\n")
    host.mount(config)
    mounts = dict(host.mounts())
    assert list(mounts) == [str(host.root), f"{host.root}/srv", f"{host.root}/srv/in/ner"]
    assert {"noatime", "nodev", "rw"} <= set(mounts[f"{host.root}/srv"])
    assert "ro" in mounts[f"{host.root}/srv/in/ner"]
    assert host.stat(f"{host.root}/srv/in") == f"755 {BASE} {BASE} directory"
    assert host.run("touch", f"{host.root}/srv/in/ner/x", check=False).returncode != 0
    host.probe("unmount", host.root)
    assert host.mounts() == []

    host.mount(config, "--read-write")
    assert all("rw" in options for _, options in host.mounts())


def test_a_read_only_image_is_read_only_as_a_whole(host):
    root, data = host.alloc(16 * MIB), host.alloc(16 * MIB)
    host.mount(f"rootfs: {root}\nmp0: {data},mp=/srv,ro=1\n")
    device = host.run("findmnt", "-no", "SOURCE", f"{host.root}/srv").stdout.strip()
    assert host.run("blockdev", "--getro", device).stdout.strip() == "1"


def test_a_failed_mount_point_undoes_all(host):
    root, data = host.alloc(16 * MIB), host.alloc(16 * MIB)
    reason = host.mount_fails(f"rootfs: {root}\nmp0: {data},mp=/srv\n"
                              "mp1: local:100/vm-100-disk-9.raw,mp=/x\n")
    assert reason.startswith("mp1: ") and "does not exist" in reason
    assert host.mounts() == []
    assert eventually(lambda: not host.loop_devices())


def test_an_image_that_is_in_use_shares_its_loop_device(host):
    root = host.alloc(16 * MIB)
    host.mount(f"rootfs: {root}\n")
    host.run("touch", f"{host.root}/mark")
    other = host.directory / "other"
    host.probe("mount", host.directory / "ct.conf", other, BASE)
    assert len(host.loop_devices()) == 1
    assert host.stat(f"{other}/mark", "%F") == "regular empty file"
    host.probe("unmount", other)
    host.run("touch", f"{host.root}/mark2")


@pytest.mark.parametrize("trap", ["link", "link/x", "dangling", "file", "file/x", "up"])
def test_a_target_that_leads_elsewhere_is_refused(host, trap):
    root, data = host.alloc(16 * MIB), host.alloc(0)
    host.mount(f"rootfs: {root}\n")
    host.run("ln", "-s", "/tmp", f"{host.root}/link")
    host.run("ln", "-s", "missing", f"{host.root}/dangling")
    host.run("touch", f"{host.root}/file")
    host.probe("unmount", host.root)

    target = "/a/../../x" if trap == "up" else f"/{trap}"
    assert host.mount_fails(f"rootfs: {root}\nmp0: {data},mp={target}\n").startswith("mp0: ")
    assert host.mounts() == []


def test_a_host_directory_is_bind_mounted_but_not_through_a_link(host):
    root = host.alloc(16 * MIB)
    source = host.directory / "source"
    source.mkdir()
    (source / "file").write_text("hello")
    host.mount(f"rootfs: {root}\nmp0: {source},mp=/srv,ro=1\n")
    assert host.run("cat", f"{host.root}/srv/file").stdout == "hello"
    assert host.run("touch", f"{host.root}/srv/x", check=False).returncode != 0
    host.probe("unmount", host.root)

    link = host.directory / "link"
    link.symlink_to(source)
    assert "cannot open" in host.mount_fails(f"rootfs: {root}\nmp0: {link},mp=/srv\n")


def test_an_image_without_file_system_is_refused(host):
    volume = host.alloc(8 * MIB)
    path = Path(host.probe("path", volume))
    path.write_bytes(bytes(8 * MIB))
    assert "holds no file system" in host.mount_fails(f"rootfs: {volume}\n")


# --- bind mounts while somebody interferes -------------------------------------------------------


class Bind:
    def __init__(self, host):
        self.host = host
        self.host_root = host.directory / "host"
        self.rootfs = host.root
        (self.host_root / "a/b").mkdir(parents=True)
        (self.host_root / "a/b/file").write_text("right")
        (self.host_root / "evil").mkdir()
        (self.rootfs / "t").mkdir(parents=True)

    def __call__(self, *options, source="a/b", target="t", action="bind", hook=None):
        if hook:
            script = self.host.directory / "hook"
            done = self.host.directory / "hook-done"
            script.write_text(f'#!/bin/sh -e\nH={self.host_root} R={self.rootfs}\n{hook}\n'
                              f'echo $1 >>{done}\n')
            script.chmod(0o755)
            options = (*options, "--hook", script)
        result = self.host.run(
            PROBE, "bindmount", action, "--host-root", self.host_root, "--source", source,
            "--rootfs", self.rootfs, "--target", target, *options, check=False)
        if hook:  # One that could not do its mischief has shown nothing.
            steps = done.read_text().split()
            assert steps[0] == "pre-mount"
            assert steps[1:] == ["post-mount"] or "post-mount" not in hook
        return result


@pytest.fixture
def bind(host):
    return Bind(host)


def test_bind_mounts_the_directory(bind):
    assert bind("--read-only").returncode == 0
    (_, options), = bind.host.mounts()
    assert "ro" in options
    assert bind.host.run("cat", f"{bind.rootfs}/t/file").stdout == "right"


@pytest.mark.parametrize("source, good", [
    ("a/b", True), ("/a/b", True), ("a/link", False), ("link/b", False), ("none", False),
    ("a/b/file", False)])
def test_walk_follows_no_link(bind, source, good):
    (bind.host_root / "a/link").symlink_to("b")
    (bind.host_root / "link").symlink_to("a")
    assert (bind(action="walk", source=source).returncode == 0) is good
    assert bind.host.mounts() == []


def test_a_source_replaced_before_mounting_does_not_matter(bind):
    done = bind(hook='[ $1 != pre-mount ] || { mv $H/a/b $H/a/c; ln -s ../evil $H/a/b; }')
    assert done.returncode == 0, done.stderr
    assert bind.host.run("cat", f"{bind.rootfs}/t/file").stdout == "right"


@pytest.mark.parametrize("hook", [
    # The target becomes a link before, or is moved away after mounting.
    '[ $1 != pre-mount ] || { mkdir $R/p; ln -s /tmp $R/p/t; }',
    '[ $1 != post-mount ] || { mv $R/p $R/q; mkdir -p $R/p/t; }',
    # Something else is mounted over it, or in its place.
    '[ $1 != post-mount ] || mount --bind $H/evil $R/p/t',
    '[ $1 != post-mount ] || { umount -l $R/p/t; mount --bind $H/evil $R/p/t; }',
    '[ $1 != post-mount ] || umount -l $R/p/t',
    # It becomes writable.
    '[ $1 != post-mount ] || mount -o remount,bind,rw $R/p/t',
])
def test_interference_is_noticed_and_nothing_stays_mounted(bind, hook):
    done = bind("--read-only", target="p/t", hook=hook)
    assert done.returncode == 1, "it was not noticed"
    assert done.stderr.strip()
    assert bind.host.mounts() == []


# --- unpacking ---------------------------------------------------------------------------------


def test_a_template_is_unpacked_with_all_attributes(host, rootfs):
    host.probe("extract", archive(host, small_tree()), rootfs)
    assert host.stat(f"{rootfs}/etc/passwd", "%a %u %g %h %Y") == \
        f"640 {BASE + 3} {BASE + 4} 2 1000000000"
    assert host.stat(f"{rootfs}/bin/su") == f"4755 {BASE} {BASE} regular file"
    assert host.stat(f"{rootfs}/etc/hard", "%i") == host.stat(f"{rootfs}/etc/passwd", "%i")
    assert host.run("readlink", f"{rootfs}/etc/soft").stdout == "/etc/passwd\n"
    assert host.stat(f"{rootfs}/run/fifo", "%F") == "fifo"
    assert host.run("ls", "-A", f"{rootfs}/dev").stdout == ""
    assert host.run("cat", f"{rootfs}/etc/passwd").stdout == "root:x:0:0\n"


def test_a_privileged_container_keeps_the_ids_of_the_host(host):
    directory = host.directory / "tree"
    directory.mkdir()
    host.probe("extract", "--privileged", archive(host, small_tree()), directory)
    assert host.stat(directory / "etc/passwd", "%u %g") == "3 4"


@pytest.mark.parametrize("suffix, compress", [
    ("gz", gzip.compress),
    ("bz2", bz2.compress),
    ("xz", lzma.compress),
    ("zst", lambda data: subprocess.run(["zstd", "-q"], input=data, check=True,
                                        stdout=subprocess.PIPE).stdout),
    ("lzo", lambda data: subprocess.run(["lzop"], input=data, check=True,
                                        stdout=subprocess.PIPE).stdout),
])
def test_every_compression_is_known_by_its_content(host, rootfs, suffix, compress):
    data = compress(small_tree())
    host.probe("extract", archive(host, data, f"template.{suffix}"), rootfs)
    assert host.run("cat", f"{rootfs}/etc/passwd").stdout == "root:x:0:0\n"
    broken = archive(host, data[:len(data) // 2], "broken")
    assert "is broken" in host.probe_fails("extract", broken, rootfs)


def test_attributes_and_holes_are_kept(host, rootfs):
    tree = host.directory / "tree"
    tree.mkdir()
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text("games:x:5:60::/:\n")  # tar writes the ACL's user by name.
    (tree / "ping").write_text("x")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(tree / "ping", "security.capability", capability)
    os.setxattr(tree / "ping", "user.note", b"hello")
    os.setxattr(tree / "ping", "trusted.secret", b"x")
    with open(tree / "holes", "wb") as file:
        file.truncate(32 * MIB)
        file.seek(16 * MIB)
        file.write(b"data")
    os.setxattr(tree / "holes", "system.posix_acl_access", bytes.fromhex(
        "02000000" "01000600ffffffff" "0200040005000000" "04000400ffffffff"
        "10000400ffffffff" "20000400ffffffff"))
    path = host.directory / "t.tar"
    host.run("tar", "-C", tree, "--sparse", "--acls", "--xattrs", "--xattrs-include=*",
             "--sort=name", "-cf", path, ".")
    host.probe("extract", path, rootfs)

    root = f"/proc/{host.keeper.pid}/root{rootfs}"
    names = os.listxattr(f"{root}/ping")
    assert sorted(names) == ["security.capability", "user.note"]
    assert os.getxattr(f"{root}/ping", "user.note") == b"hello"
    blocks, size = map(int, host.stat(f"{rootfs}/holes", "%b %s").split())
    assert size == 32 * MIB and blocks * 512 < MIB
    acl = os.getxattr(f"{root}/holes", "system.posix_acl_access")
    assert (BASE + 5).to_bytes(4, "little") in acl, "the ACL's user has no id of the container"


def test_an_acl_may_name_groups_of_the_archive(host, rootfs):
    def acl(group):
        return {"SCHILY.acl.access": f"user::rw-,group::r--,group:{group}:r-x,mask::r-x,other::---"}

    data = tar_bytes((member("etc/group"), b"root:x:0:\njournal:x:77:\n"),
                     member("known", pax_headers=acl("journal")),
                     member("unknown", pax_headers=acl("nosuch")))
    done = host.run(PROBE, "storage", "extract", archive(host, data), rootfs)
    assert done.stderr.strip() == \
        "warning: 'unknown' gets no ACL, as its 'nosuch' is not known"
    root = f"/proc/{host.keeper.pid}/root{rootfs}"
    value = os.getxattr(f"{root}/known", "system.posix_acl_access")
    assert (BASE + 77).to_bytes(4, "little") in value
    assert os.listxattr(f"{root}/unknown") == []


def test_what_is_there_already_stays(host, rootfs):
    host.run("install", "-d", "-o", BASE, "-g", BASE, "-m", "700", f"{rootfs}/etc")
    host.run("sh", "-c", f"echo old >{rootfs}/etc/passwd; chown {BASE} {rootfs}/etc/passwd")
    host.probe("extract", archive(host, small_tree()), rootfs)
    assert host.run("cat", f"{rootfs}/etc/passwd").stdout == "old\n"
    assert host.stat(f"{rootfs}/etc") == f"755 {BASE} {BASE} directory"


def test_names_in_utf8_and_other_bytes_are_kept(host, rootfs):
    info = member("caf\udce9")
    data = tar_bytes(member("naïve-文字"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT,
                      encoding="utf-8", errors="surrogateescape") as tar:
        tar.addfile(info)
    host.probe("extract", archive(host, data), rootfs)
    host.probe("extract", archive(host, out.getvalue()), rootfs)
    names = os.listdir(f"/proc/{host.keeper.pid}/root{rootfs}".encode())
    assert {"naïve-文字".encode(), b"caf\xe9"} <= set(names)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/..", ".."])
def test_names_that_lead_upwards_are_refused(host, rootfs, name):
    data = tar_bytes((member(name), b"x"))
    assert "bad name" in host.probe_fails("extract", archive(host, data), rootfs)
    assert not (host.directory / "evil").exists()


def test_absolute_names_are_below_the_root(host, rootfs):
    data = tar_bytes((member("/etc/atoll-test-evil"), b"x"),
                     member("//etc/atoll-test-link", tarfile.LNKTYPE,
                            linkname="/etc/atoll-test-evil"))
    host.probe("extract", archive(host, data), rootfs)
    assert host.stat(f"{rootfs}/etc/atoll-test-evil", "%h") == "2"
    assert not Path("/etc/atoll-test-evil").exists()


@pytest.mark.parametrize("target", ["/", "../../../../../../..", "/proc/self/root", "etc"])
def test_a_file_through_a_link_of_the_archive_is_refused(host, rootfs, target):
    data = tar_bytes(member("etc", tarfile.DIRTYPE),
                     member("link", tarfile.SYMTYPE, linkname=target),
                     (member("link/atoll-test-evil"), b"x"))
    assert host.probe_fails("extract", archive(host, data), rootfs)
    for directory in (Path("/"), Path("/etc"), host.directory):
        assert not (directory / "atoll-test-evil").exists()


def test_a_hard_link_to_the_host_is_refused(host, rootfs):
    data = tar_bytes(member("shadow", tarfile.LNKTYPE, linkname="/etc/shadow"))
    assert "cannot unpack 'shadow'" in host.probe_fails("extract", archive(host, data), rootfs)


def test_a_device_node_is_refused_in_an_unprivileged_container(host, rootfs):
    data = tar_bytes(member("disk", tarfile.BLKTYPE, devmajor=7, devminor=0))
    reason = host.probe_fails("extract", archive(host, data), rootfs)
    assert "cannot unpack 'disk'" in reason


def test_an_owner_outside_of_the_map_is_refused_or_skipped(host, rootfs):
    data = tar_bytes(member("file", uid=70000), member("next"))
    path = archive(host, data)
    assert "cannot unpack 'file'" in host.probe_fails("extract", path, rootfs)
    host.run("rm", "-f", f"{rootfs}/file")
    done = host.run(PROBE, "storage", "extract", "--ignore-errors", path, rootfs)
    assert "warning: cannot unpack 'file'" in done.stderr
    assert host.stat(f"{rootfs}/next", "%F") == "regular empty file"


def cuts(data):
    # Within the content of a file, within a header, and exactly between two entries.
    return {"content": data[:-600 - 10240], "header": data[:100], "boundary": data[:1024],
            "nothing": b"", "garbage": os.urandom(4096), "text": b"hello\n" * 1000}


@pytest.mark.parametrize("cut", cuts(bytes(20000)))
def test_a_broken_archive_is_named_in_one_sentence(host, rootfs, cut):
    whole = tar_bytes((member("a"), b"x"), (member("b"), bytes(20000)))
    path = archive(host, cuts(whole)[cut])
    reason = host.probe_fails("extract", path, rootfs)
    assert str(path) in reason and "archive is" in reason
    assert len(reason.splitlines()) == 1


def test_an_archive_must_be_a_file(host, rootfs):
    os.mkfifo(host.directory / "fifo")
    for path in (host.directory / "fifo", host.directory, "/dev/zero"):
        assert "not a regular file" in host.probe_fails("extract", path, rootfs)
    assert "No such file" in host.probe_fails("extract", host.directory / "none", rootfs)


def test_a_full_container_is_said_to_be_full(host, rootfs):
    data = tar_bytes(*[(member(f"f{i}"), os.urandom(8 * MIB)) for i in range(10)])
    reason = host.probe_fails("extract", archive(host, data), rootfs)
    assert "no space left while unpacking" in reason
    host.probe("unmount", rootfs)


def test_progress_reaches_the_size_of_the_archive(host, rootfs):
    path = archive(host, tar_bytes((member("f"), os.urandom(8 * MIB))))
    done = host.run(PROBE, "storage", "extract", "--progress", path, rootfs)
    steps = [tuple(map(int, line.split()[1:])) for line in done.stderr.splitlines()]
    assert {total for _, total in steps} == {path.stat().st_size}
    assert steps == sorted(steps)


def test_no_process_is_left_when_unpacking_is_killed(host, rootfs):
    path = archive(host, tar_bytes(*[member(f"f{i}") for i in range(200000)]))
    probe = subprocess.Popen(["nsenter", f"--mount=/proc/{host.keeper.pid}/ns/mnt", "--",
                              PROBE, "storage", "extract", path, rootfs])
    assert eventually(lambda: len(children(probe.pid)) == 1)
    child, = children(probe.pid)
    assert eventually(lambda: len(children(child)) == 1)
    grandchild, = children(child)
    probe.kill()
    probe.wait()
    assert eventually(lambda: not running(child) and not running(grandchild))


def children(pid):
    return [int(p) for p in read_or_empty(Path(f"/proc/{pid}/task/{pid}/children")).split()]


def running(pid):
    return " Z " not in (read_or_empty(Path(f"/proc/{pid}/stat")) or " Z ")
