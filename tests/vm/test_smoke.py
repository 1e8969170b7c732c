# SPDX-License-Identifier: Apache-2.0
"""A node as production has it: systemd, and cgroup v2 alone.  Everything is slow here, so this is
one container's life and what only this kernel shows."""

import pytest
from labkit import template
from labkit.run import wait_for

SLOW = 300


@pytest.fixture(scope="module")
def vm(vm_lab):
    return vm_lab.node("n1")


@pytest.fixture(scope="module")
def container(vm):
    """A running container with limits."""
    volume = template.install("busybox", [vm])
    vm.ok(["pct", "create", "100", volume, "--rootfs", "local:1", "--memory", "96", "--swap", "32",
           "--cores", "1", "--cpulimit", "0.5", "--cpuunits", "200",
           "--net0", "name=eth0,bridge=vmbr0,ip=10.0.0.100/24", "--start", "1"], timeout=SLOW)
    return "100"


def cgroup_file(vm, container, name):
    """A file of the container's cgroup, asked from the container's own init."""
    pid = vm.ok(["lxc-info", "-n", container, "-p", "-H"]).strip()
    path = vm.ok(["cat", f"/proc/{pid}/cgroup"]).strip()
    assert path.startswith("0::/")
    path = path.removeprefix("0::").split("/ns")[0]
    return vm.ok(["cat", f"/sys/fs/cgroup{path}/{name}"]).strip()


def test_the_machine_is_what_production_looks_like(vm):
    assert vm.ok(["stat", "-fc", "%T", "/sys/fs/cgroup"]) == "cgroup2fs\n"
    assert vm.ok(["cat", "/proc/1/comm"]) == "systemd\n"
    for unit in ("corosync", "atoll-cfs", "atolld"):
        assert vm.ok(["systemctl", "is-active", unit]) == "active\n"


def test_the_container_runs(vm, container):
    assert "running" in vm.ok(["pct", "status", container])
    assert vm.ok(["pct", "exec", container, "--", "id"]).startswith("uid=0(root)")
    assert container in vm.ok(["pct", "list"])


def test_limits_are_in_the_cgroup(vm, container):
    assert cgroup_file(vm, container, "memory.max") == str(96 << 20)
    assert cgroup_file(vm, container, "memory.swap.max") == str(32 << 20)
    quota, period = cgroup_file(vm, container, "cpu.max").split()
    assert int(quota) * 2 == int(period)
    assert cgroup_file(vm, container, "cpu.weight") == "200"


def test_the_network_is_up(vm, container):
    wait_for(lambda: vm.run(["ping", "-c", "1", "-W", "2", "10.0.0.100"]).returncode == 0, 60,
             "the container to answer")


def test_stop_and_destroy_leave_nothing(vm, container):
    vm.ok(["pct", "stop", container], timeout=SLOW)
    assert "stopped" in vm.ok(["pct", "status", container])
    vm.ok(["pct", "destroy", container], timeout=SLOW)
    assert container not in vm.ok(["pct", "list"])
    assert vm.ok(["find", "/sys/fs/cgroup", "-type", "d", "-path", "*lxc*100*"]) == ""
    assert vm.ok(["losetup", "--noheadings", "--list"]) == ""
    assert "veth100" not in vm.ok(["ls", "/sys/class/net"])
    assert vm.ok(["systemctl", "--failed", "--no-legend"]) == ""
