# SPDX-License-Identifier: Apache-2.0
"""A machine of one agent: namespaces with their own /run, /etc/pve, /var/log and /var/lib.

No store, no corosync and no containers run in it: the store is a plain directory.  What the agent
needs of the real thing is there: its socket, its tasks, its workers.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote, urlencode

# Process 1 of the sandbox: makes the mounts, then reaps.
INIT = """
import os, subprocess, sys
def run(*argv):
    subprocess.run(argv, check=True)
top = sys.argv[1]
run("mount", "-t", "tmpfs", "tmpfs", "/run")
for name in ("etc", "var"):
    for part in ("upper", "work"):
        os.makedirs(f"{top}/{name}-{part}", exist_ok=True)
    run("mount", "-t", "overlay", "overlay", "-o",
        f"lowerdir=/{name},upperdir={top}/{name}-upper,workdir={top}/{name}-work", f"/{name}")
run("hostname", "n1")
os.makedirs("/run/lock", exist_ok=True)
os.makedirs("/etc/pve/nodes/n1/lxc", exist_ok=True)
os.makedirs("/etc/pve/nodes/n2/lxc", exist_ok=True)
print("ready", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        import signal
        signal.sigwait([signal.SIGCHLD])
"""


class Sandbox:
    def __init__(self):
        self.build = Path(os.environ["ATOLL_BUILD"]).resolve()
        self.top = Path(tempfile.mkdtemp(prefix="atoll-node-"))
        # The overlays' files need a file system that can hold them.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.top], check=True)
        self.init = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child",
             "--mount-proc", "/usr/bin/python3", "-c", INIT, str(self.top)],
            stdout=subprocess.PIPE, text=True)
        assert self.init.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()
        self.pid = int(children[0])
        self.agent = None
        self.store = None
        self.set_quorate(1)
        self.write("/etc/pve/.vmlist", json.dumps({"version": 1}))

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        self.init.wait()
        self.init.stdout.close()
        if self.agent:
            self.agent.wait()
        subprocess.run(["umount", self.top], check=True)
        shutil.rmtree(self.top)

    def set_quorate(self, quorate):
        self.write("/etc/pve/.members", json.dumps({
            "nodename": "n1", "version": 4,
            "cluster": {"name": "test", "version": 3, "nodes": 2, "quorate": quorate},
            "nodelist": {"n1": {"id": 1, "online": 1, "ip": "10.0.0.1"},
                         "n2": {"id": 2, "online": 0, "ip": "10.0.0.2"}}}))

    def root(self, path):
        """A path of the sandbox, seen from outside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def write(self, path, text):
        self.root(path).parent.mkdir(parents=True, exist_ok=True)
        self.root(path).write_text(text)

    def command(self, argv):
        return ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid",
                *map(str, argv)]

    def run(self, argv, **options):
        return subprocess.run(self.command(argv), capture_output=True, text=True, timeout=60,
                              **options)

    def pids(self, name):
        """Processes of the sandbox by program name, numbered as it sees them."""
        out = self.run(["ps", "-C", name, "-o", "pid=,stat="]).stdout
        return [int(line.split()[0]) for line in out.splitlines() if "Z" not in line.split()[1]]

    def start_agent(self, worker=None):
        worker = worker or self.build / "atoll-worker"
        log = open(self.top / "agent.log", "a", encoding="utf-8")
        self.agent = subprocess.Popen(
            self.command([self.build / "atolld", "--debug", "--worker", worker]),
            stdout=log, stderr=log)
        log.close()
        wait_for(lambda: self.agent.poll() is not None or self.answers(), "the agent to answer")
        assert self.agent.poll() is None, self.log()

    def kill_agent(self, number=signal.SIGKILL):
        for pid in self.pids("atolld"):
            self.run(["kill", f"-{int(number)}", pid])
        ended = self.agent.wait(timeout=20)
        if number == signal.SIGTERM:
            assert ended == 0, self.log()

    def start_store(self):
        """A store that clients reach, with a mount of its own: what /etc/pve shows stays ours."""
        with open(self.top / "store.log", "a", encoding="utf-8") as log:
            self.store = subprocess.Popen(self.command(
                [self.build / "atoll-cfs", "--local", "--mount", "/run/store", "--db",
                 "/run/store.db", "--socket", "/run/atoll/store.sock"]), stdout=log, stderr=log)
        wait_for(self.root("/run/atoll/store.sock").exists, "the store's socket")

    def kill_store(self):
        for pid in self.pids("atoll-cfs"):
            self.run(["kill", "-9", pid])
        if self.store:
            self.store.wait(timeout=20)
        self.store = None
        self.root("/run/atoll/store.sock").unlink(missing_ok=True)

    def log(self):
        return (self.top / "agent.log").read_text(errors="replace")

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        # Paths to sockets are short; the root of another process's may not be.
        descriptor = os.open(self.root("/run/atoll"), os.O_PATH)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/agent.sock")
        finally:
            os.close(descriptor)
        return connection

    def answers(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def raw(self, verb, path, body=None, headers=None):
        """(status, text) of a request as it is."""
        client = http.client.HTTPConnection("localhost")
        client.sock = self.connect()
        client.request(verb, path, body, headers or {})
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text

    def api(self, verb, path, **params):
        """(status, envelope) of a request to the API."""
        body, headers = None, {}
        if params and verb in ("GET", "DELETE"):
            path += "?" + urlencode(params)
        elif params:
            body = urlencode(params)
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, text = self.raw(verb, "/api2/json" + path, body, headers)
        return status, json.loads(text)

    def get(self, path, **params):
        status, envelope = self.api("GET", path, **params)
        assert status == 200, envelope
        return envelope["data"]

    def task(self, verb, path, **params):
        """Starts a task and returns its UPID."""
        status, envelope = self.api(verb, path, **params)
        assert status == 200, envelope
        assert envelope["data"].startswith("UPID:n1:")
        return envelope["data"]

    def task_status(self, upid):
        return self.get(f"/nodes/n1/tasks/{quote(upid)}/status")

    def task_end(self, upid):
        """Waits for the end of a task and returns its exit status."""
        wait_for(lambda: self.task_status(upid)["status"] == "stopped", f"the end of {upid}")
        return self.task_status(upid)["exitstatus"]

    def task_log(self, upid, **params):
        return [line["t"] for line in self.get(f"/nodes/n1/tasks/{quote(upid)}/log", **params)]


def wait_for(check, what, timeout=20):
    until = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < until, f"waited {timeout} s for {what}"
        time.sleep(0.02)
