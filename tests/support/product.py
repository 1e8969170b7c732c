# SPDX-License-Identifier: Apache-2.0
"""What tests do with the product, and what it may leave on a node."""

import json

from labkit import loopdev
from labkit.run import LabError, wait_for

# Asks the agent's socket as a program would, without the commands between.
API_CLIENT = """
import http.client, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/atoll/agent.sock")
connection = Connection("localhost")
connection.request(sys.argv[1], "/api2/json" + sys.argv[2])
answer = connection.getresponse()
print(answer.status)
print(answer.read().decode())
"""

# One line each for all that a container can leave on a node.
FOOTPRINT = """
cd /etc/pve && find nodes -name '*.conf' -path '*/lxc/*'
find /var/lib/vz -mindepth 2 -not -path '*/template/*' -type f
find /var/lib/vz/private /var/lib/vz/images -mindepth 1 -type d 2>/dev/null
find /var/lib/lxc -mindepth 1 -maxdepth 1
awk '$5 ~ "^/(var|run)/" && $5 ~ /[0-9]/ { print "mount " $5 }' /proc/self/mountinfo
ls /sys/class/net | sed 's/^/link /'
find /sys/fs/cgroup -type d -path '*lxc*/[0-9]*' | sed 's/^/cgroup /'
find /run/atoll -mindepth 2 | sed 's/^/run /'
"""


def api(node, path, verb="GET"):
    """(status, decoded body) of a request to the node's agent."""
    status, _, body = node.ok(["python3", "-c", API_CLIENT, verb, path]).partition("\n")
    try:
        return int(status), json.loads(body)
    except ValueError:
        return int(status), body


def footprint(node):
    """All that containers have on a node, as a set of lines."""
    lines = node.ok(["sh", "-c", FOOTPRINT]).splitlines()
    loops = [f"loop {device}" for device in loopdev.attached(node.directory)]
    return {line for line in lines + loops if line}


def settles_to(lab, before, timeout=15):
    """Waits until the nodes have no more than they had before."""
    extra = {}

    def clean():
        extra.update((node.name, footprint(node) - before[node.name]) for node in lab.nodes
                     if node.is_on())
        return not any(extra.values())

    try:
        wait_for(clean, timeout, "the nodes to be clean again", every=0.5)
    except LabError:
        raise AssertionError(f"this is left: {extra}") from None


def footprints(lab):
    return {node.name: footprint(node) for node in lab.nodes if node.is_on()}


def refused(lab, node, command, *words, timeout=60):
    """Runs a command that must fail with a message that holds all words, and leave nothing."""
    before = footprints(lab)
    done = node.run(command, timeout=timeout)
    assert done.returncode != 0, f"{command} succeeded: {done.stdout}"
    said = done.stderr.strip() or done.stdout.strip()
    assert said, f"{command} failed without a word"
    for word in words:
        assert word in said, f"{command} says: {said}"
    left = {name: lines - before[name] for name, lines in footprints(lab).items()}
    assert not any(left.values()), f"{command} left {left}"
    return said


def create(node, vmid, template, *options, timeout=60):
    """Creates a container with what tests mostly want."""
    return node.ok(["pct", "create", str(vmid), template, "--rootfs", "local:1", *options],
                   timeout=timeout)


def status(node, vmid):
    """running, stopped …"""
    return node.ok(["pct", "status", str(vmid)]).split(":")[-1].strip()


def remove_containers(lab):
    """Stops and destroys every container of the lab."""
    for node in lab.nodes:
        listed = node.run(["ls", f"/etc/pve/nodes/{node.name}/lxc"]).stdout.split()
        for vmid in (name.removesuffix(".conf") for name in listed if name.endswith(".conf")):
            node.run(["pct", "unlock", vmid])
            node.run(["pct", "set", vmid, "--protection", "0"])
            node.ok(["pct", "destroy", vmid, "--force"])
