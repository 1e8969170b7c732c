# SPDX-License-Identifier: Apache-2.0
"""Guest set-up through atoll-probe: the child that works in the guest's root, owners, and what a hostile
guest may have put there.  What is written is the business of the unit tests."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

PROBE = Path(os.environ["ATOLL_BUILD"]).resolve() / "tests/probe/atoll-probe"
ROOT_OF_CT = 100000


@pytest.fixture
def guest(tmp_path):
    """A small Debian tree, with its configuration beside it."""
    for name in ("etc/ssh", "etc/network", "bin", "root", "sbin"):
        (tmp_path / "rootfs" / name).mkdir(parents=True)
    shutil.copy("/bin/dash", tmp_path / "rootfs/bin/sh")
    put(tmp_path, "etc/os-release", "ID=debian\n")
    put(tmp_path, "etc/debian_version", "12.4\n")
    put(tmp_path, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    put(tmp_path, "etc/shadow", "root:*:1:0:99999:7:::\n")
    (tmp_path / "rootfs/etc/shadow").chmod(0o640)
    configure(tmp_path, "hostname: web", "net0: name=eth0,bridge=vmbr0,ip=10.0.0.9/24")
    return tmp_path


def put(guest, path, text):
    (guest / "rootfs" / path).write_text(text)


def get(guest, path):
    return (guest / "rootfs" / path).read_text()


def configure(guest, *lines):
    (guest / "ct.conf").write_text("".join(f"{line}\n" for line in lines))


def probe(guest, *argv, prefix=(), keys=False):
    command = [*prefix, PROBE, "guest-setup", "--rootfs", guest / "rootfs", *argv]
    if "--detect-only" not in argv:
        command += ["--config", guest / "ct.conf"]
    if not keys:
        command.append("--no-ssh-host-keys")
    # The standard input is closed: no descriptor may be taken for "none" because its number is 0.
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
                          preexec_fn=lambda: os.close(0))


def set_up(guest, *argv, **options):
    result = probe(guest, *argv, **options)
    assert result.returncode == 0, result.stderr
    return result


def snapshot(top):
    """Everything of a tree that a second run could change."""
    found = {}
    for path in sorted(top.rglob("*")):
        st = path.lstat()
        content = os.readlink(path) if path.is_symlink() else (
            path.read_bytes() if path.is_file() else None)
        found[str(path)] = (st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, content)
    return found


def test_configuration_learns_what_was_found(guest):
    set_up(guest)
    lines = (guest / "ct.conf").read_text().splitlines()
    assert "ostype: debian" in lines and "arch: amd64" in lines


def test_detection_alone_changes_nothing(guest):
    before = snapshot(guest)
    result = set_up(guest, "--detect-only")
    assert result.stdout == "ostype: debian\nversion: 12\narch: amd64\n"
    assert snapshot(guest) == before


def test_second_run_writes_nothing(guest):
    set_up(guest, "--password", "$6$salt$hash")
    before = snapshot(guest)
    set_up(guest, "--password", "$6$salt$hash")
    assert snapshot(guest) == before


def test_files_belong_to_the_root_of_the_container(guest):
    configure(guest, "hostname: web", "unprivileged: 1")
    set_up(guest, "--password", "secret")
    assert (guest / "rootfs/etc/hostname").lstat().st_uid == ROOT_OF_CT
    shadow = (guest / "rootfs/etc/shadow").lstat()
    assert (shadow.st_uid, stat.S_IMODE(shadow.st_mode)) == (0, 0o640)


def test_mapped_root_of_a_namespace_is_enough(guest):
    configure(guest, "hostname: web", "unprivileged: 1")
    set_up(guest, "--password", "secret", prefix=("unshare", "--user", "--map-root-user"))
    assert get(guest, "etc/hostname") == "web\n"


def test_host_keys_are_new_and_private(guest):
    set_up(guest, keys=True)
    names = {path.name for path in (guest / "rootfs/etc/ssh").iterdir()}
    assert names == {f"ssh_host_{kind}_key{end}"
                     for kind in ("rsa", "ecdsa", "ed25519") for end in ("", ".pub")}
    key = guest / "rootfs/etc/ssh/ssh_host_ed25519_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert get(guest, "etc/ssh/ssh_host_ed25519_key.pub").endswith(" root@web\n")


@pytest.mark.parametrize("path", ["etc/hostname", "etc/hosts", "etc/resolv.conf",
                                  "etc/network/interfaces", "etc/shadow", "fastboot"])
def test_links_of_the_guest_stay_inside(guest, path):
    outside = guest / "outside"
    outside.write_text("the host's\n")
    link = guest / "rootfs" / path
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    result = probe(guest, "--phase", "pre-start")
    assert outside.read_text() == "the host's\n" and result.returncode == 0, result.stderr


def test_directory_that_is_a_link_leads_nowhere(guest):
    outside = guest / "outside"
    outside.mkdir()
    shutil.rmtree(guest / "rootfs/etc/network")
    (guest / "rootfs/etc/network").symlink_to(outside)
    assert probe(guest, "--phase", "pre-start").returncode != 0
    assert not list(outside.iterdir())


def test_fifo_does_not_hang(guest):
    os.mkfifo(guest / "rootfs/etc/hosts")
    result = probe(guest, "--phase", "pre-start")
    assert result.returncode != 0 and "/etc/hosts" in result.stderr


def test_endless_file_is_refused(guest):
    with open(guest / "rootfs/etc/hosts", "wb") as file:
        file.truncate(1 << 40)
    result = probe(guest, "--phase", "pre-start")
    assert result.returncode != 0 and "/etc/hosts" in result.stderr


def test_bare_tree_is_no_failure(guest):
    for name in ("bin/sh", "etc/passwd", "etc/shadow"):
        (guest / "rootfs" / name).unlink()
    result = set_up(guest, "--password", "secret")
    assert "amd64" in result.stderr
    assert not (guest / "rootfs/etc/passwd").exists()


def test_unmanaged_is_not_touched(guest):
    configure(guest, "hostname: web", "ostype: unmanaged")
    before = snapshot(guest / "rootfs")
    set_up(guest, "--password", "secret")
    assert snapshot(guest / "rootfs") == before


def test_other_type_is_a_warning(guest):
    configure(guest, "hostname: web", "ostype: alpine")
    assert "alpine" in set_up(guest, "--phase", "pre-start").stderr


@pytest.mark.parametrize("argv, word", [
    (("--phase", "nonsense"), "nonsense"),
    (("--ostype", "plan9"), "plan9"),
    (("--host-resolv-conf", "/nonexistent"), "/nonexistent"),
    (("--nonsense",), "nonsense"),
])
def test_wrong_arguments_change_nothing(guest, argv, word):
    before = snapshot(guest)
    result = probe(guest, *argv)
    assert result.returncode != 0 and word in result.stderr
    assert snapshot(guest) == before
