# SPDX-License-Identifier: Apache-2.0
"""Container templates, made from the machine's own packages."""

import shutil
import subprocess
import tarfile
from pathlib import Path

from .place import CACHE
from .run import LabError, run

BUSYBOX = Path("/bin/busybox")

# Raised when what a template holds changes: the cache keeps one file a name.
REVISION = 1

BUSYBOX_FILES = {
    "etc/inittab": """\
::sysinit:/etc/init.d/rcS
console::respawn:/sbin/getty -L 0 console vt100
tty1::respawn:/sbin/getty -L 0 tty1 vt100
tty2::respawn:/sbin/getty -L 0 tty2 vt100
::shutdown:/etc/init.d/rcK
::restart:/sbin/init
""",
    "etc/init.d/rcS": """\
#!/bin/sh
mkdir -p /run/lock
/sbin/network-up
touch /run/booted
""",
    # busybox's own ifup asks for a netmask line, which Debian's set-up does not write.
    "sbin/network-up": """\
#!/bin/sh
# Static addresses and gateways of /etc/network/interfaces.
ip link set lo up
while read -r key first rest; do
	case $key in
	iface)
		device=$first
		ip link set "$device" up
		;;
	address)
		ip address add "$first" dev "$device"
		;;
	gateway)
		ip route add default via "$first" dev "$device"
		;;
	esac
done </etc/network/interfaces
""",
    "etc/init.d/rcK": """\
#!/bin/sh
sync
touch /var/log/clean-shutdown
""",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/shells": "/bin/sh\n",
    "etc/securetty": "console\ntty1\ntty2\n",
    "etc/hostname": "busybox\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/fstab": "",
    "etc/network/interfaces": "auto lo\niface lo inet loopback\n",
    # The files that it shares with Debian (interfaces above all) are written by Debian's set-up.
    "etc/debian_version": "12.0\n",
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Busybox test container"\n',
}

BUSYBOX_EXECUTABLE = ("etc/init.d/rcS", "etc/init.d/rcK", "sbin/network-up")

BUSYBOX_DIRECTORIES = (
    "bin", "dev", "home", "mnt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr/bin",
    "usr/sbin", "var/lib", "var/log", "var/tmp")

DEBIAN_PACKAGES = ("systemd", "systemd-sysv", "dbus", "ifupdown", "iproute2", "iputils-ping",
                   "openssh-server", "procps", "passwd")


def _busybox_tree(top):
    for name in BUSYBOX_DIRECTORIES:
        (top / name).mkdir(parents=True)
    (top / "tmp").chmod(0o1777)
    (top / "var/tmp").chmod(0o1777)
    (top / "root").chmod(0o700)
    for name, content in BUSYBOX_FILES.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    for name in BUSYBOX_EXECUTABLE:
        (top / name).chmod(0o755)
    (top / "etc/shadow").chmod(0o640)
    (top / "var/run").symlink_to("/run")
    shutil.copy(BUSYBOX, top / "bin/busybox")
    for path in run([str(BUSYBOX), "--list-full"]).split():
        link = top / path
        if link.name == "busybox" or not link.parent.is_dir():
            continue
        link.symlink_to("/bin/busybox")


def _busybox(target):
    if not BUSYBOX.exists():
        raise LabError("busybox is not installed (Debian's package busybox-static)")
    top = target.with_suffix(".tree")
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(parents=True)
    _busybox_tree(top)
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(top.rglob("*")):
            archive.add(path, path.relative_to(top), recursive=False)
    shutil.rmtree(top)


def _debian(target):
    top = target.with_suffix(".tree")
    shutil.rmtree(top, ignore_errors=True)
    run(["debootstrap", "--variant=minbase", f"--include={','.join(DEBIAN_PACKAGES)}", "bookworm",
         str(top), *mirror()])
    run(["chroot", str(top), "apt-get", "clean"])
    shutil.rmtree(top / "var/lib/apt/lists")
    (top / "var/lib/apt/lists").mkdir()
    for key in (top / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (top / "etc/machine-id").write_text("")
    with open(target, "wb") as file:
        tar = subprocess.Popen(["tar", "-C", str(top), "--numeric-owner", "--xattrs", "--acls",
                                "--exclude=./dev/*", "-c", "."], stdout=subprocess.PIPE)
        packed = subprocess.run(["zstd", "-q", "-3", "-T0"], stdin=tar.stdout, stdout=file,
                                check=False)
        tar.stdout.close()
        if tar.wait() or packed.returncode:
            raise LabError(f"{target} could not be packed")
    shutil.rmtree(top)


def mirror():
    """The first source of packages that the machine itself uses, for debootstrap; nothing when
    there is none, and debootstrap takes its default."""
    for line in run(["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)"]).splitlines():
        codename, _, site = line.partition(" ")
        if codename == "bookworm" and site.startswith("http"):
            return [site]
    return []


# How each kind is made, and the name of its volume.
KINDS = {
    "busybox": (_busybox, "busybox.tar.gz"),
    "debian": (_debian, "debian-12.tar.zst"),
}


def make(kind):
    """The file of a template in the cache; made if it is not there."""
    maker, name = KINDS[kind]
    target = CACHE / f"templates-{REVISION}" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_name("new-" + name)
        maker(half)
        half.rename(target)
    return target


def install(kind, nodes):
    """Puts a template into storage `local` of the nodes: its volume name."""
    template = make(kind)
    for node in nodes:
        node.put(template, f"/var/lib/vz/template/cache/{template.name}")
    return f"local:vztmpl/{template.name}"
