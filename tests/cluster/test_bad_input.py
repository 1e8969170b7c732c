# SPDX-License-Identifier: Apache-2.0
"""Input that is wrong: one clear sentence, a status other than 0, and nothing left behind."""

import pytest
from support.product import create, refused, remove_containers


@pytest.fixture(autouse=True)
def no_containers(lab):
    remove_containers(lab)
    yield
    remove_containers(lab)


@pytest.mark.parametrize("vmid", ["0", "99", "1000000000", "-1", "abc", "100x", "", "../100"])
def test_wrong_ctid(lab, n1, vmid):
    refused(lab, n1, ["pct", "create", vmid, lab.busybox, "--rootfs", "local:1"])


@pytest.mark.parametrize("option", [
    ["--colour", "red"],
    ["--memory", "1"],
    ["--memory", "much"],
    ["--cores", "0"],
    ["--cores", "99999"],
    ["--hostname", "no spaces allowed"],
    ["--hostname", "x" * 300],
    ["--net0", "bridge=vmbr0"],
    ["--net0", "name=eth0,bridge=vmbr0,ip=10.0.0.300/24"],
    ["--net0", "name=eth0,bridge=vmbr0,colour=red"],
    ["--net32", "name=eth0,bridge=vmbr0"],
    ["--ostype", "windows"],
    ["--unprivileged=perhaps"],
    ["--rootfs"],
    ["--description", "x" * 20000],
    ["--mp0", "local:1,mp=/"],
    ["--ssh-public-keys", "/etc/hostname"],
])
def test_wrong_option(lab, n1, option):
    said = refused(lab, n1, ["pct", "create", "100", lab.busybox, "--rootfs", "local:1", *option])
    assert option[0].lstrip("-").split("=")[0] in said


@pytest.mark.parametrize("rootfs", [
    "nowhere:1", "local:-1", "local:much", "local:1,colour=red", "local:../../etc/1", "local:",
    "/dev/sda",
])
def test_wrong_root(lab, n1, rootfs):
    refused(lab, n1, ["pct", "create", "100", lab.busybox, "--rootfs", rootfs])


def test_root_that_is_not_empty(lab, n1):
    said = refused(lab, n1, ["pct", "create", "100", lab.busybox, "--unprivileged", "0", "--rootfs", "/etc"])
    assert "not empty" in said


def test_start_that_lxc_refuses_says_so_in_one_line(lab, n1):
    create(n1, 100, lab.busybox, "--net0", "name=eth0,bridge=vmbr0")
    n1.ok(["sed", "-i", r"/^net0/{p;s/net0/net1/}", "/etc/pve/lxc/100.conf"])
    said = refused(lab, n1, ["pct", "start", "100"], "cannot start CT 100")
    assert len(said.splitlines()) == 1, said


def test_lines_that_get_lost_are_named(lab, n1):
    create(n1, 100, lab.busybox)
    n1.ok(["sh", "-c", "printf 'no line\\nmine: 1\\n' >> /etc/pve/lxc/100.conf"])
    for command in (["config", "100"], ["set", "100", "--cores", "1"]):
        done = n1.run(["pct", *command])
        assert done.returncode == 0
        assert [line.startswith("WARN: line ") for line in done.stderr.splitlines()] == [True, True]
    text = n1.ok(["cat", "/etc/pve/lxc/100.conf"])
    assert "mine: 1" in text and "no line" not in text


def test_unknown_storage(lab, n1):
    refused(lab, n1, ["pct", "create", "100", lab.busybox, "--rootfs", "nowhere:1"],
            "nowhere", "does not exist")


@pytest.mark.parametrize("volume", [
    "local:vztmpl/missing.tar.gz", "local:vztmpl/../../../../etc/passwd", "nowhere:vztmpl/a.tar.gz",
    "/missing.tar.gz", "local:iso/busybox.tar.gz", "",
])
def test_missing_template(lab, n1, volume):
    refused(lab, n1, ["pct", "create", "100", volume, "--rootfs", "local:1"])


def test_existing_id_on_the_same_and_on_another_node(lab, n1, n2):
    create(n1, 100, lab.busybox)
    for node in (n1, n2):
        refused(lab, node, ["pct", "create", "100", lab.busybox, "--rootfs", "local:1"],
                "already exists")


@pytest.mark.parametrize("content", [b"", b"this is no archive", b"\x1f\x8b\x08broken gzip"])
@pytest.mark.parametrize("rootfs", ["local:1", "local:0"])
def test_broken_tar(lab, n1, tmp_path, content, rootfs):
    (tmp_path / "broken.tar.gz").write_bytes(content)
    n1.put(tmp_path / "broken.tar.gz", "/var/lib/vz/template/cache/broken.tar.gz")
    refused(lab, n1, ["pct", "create", "100", "local:vztmpl/broken.tar.gz", "--rootfs", rootfs])
    n1.ok(["rm", "/var/lib/vz/template/cache/broken.tar.gz"])


def test_tar_that_ends_too_early(lab, n1, tmp_path):
    whole = (n1.disk / "var/lib/vz/template/cache/busybox.tar.gz").read_bytes()
    (tmp_path / "short.tar.gz").write_bytes(whole[:len(whole) // 2])
    n1.put(tmp_path / "short.tar.gz", "/var/lib/vz/template/cache/short.tar.gz")
    refused(lab, n1, ["pct", "create", "100", "local:vztmpl/short.tar.gz", "--rootfs", "local:1"])
    n1.ok(["rm", "/var/lib/vz/template/cache/short.tar.gz"])


@pytest.fixture
def big_template(lab, n1, tmp_path):
    """A template with 64 MiB that do not compress away on disk."""
    n1.ok(["sh", "-c", """
        set -e
        mkdir -p /tmp/big/root /tmp/big/etc /tmp/big/sbin
        tar -C /tmp/big -xzf /var/lib/vz/template/cache/busybox.tar.gz
        dd if=/dev/urandom of=/tmp/big/root/big bs=1M count=64 status=none
        tar -C /tmp/big -cf /var/lib/vz/template/cache/big.tar .
        gzip -1 /var/lib/vz/template/cache/big.tar
        rm -r /tmp/big"""])
    yield "local:vztmpl/big.tar.gz"
    n1.ok(["rm", "/var/lib/vz/template/cache/big.tar.gz"])


def test_volume_too_small_for_the_template(lab, n1, big_template):
    refused(lab, n1, ["pct", "create", "100", big_template, "--rootfs", "local:0.03"], "space")


@pytest.mark.parametrize("rootfs", ["local:0", "local:1"])
def test_full_disk_while_unpacking(lab, n1, big_template, rootfs):
    n1.ok(["mkdir", "-p", "/var/lib/vz/images", "/var/lib/vz/private"])
    for folder in ("images", "private"):
        n1.ok(["mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs", f"/var/lib/vz/{folder}"])
    try:
        refused(lab, n1, ["pct", "create", "100", big_template, "--rootfs", rootfs])
    finally:
        for folder in ("images", "private"):
            n1.run(["umount", f"/var/lib/vz/{folder}"])


def test_missing_bridge(lab, n1):
    missing = "name=eth0,bridge=vmbr9"
    refused(lab, n1, ["pct", "create", "100", lab.busybox, "--rootfs", "local:1", "--net0", missing],
            "vmbr9", "does not exist")


def test_bridge_that_went_away(lab, n1):
    create(n1, 100, lab.busybox, "--net0", "name=eth0,bridge=vmbr0")
    n1.ok(["sed", "-i", "s/vmbr0/vmbr9/", "/etc/pve/lxc/100.conf"])
    refused(lab, n1, ["pct", "start", "100"], "vmbr9", "does not exist")
    assert "stopped" in n1.ok(["pct", "status", "100"])


@pytest.mark.parametrize("command", [
    ["start"], ["stop"], ["shutdown"], ["config"], ["status"], ["destroy"], ["unlock"],
    ["exec", "--", "true"],
])
def test_a_container_that_is_not_there(lab, n1, command):
    refused(lab, n1, ["pct", command[0], "999", *command[1:]])


def test_unknown_command(lab, n1):
    refused(lab, n1, ["pct", "dance"])
    refused(lab, n1, ["pct"])


@pytest.fixture
def nameless(lab, n3):
    """n3 with a container, and with a cluster address that does not resolve: its corosync does not
    start, so its store comes up without ever hearing of the cluster."""
    path = "/etc/corosync/corosync.conf"
    conf = n3.ok(["cat", path])
    wrong = conf.replace("ring0_addr: 10.77.0.3", "ring0_addr: name.invalid")
    assert wrong != conf
    create(n3, 300, lab.busybox)
    n3.service("stop", "atoll-cfs")
    n3.service("stop", "corosync")
    n3.ok(["tee", path], stdin=wrong)
    # It is tried again and again, and never gets ready: not a start to wait for.
    n3.control({"do": "start", "service": "corosync"})
    n3.service("start", "atoll-cfs")
    yield n3
    n3.service("stop", "corosync")
    n3.ok(["tee", path], stdin=conf)
    n3.service("start", "corosync")
    lab.wait_formed()


def test_address_that_does_not_resolve(lab, nameless):
    refused(lab, nameless, ["pct", "create", "301", lab.busybox, "--rootfs", "local:1"],
            "no quorum", "corosync does not answer")
    refused(lab, nameless, ["pct", "start", "300"], "no quorum", "corosync does not answer")
    assert "300" in nameless.ok(["pct", "list"])
    assert "No" in nameless.ok(["pvecm", "status"])
