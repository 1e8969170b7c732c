# SPDX-License-Identifier: Apache-2.0
"""A node that is a virtual machine, emulated: for what the machine's own kernel lacks.

qemu runs inside the lab's switch, so that its ports are those of the lab alone: eth0 is the lab's
way in (SSH on a loopback port of the switch, no way out), eth1 the ring, eth2 the wire.
"""

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

from . import cgroup, network
from .run import LabError, run, wait_for
from .vmimage import Image

BOOT_TIMEOUT = 400  # On a busy machine; alone it takes 25 s.
MEMORY_MIB = 768

# The services of a node, as systemd knows them.
UNITS = ("corosync", "atoll-cfs", "atolld")


class VmNode:
    """One virtual machine of a lab, with the methods of node.Node."""

    def __init__(self, lab, name, number):
        self.lab = lab
        self.name = name
        self.number = number
        self.directory = lab.place.node(name)
        self.console = self.directory / "console.log"
        self.image = Image()

    # --- power ------------------------------------------------------------------------------

    def lay_out(self, files, btrfs):
        """Makes the node's disk, an overlay of the image."""
        if btrfs:
            raise LabError("virtual machine nodes have no --btrfs")
        self.image.make()
        self.directory.mkdir(parents=True)
        for path, content in files.items():
            target = self.directory / "etc" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        shutil.copy(Path(__file__).parents[1] / "vm-boot.sh", self.lab.place.top / "vm-boot.sh")
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.image.disk),
             str(self.directory / "disk.qcow2")])

    def pid(self):
        """qemu's pid; None when the power is off."""
        try:
            pid = int((self.directory / "qemu.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if str(self.directory).encode() in command else None

    def is_on(self):
        return self.pid() is not None

    def power_on(self, wait=True):
        if self.is_on():
            raise LabError(f"{self.name} is on")
        self._clean()
        cgroup.create(self.lab.trees, self.lab.name, self.name)
        self.lab.switch.add_taps(self.name, self.lab.ring_of(self.name))
        self.console.write_bytes(b"")
        with open(self.directory / "init.log", "ab") as log:
            subprocess.Popen(
                self.lab.switch.command(self._qemu()), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
                preexec_fn=lambda: cgroup.join(self.lab.trees, self.lab.name, self.name, False))
        if wait:
            self.wait_booted()

    def wait_booted(self):
        wait_for(self._is_up, BOOT_TIMEOUT, f"{self.name} to boot (see {self.console})", every=0.5)

    def _is_up(self):
        text = self.console.read_text(errors="replace")
        if f"lab: node {self.name} failed" in text or "Kernel panic" in text:
            raise LabError(f"{self.name} does not boot: see {self.console}")
        return f"lab: node {self.name} is up" in text

    def _qemu(self):
        place = self.lab.place
        alone = len(self.lab.state["nodes"]) == 1
        kernel_line = ("root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 mitigations=off "
                       f"audit=0 lab.node={self.name} lab.number={self.number}")
        arguments = [
            "qemu-system-x86_64", "-M", "q35", "-cpu", "Nehalem", "-m", str(MEMORY_MIB),
            "-accel", "tcg,thread=multi,tb-size=256" if alone else "tcg,tb-size=64",
            "-smp", "2" if alone else "1",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-pidfile", str(self.directory / "qemu.pid"),
            "-serial", f"file:{self.console}",
            "-monitor", f"unix:{self.directory}/monitor,server,nowait",
            "-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd),
            "-append", kernel_line,
            "-drive", f"file={self.directory}/disk.qcow2,if=none,id=d0,cache=unsafe,discard=unmap",
            "-device", "virtio-blk-pci,drive=d0",
            "-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self._port()}-:22",
            "-device", "virtio-net-pci,netdev=n0,romfile=",
            "-device", "virtio-rng-pci",
            "-virtfs", f"local,path={place.top},mount_tag=lab,security_model=none,readonly=on",
            "-virtfs", f"local,path={place.shared},mount_tag=shared,security_model=none",
        ]
        for index, (kind, tap) in enumerate((("r", 1), ("w", 2)), 1):
            arguments += [
                "-netdev", f"tap,id=n{index},ifname={kind}-{self.name},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=n{index},romfile=,"
                           f"mac={network.mac_address(tap, self.number)}"]
        return arguments

    def _port(self):
        return 2200 + self.number

    def power_off(self):
        """A power cut: the emulator is gone, with what it had not written."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
        self._clean()

    def _clean(self):
        cgroup.kill(self.lab.trees, self.lab.name, self.name)
        cgroup.remove(self.lab.trees, self.lab.name, self.name)
        self.lab.switch.unplug(self.name)
        (self.directory / "qemu.pid").unlink(missing_ok=True)

    # --- services ---------------------------------------------------------------------------

    def services(self):
        found = {}
        for unit in UNITS:
            if unit == "corosync" and not self.lab.state["cluster"]:
                continue
            state = self.run(["systemctl", "is-active", unit]).stdout.strip()
            states = {"active": "ready", "activating": "starting", "failed": "dead"}
            if not self.run(["systemctl", "cat", unit]).stdout:
                state = "missing"
            found[unit] = {"name": unit, "state": states.get(state, state), "why": state}
        return found

    def service(self, verb, name):
        self.ok(["systemctl", verb, name], timeout=120)

    def wait_settled(self, timeout=BOOT_TIMEOUT):
        wait_for(lambda: not any(s["state"] == "starting" for s in self.services().values()),
                 timeout, f"the services of {self.name}", every=2)

    # --- commands ---------------------------------------------------------------------------

    def argv(self, command, terminal=False):
        if not self.is_on():
            raise LabError(f"{self.name} is off")
        return self.lab.switch.command([
            "ssh", "-q", "-F", "none", "-i", str(self.image.key), "-p", str(self._port()),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "ControlMaster=auto", "-o", "ControlPersist=60",
            "-o", f"ControlPath={self.directory}/ssh",
            *(["-t"] if terminal else []), "root@127.0.0.1", shlex.join(command)])

    def popen(self, command, **options):
        """A command in the node, as subprocess.Popen makes it.  The emulator's speed is not the
        caller's business: time limits are for it to choose."""
        return subprocess.Popen(self.argv(command), **options)

    def run(self, command, timeout=120, stdin=None):
        """Runs a command in the node to its end: subprocess.CompletedProcess with text."""
        try:
            return subprocess.run(self.argv(command), input=stdin, capture_output=True, text=True,
                                  errors="replace", timeout=timeout, check=False,
                                  stdin=subprocess.DEVNULL if stdin is None else None)
        except subprocess.TimeoutExpired:
            raise LabError(f"{' '.join(command)} on {self.name} did not end within "
                           f"{timeout} s") from None

    def ok(self, command, timeout=120, stdin=None):
        """Output of a command that must succeed."""
        done = self.run(command, timeout, stdin)
        if done.returncode:
            raise LabError(f"{' '.join(command)} on {self.name} failed ({done.returncode}): "
                           f"{(done.stderr.strip() or done.stdout.strip())[-500:]}")
        return done.stdout

    def execute(self, command):
        """Replaces this process by a command in the node."""
        argv = self.argv(command, terminal=os.isatty(0))
        os.execvp(argv[0], argv)

    def put(self, source, path):
        """Copies a file of the machine to path on the node's disk."""
        name = Path(path).name
        shutil.copy(source, self.lab.place.shared / name)
        self.ok(["mkdir", "-p", str(Path(path).parent)])
        self.ok(["mv", f"/mnt/shared/{name}", path])

    def logs(self):
        """The machine's console; the rest is in its journal (`lab sh NODE journalctl`)."""
        return [path for path in (self.directory / "init.log", self.console) if path.exists()]
