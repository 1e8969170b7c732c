# SPDX-License-Identifier: Apache-2.0
"""A node made of namespaces."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from . import cgroup, disk, loopdev
from .run import LabError, wait_for

BOOT_TIMEOUT = 30
MNT_FORCE = 1
INIT = Path(__file__).with_name("init.py")
ABORT = f"import ctypes; ctypes.CDLL(None).umount2(b'/etc/pve', {MNT_FORCE})"
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")

# What a node runs, in order.  A probe says when each one serves.
SERVICES = (
    {"name": "corosync", "argv": ["/usr/sbin/corosync", "-f"], "probe": ["abstract", "cpg"]},
    {"name": "atoll-cfs", "argv": ["/usr/sbin/atoll-cfs"], "probe": ["mount", "/etc/pve"]},
    {"name": "atolld", "argv": ["/usr/sbin/atolld"], "probe": ["socket", "/run/atoll/agent.sock"]},
)


def environment():
    """What a command in a node finds: nothing of the machine's but the kind of terminal."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}


class Node:
    """One node of a lab.  Its number is its corosync node id and the end of its addresses."""

    def __init__(self, lab, name, number):
        self.lab = lab
        self.name = name
        self.number = number
        self.directory = lab.place.node(name)
        self.disk = self.directory / "disk"

    # --- power ------------------------------------------------------------------------------

    def lay_out(self, files, btrfs):
        """Makes the node's disk, with the given files below /etc."""
        self.directory.mkdir(parents=True)
        disk.make(self.directory, files, btrfs)

    def pid(self):
        """The node's PID 1 as the machine sees it; None when the power is off."""
        try:
            pid, started = (self.directory / "pid").read_text().split()
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat[stat.rindex(")") + 2:].split()
        return int(pid) if fields[19] == started and fields[0] != "Z" else None

    def is_on(self):
        return self.pid() is not None

    def power_on(self, wait=True):
        """Boots.  wait is for nodes that take their time: this one is up when we return."""
        if self.is_on():
            raise LabError(f"{self.name} is on")
        self._clean()
        self._write_config()
        cgroup.create(self.lab.trees, self.lab.name, self.name)
        with open(self.directory / "init.log", "ab") as log:
            process = subprocess.Popen(
                ["unshare", *NAMESPACES, "--fork", sys.executable, str(INIT),
                 str(self.directory / "node.json")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment(), start_new_session=True,
                preexec_fn=lambda: cgroup.join(self.lab.trees, self.lab.name, self.name, False))
        with process.stdin, process.stdout:
            self._boot(process)
        # unshare stays to wait for PID 1; it is not ours to wait for.
        process.returncode = 0

    def wait_booted(self):
        """It is, since power_on()."""

    def _boot(self, process):
        """The lab's side of what init.py says and waits for."""
        word, _, pid = process.stdout.readline().partition(" ")
        if word != "pid":
            raise LabError(f"{self.name} does not boot: {self._last_words()}")
        stat = Path(f"/proc/{int(pid)}/stat").read_text()
        started = stat[stat.rindex(")") + 2:].split()[19]
        (self.directory / "pid").write_text(f"{int(pid)} {started}\n")
        cgroup.settle(self.lab.trees, self.lab.name, self.name, (int(pid), process.pid))
        self.lab.switch.plug(self.name, self.number, int(pid), self.lab.ring_of(self.name))
        process.stdin.write("go\n")
        process.stdin.flush()
        if process.stdout.readline() != "booted\n":
            raise LabError(f"{self.name} does not boot: {self._last_words()}")

    def _last_words(self):
        try:
            lines = (self.directory / "init.log").read_text().strip().splitlines()
        except FileNotFoundError:
            lines = []
        return lines[-1] if lines else "it said nothing"

    def _write_config(self):
        place = self.lab.place
        services = [s for s in SERVICES if self.lab.state["cluster"] or s["name"] != "corosync"]
        (self.directory / "node.json").write_text(json.dumps({
            "name": self.name,
            "directory": str(self.directory),
            "staging": str(place.staging) if place.staging.exists() else "",
            "shared": str(place.shared),
            "btrfs": self.lab.state["btrfs"],
            "cluster": self.lab.state["cluster"],
            "cgroups": [tree.as_dict() for tree in self.lab.trees],
            "services": services,
        }, indent=1))

    def power_off(self):
        """A power cut: every process is gone at once, nothing is written out."""
        pid = self.pid()
        loops = self._loops_seen_from(pid) if pid else []
        if pid:
            try:
                mounts = open(f"/proc/{pid}/ns/mnt", "rb")
            except FileNotFoundError:
                pass  # It is dying already.
            else:
                with mounts:
                    os.kill(pid, signal.SIGKILL)
                    self._abort_store(mounts)
        self._clean()
        for device in loops:
            loopdev.free(device)

    @staticmethod
    def _abort_store(mounts):
        """Ends what waits for the store in the kernel of a machine that, unlike a real one, has not
        lost its power (cfs/guard.h); the store's own guard is as dead as all the rest."""
        subprocess.run(["nsenter", f"--mount=/proc/{os.getpid()}/fd/{mounts.fileno()}",
                        "/usr/bin/python3", "-c", ABORT], check=False, timeout=20)

    def _loops_seen_from(self, pid):
        """Loop devices whose file only the node itself can see (it has mounts of its own)."""
        return loopdev.attached_in(Path(f"/proc/{pid}/root"))

    def _clean(self):
        """Removes what a node without power leaves in the kernel."""
        cgroup.kill(self.lab.trees, self.lab.name, self.name)
        cgroup.remove(self.lab.trees, self.lab.name, self.name)
        self.lab.switch.unplug(self.name)
        loopdev.detach(self.directory)
        (self.directory / "pid").unlink(missing_ok=True)

    # --- services ---------------------------------------------------------------------------

    def control(self, request):
        """Asks the node's PID 1."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            try:
                connection.connect(str(self.disk / ".lab/init.sock"))
                connection.sendall(json.dumps(request).encode() + b"\n")
                line = connection.makefile("rb").readline()
            except OSError as error:
                raise LabError(f"{self.name} does not answer: {error}") from None
        reply = json.loads(line or b'{"error": "no answer"}')
        if "error" in reply:
            raise LabError(f"{self.name}: {reply['error']}")
        return reply

    def services(self):
        return {s["name"]: s for s in self.control({"do": "status"})["services"]}

    def service(self, verb, name):
        """start, stop or restart a service, to the end of it."""
        if verb == "restart":
            self.service("stop", name)
            verb = "start"
        self.control({"do": verb, "service": name})
        wanted = {"start": ("ready", "dead"), "stop": ("stopped",)}[verb]
        wait_for(lambda: self.services()[name]["state"] in wanted, 40, f"{name} on {self.name}")

    def wait_settled(self, timeout=BOOT_TIMEOUT * 3):
        """Until every service runs or has given up."""
        wait_for(lambda: self.control({"do": "status"})["settled"], timeout,
                 f"the services of {self.name}")

    # --- commands ---------------------------------------------------------------------------

    def argv(self, command):
        pid = self.pid()
        if pid is None:
            raise LabError(f"{self.name} is off")
        return ["nsenter", f"--target={pid}", *NAMESPACES, "--", *command]

    def _join(self):
        cgroup.join(self.lab.trees, self.lab.name, self.name, True)

    def popen(self, command, **options):
        """A command in the node, as subprocess.Popen makes it."""
        return subprocess.Popen(self.argv(command), env=environment(), preexec_fn=self._join,
                                **options)

    def run(self, command, timeout=60, stdin=None):
        """Runs a command in the node to its end: subprocess.CompletedProcess with text."""
        with self.popen(command, text=True, errors="replace", stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE) as process:
            try:
                out, err = process.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise LabError(f"{' '.join(command)} on {self.name} did not end within "
                               f"{timeout} s") from None
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def ok(self, command, timeout=60, stdin=None):
        """Output of a command that must succeed."""
        done = self.run(command, timeout, stdin)
        if done.returncode:
            raise LabError(f"{' '.join(command)} on {self.name} failed ({done.returncode}): "
                           f"{(done.stderr.strip() or done.stdout.strip())[-500:]}")
        return done.stdout

    def execute(self, command):
        """Replaces this process by a command in the node."""
        argv = self.argv(command)
        self._join()
        os.execvpe(argv[0], argv, environment())

    def put(self, source, path):
        """Copies a file of the machine to path on the node's disk."""
        target = self.disk / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def write_etc(self, path, content):
        """Replaces a file of the node below /etc."""
        if self.is_on():  # What lies under a mounted overlay is not to be changed.
            self.ok(["sh", "-c", 'cat >"$0"', f"/etc/{path}"], stdin=content)
        else:
            (self.directory / "etc" / path).write_text(content)

    def logs(self):
        """The node's log files."""
        logs = [self.directory / "init.log"]
        for top in ("var/log/lab", "var/log/corosync", "var/log/pve/tasks"):
            logs += sorted(path for path in (self.disk / top).rglob("*") if path.is_file())
        return [path for path in logs if path.exists()]
