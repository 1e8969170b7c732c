# SPDX-License-Identifier: Apache-2.0
"""The disk image of virtual machine nodes: a small Debian 12 with systemd and pure cgroup v2.

It is made once and cached.  What runs in a node is not in it: at boot the machine mounts the lab's
directory and runs tests/lab/vm-boot.sh from there, so a change of that or of the build asks for no
new image.
"""

import shutil

from . import template
from .place import CACHE, SOURCE
from .run import LabError, run

# Raised when what is below changes.
REVISION = 1

SIZE = "6G"

# The system, what the build needs at run time, and what the kernel of a namespace node lacks.
SYSTEM_PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "kmod", "initramfs-tools", "iproute2",
    "iputils-ping", "procps", "openssh-server", "linux-image-amd64", "apparmor", "criu", "lvm2",
    "thin-provisioning-tools", "nftables", "busybox-static")

FILES = {
    "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
    "etc/hostname": "vm\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/apparmor/parser.conf": "write-cache\n",
    "etc/systemd/system/lab-node.service": """\
[Unit]
Description=Become the lab node that the kernel command line names
After=systemd-udev-settle.service ssh.service
Wants=systemd-udev-settle.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=/usr/bin/mkdir -p /mnt/lab /mnt/shared
ExecStartPre=/usr/bin/mount -t 9p -o trans=virtio,version=9p2000.L,ro lab /mnt/lab
ExecStart=/bin/sh /mnt/lab/vm-boot.sh
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
""",
}

DISABLED = ("corosync.service", "lxc.service", "lxc-net.service", "apt-daily.timer",
            "apt-daily-upgrade.timer", "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service",
            "dpkg-db-backup.timer", "lvm2-monitor.service", "systemd-networkd.service",
            "systemd-networkd-wait-online.service")


def runtime_packages():
    """What our programs need on a node, from the list that the product keeps."""
    lines = (SOURCE / "packaging/packages-node.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _install(root):
    packages = sorted({*SYSTEM_PACKAGES, *runtime_packages()})
    run(["mmdebstrap", "--variant=minbase", '--aptopt=APT::Install-Recommends "false"',
         f"--include={','.join(packages)}", "bookworm", str(root), *template.mirror()])


def _adapt(root, key):
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    conf = root / "etc/initramfs-tools/initramfs.conf"
    conf.write_text(conf.read_text().replace("MODULES=most", "MODULES=list"))
    run(["chroot", str(root), "update-initramfs", "-u", "-k", "all"])
    # A unit that one of the packages does not bring is no reason to stop.
    run(["systemctl", f"--root={root}", "disable", *DISABLED], check=False)
    run(["systemctl", f"--root={root}", "enable", "lab-node.service", "ssh.service"])
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key.with_suffix(".pub"), root / "root/.ssh/authorized_keys")
    # Empty, not missing: the first boot would enable units again that are disabled above.
    (root / "etc/machine-id").write_text("")


class Image:
    """The cached image, its kernel and the key that opens its machines."""

    def __init__(self):
        self.directory = CACHE / f"vm-{REVISION}"
        self.disk = self.directory / "base.raw"
        self.kernel = self.directory / "vmlinuz"
        self.initrd = self.directory / "initrd.img"
        self.key = self.directory / "key"

    def make(self):
        """Makes the image if it is not there: about four minutes."""
        if self.directory.exists():
            return
        for program in ("mmdebstrap", "mkfs.ext4", "qemu-img", "qemu-system-x86_64"):
            if not shutil.which(program):
                raise LabError(f"{program} is not installed: virtual machines need Debian's "
                               "mmdebstrap, qemu-utils and qemu-system-x86")
        half = CACHE / f"new-vm-{REVISION}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        root = half / "root"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(half / "key")])
        _install(root)
        _adapt(root, half / "key")
        for name in ("vmlinuz", "initrd.img"):
            found = sorted((root / "boot").glob(f"{name}-*"))
            if not found:
                raise LabError(f"the image has no /boot/{name}")
            shutil.copy(found[-1], half / name)
        run(["truncate", "-s", SIZE, str(half / "base.raw")])
        run(["mkfs.ext4", "-q", "-F", "-d", str(root), str(half / "base.raw")])
        shutil.rmtree(root)
        half.rename(self.directory)
