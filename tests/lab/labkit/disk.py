# SPDX-License-Identifier: Apache-2.0
"""A node's disk: the files that make it that node.  They outlive a loss of power."""

import shutil
import uuid

from . import network
from .run import run

# What Debian's packages and ours make when they are installed.
DIRECTORIES = ("root", "srv", "var/cache", "var/lib/atoll", "var/lib/corosync", "var/lib/lxc",
               "var/lib/misc", "var/lib/vz/template/cache", "var/log/corosync", "var/spool")

BTRFS_SIZE = 4 << 30


def corosync_conf(lab, numbers, version=1):
    """The configuration of the ring, for nodes by name and number.  The token is that which
    corosync gives three nodes with `token: 1000`, however many there are: a cut is seen soon."""
    nodes = "".join(f"""\tnode {{
\t\tname: {name}
\t\tnodeid: {number}
\t\tquorum_votes: 1
\t\tring0_addr: {network.ring_address(number)}
\t}}
""" for name, number in numbers.items())
    return f"""totem {{
\tversion: 2
\tcluster_name: {lab}
\tconfig_version: {version}
\tip_version: ipv4
\ttransport: knet
\tcrypto_cipher: none
\tcrypto_hash: none
\ttoken: 1650
\ttoken_coefficient: 0
\tinterface {{
\t\tlinknumber: 0
\t}}
}}
nodelist {{
{nodes}}}
quorum {{
\tprovider: corosync_votequorum
}}
logging {{
\tto_stderr: yes
\tto_syslog: no
\ttimestamp: on
}}
"""


def _hosts(names):
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{network.ring_address(number)} {name}" for number, name in enumerate(names, 1)]
    return "\n".join(lines) + "\n"


def etc_files(lab, name, names, cluster):
    """The node's own files below /etc, by their path there."""
    files = {
        "hostname": name + "\n",
        "hosts": _hosts(names),
        "machine-id": uuid.uuid4().hex + "\n",
        # liblxc maps unprivileged containers through newuidmap where that is installed.
        "subuid": "root:100000:65536\n",
        "subgid": "root:100000:65536\n",
    }
    if cluster:
        files["corosync/corosync.conf"] = corosync_conf(
            lab, {name: number for number, name in enumerate(names, 1)})
    return files


def make(directory, files, btrfs):
    """Lays out a new node in directory."""
    for name in DIRECTORIES:
        (directory / "disk" / name).mkdir(parents=True, exist_ok=True)
    (directory / "disk/var/tmp").mkdir(exist_ok=True)
    (directory / "disk/var/tmp").chmod(0o1777)
    (directory / "disk/var/run").symlink_to("/run")
    (directory / "disk/var/lock").symlink_to("/run/lock")
    (directory / "etc.work").mkdir()
    (directory / "etc/pve").mkdir(parents=True)
    (directory / "etc/atoll").mkdir()
    for path, content in files.items():
        target = directory / "etc" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    if btrfs:
        image = directory / "btrfs.img"
        with open(image, "wb") as file:
            file.truncate(BTRFS_SIZE)
        run(["mkfs.btrfs", "-q", str(image)])


def stage(build, staging):
    """Copies what is to run in the nodes to staging.  build: a directory to `make install` from,
    or an installed tree.  Afterwards the build may change without pulling files from under
    running nodes."""
    staging.mkdir(parents=True)
    if (build / "Makefile").exists():
        run(["make", "-s", "-C", str(build), "install", f"DESTDIR={staging}"])
    else:
        shutil.copytree(build, staging, symlinks=True, dirs_exist_ok=True)
