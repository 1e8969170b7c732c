# SPDX-License-Identifier: Apache-2.0
"""The agent's API, tasks and streams, with real processes and sockets.

Containers are not what is tested here: the jobs are those of testworker.c, except where the real
worker is named.
"""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from urllib.parse import quote

import pytest

from sandbox import Sandbox, wait_for

OK, WARNING, ERROR, HANG, DIE, UNENDED, CHATTY, CUT_SHORT = range(100, 108)


@pytest.fixture(scope="module")
def machine():
    sandbox = Sandbox()
    for vmid in range(OK, CUT_SHORT + 1):
        sandbox.write(f"/etc/pve/nodes/n1/lxc/{vmid}.conf",
                      f"hostname: ct{vmid}\nmemory: 256\nrootfs: local:{vmid}/vm-{vmid}-disk-0.raw,size=1G\n")
    sandbox.write("/etc/pve/nodes/n2/lxc/200.conf", "hostname: far\n[pve:pending]\nhostname: farther\n")
    sandbox.write("/etc/pve/.vmlist", json.dumps({"version": 9, "ids": {
        **{str(v): {"node": "n1", "type": "lxc", "version": 1} for v in range(OK, CUT_SHORT + 1)},
        "200": {"node": "n2", "type": "lxc", "version": 1},
        "201": {"node": "n2", "type": "qemu", "version": 1}}}))
    yield sandbox
    sandbox.close()


@pytest.fixture
def node(machine):
    """The machine with a running agent and the test's worker."""
    if machine.agent is None or machine.agent.poll() is not None:
        machine.start_agent(machine.build / "tests/node/testworker")
    yield machine
    machine.root("/run/go").unlink(missing_ok=True)


def start(node, vmid, **params):
    return node.task("POST", f"/nodes/n1/lxc/{vmid}/status/start", **params)


def task_path(upid, rest=""):
    return f"/nodes/n1/tasks/{quote(upid, safe='')}{rest}"


def probe(node, *argv, **options):
    command = node.command([node.build / "tests/node/clientprobe", *argv])
    return subprocess.run(command, capture_output=True, timeout=60, **options)


# --- reading -------------------------------------------------------------------------------------

def test_nodes_come_from_the_store(node):
    nodes = node.get("/nodes")
    assert [(n["node"], n["status"]) for n in nodes] == [("n1", "online"), ("n2", "offline")]
    assert nodes[0]["maxmem"] > 0 and "maxmem" not in nodes[1]


def test_status_names_cluster_and_members(node):
    cluster, first, second = node.get("/cluster/status")
    assert (cluster["name"], cluster["nodes"], cluster["quorate"]) == ("test", 2, 1)
    assert (first["local"], second["local"]) == (1, 0)


def test_next_id_skips_those_taken(node):
    assert node.get("/cluster/nextid") == str(CUT_SHORT + 1)
    assert node.get("/cluster/nextid", vmid=500) == "500"
    status, envelope = node.api("GET", "/cluster/nextid", vmid=201)
    assert status == 400 and "already exists on node 'n2'" in envelope["message"]


def test_next_id_obeys_the_datacenter(node):
    node.write("/etc/pve/datacenter.cfg", "keyboard: de\nnext-id: lower=200,upper=203\n")
    try:
        assert node.get("/cluster/nextid") == "202"
        node.write("/etc/pve/datacenter.cfg", "next-id: lower=200,upper=202\n")
        status, envelope = node.api("GET", "/cluster/nextid")
        assert status == 404 and "no free id" in envelope["message"]
    finally:
        node.root("/etc/pve/datacenter.cfg").unlink()


def test_list_has_the_containers_of_the_node(node):
    listed = {ct["vmid"]: ct for ct in node.get("/nodes/n1/lxc")}
    assert sorted(listed) == list(range(OK, CUT_SHORT + 1))
    assert listed[OK]["status"] == "stopped" and listed[OK]["name"] == "ct100"
    assert listed[OK]["maxmem"] == 256 << 20 and listed[OK]["maxdisk"] == 1 << 30


def test_resources_show_all_nodes(node):
    by_id = {entry["id"]: entry for entry in node.get("/cluster/resources")}
    assert {"node/n1", "node/n2", "lxc/100", "lxc/200", "storage/n1/local"} <= set(by_id)
    assert by_id["lxc/200"]["status"] == "unknown" and by_id["lxc/100"]["status"] == "stopped"
    assert {e["type"] for e in node.get("/cluster/resources", type="vm")} == {"lxc"}


def test_config_is_readable_on_every_node(node):
    assert node.get("/nodes/n2/lxc/200/config")["hostname"] == "farther"
    assert node.get("/nodes/n2/lxc/200/config", current=1)["hostname"] == "far"
    assert node.get("/nodes/n2/lxc/200/pending") == [
        {"key": "hostname", "value": "far", "pending": "farther"}]
    assert len(node.get("/nodes/n1/lxc/100/config")["digest"]) == 40


def test_state_of_a_stopped_container(node):
    state = node.get("/nodes/n1/lxc/100/status/current")
    assert state["status"] == "stopped" and state["uptime"] == 0 and "pid" not in state


def test_templates_are_listed_and_deleted_by_the_real_worker(machine):
    if machine.agent and machine.agent.poll() is None:
        machine.kill_agent(signal.SIGTERM)
    machine.start_agent()
    machine.write("/var/lib/vz/template/cache/x_1.0.tar.gz", "x" * 1000)
    path = "/nodes/n1/storage/local/content"
    volid = "local:vztmpl/x_1.0.tar.gz"
    try:
        assert [(v["volid"], v["size"]) for v in machine.get(path, content="vztmpl")] == [(volid, 1000)]
        where = machine.get(f"{path}/{quote(volid, safe='')}")["path"]
        assert where == "/var/lib/vz/template/cache/x_1.0.tar.gz"
        upid = machine.task("DELETE", f"{path}/{quote(volid, safe='')}")
        assert machine.task_end(upid) == "OK"
        assert machine.get(path, content="vztmpl") == []
        upid = machine.task("DELETE", f"{path}/{quote(volid, safe='')}")
        assert machine.task_end(upid) not in ("OK", "unknown")
    finally:
        machine.kill_agent(signal.SIGTERM)


# --- bad input -----------------------------------------------------------------------------------

@pytest.mark.parametrize("verb,path,status,words", [
    ("GET", "/nope", 404, "does not exist"),
    ("GET", "/nodes/n1/lxc/", 404, "does not exist"),
    ("PATCH", "/nodes", 501, "not implemented"),
    ("GET", "/nodes/n1/lxc/99/config", 400, "vmid"),
    ("GET", "/nodes/n1/lxc/0100/config", 400, "vmid"),
    ("GET", "/nodes/n1/lxc/999/config", 404, "nodes/n1/lxc/999.conf"),
    ("POST", "/nodes/n1/lxc/999/status/start", 404, "nodes/n1/lxc/999.conf"),
    ("GET", "/nodes/n1/lxc/200/config", 404, "nodes/n1/lxc/200.conf"),
    ("GET", "/nodes/n3/lxc", 404, "no such cluster node 'n3'"),
    ("GET", "/nodes/n2/tasks", 595, "node 'n2' is not this node"),
    ("POST", "/nodes/n2/lxc/200/status/start", 595, "node 'n2' is not this node"),
    ("GET", "/nodes/..%2f..%2fetc/lxc", 400, "node"),
    ("GET", "/nodes/n1/tasks/..%2f..%2fpasswd/log", 400, "unable to parse worker upid"),
    ("GET", "/nodes/n1/tasks/UPID:n1:00000001:00000001:00000001:x::root@pam:/log", 404, "no task"),
    ("GET", "/nodes/n1/tasks/UPID:n2:00000001:00000001:00000001:x::root@pam:/log", 400, "not one of"),
    ("GET", "/nodes/n1/storage/none/content", 404, "storage 'none' does not exist"),
    ("GET", "/nodes/n1/storage/local/content?content=music", 400, "'music' is not a content type"),
    ("GET", "/nodes/n1/lxc/100/config?snapshot=nosuch", 404, "snapshot 'nosuch' does not exist"),
    ("GET", "/nodes/n1/lxc/100/config?current=1&snapshot=aa", 400, "exclude each other"),
    ("GET", "/nodes/n1/lxc/100/config?current=1&current=0", 400, "given twice"),
    ("GET", "/nodes/n1/lxc/100/exec?command=%5B%22id%22%5D", 400, "WebSocket requests only"),
])
def test_wrong_request_gets_one_sentence(node, verb, path, status, words):
    answered, envelope = node.api(verb, path)
    assert answered == status and envelope["data"] is None
    assert words in envelope["message"] and "\n" not in envelope["message"]


def test_every_wrong_parameter_gets_its_reason(node):
    status, envelope = node.api("PUT", "/nodes/n1/lxc/100/config", memory="1", nosuch="x", net0="bad",
                                node="n1")
    assert status == 400 and envelope["message"] == "Parameter verification failed."
    assert set(envelope["errors"]) == {"memory", "nosuch", "net0", "node"}
    assert not any("\n" in reason.strip() and not name.startswith("net") for name, reason in
                   envelope["errors"].items())


def test_missing_parameter_is_named(node):
    status, envelope = node.api("POST", "/nodes/n1/lxc", vmid="300")
    assert status == 400 and set(envelope["errors"]) == {"ostemplate"}


@pytest.mark.parametrize("body,kind,words", [
    ("{", "application/json", "not JSON"),
    ("[]", "application/json", "not a JSON object"),
    ('{"memory": 1, "memory": 2}', "application/json", "not JSON"),
    ('{"memory": {}}', "application/json", "text or a number"),
    ("a=b", "text/plain", "not understood"),
    ("a=%00", "application/x-www-form-urlencoded", "not encoded"),
])
def test_broken_bodies_are_refused(node, body, kind, words):
    status, text = node.raw("PUT", "/api2/json/nodes/n1/lxc/100/config", body, {"Content-Type": kind})
    assert status == 400 and words in json.loads(text)["message"]


def test_large_body_is_refused(node):
    status, text = node.raw("PUT", "/api2/json/nodes/n1/lxc/100/config", "x" * (2 << 20),
                            {"Content-Type": "application/json"})
    assert status == 413 and "too large" in json.loads(text)["message"]


def test_noise_on_the_socket_does_no_harm(node):
    for noise in (b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 200000):
        with node.connect() as connection:
            try:
                connection.sendall(noise)
                connection.settimeout(0.2)
                connection.recv(1000)
            except OSError:
                pass
    assert node.get("/version")


def test_others_than_root_are_refused(node):
    assert node.root("/run/atoll/agent.sock").stat().st_mode & 0o777 == 0o600
    node.root("/run/atoll/agent.sock").chmod(0o666)
    ask = ("import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/atoll/agent.sock');"
           "s.sendall(b'GET /api2/json/version HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
           "print(s.makefile().read())")
    said = node.run(["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-c", ask])
    node.root("/run/atoll/agent.sock").chmod(0o600)
    assert " 403 " in said.stdout and "only root" in said.stdout, said


# --- workers that answer -------------------------------------------------------------------------

def test_worker_answers_with_its_warnings(node):
    status, envelope = node.api("PUT", "/nodes/n1/lxc/100/config", memory="0512", description="a\nb")
    assert status == 200 and envelope["warnings"] == ["not all is well"]
    assert envelope["data"]["description"] == "a\nb"
    assert "vmid" not in envelope["data"] and "node" not in envelope["data"]


def test_worker_says_why_it_fails(node):
    status, envelope = node.api("PUT", "/nodes/n1/lxc/100/config", memory="666")
    assert status == 500 and envelope["message"] == "CT is locked (test)" and envelope["errno"] == 16


def test_worker_that_dies_is_an_error(node):
    status, envelope = node.api("PUT", "/nodes/n1/lxc/100/config", memory="667")
    assert status == 500 and envelope["message"] == "worker died (killed by signal 9)"
    wait_for(lambda: node.get("/nodes/n1/tasks", typefilter="recover", vmid=OK), "the recovery")


# --- tasks ---------------------------------------------------------------------------------------

def test_task_ends_well(node):
    upid = start(node, OK, debug="yes")
    assert node.task_end(upid) == "OK"
    assert node.task_log(upid) == ["user root@pam node n1 debug 1", "TASK OK"]
    fields = upid.split(":")
    assert fields[5:] == ["vzstart", "100", "root@pam", ""] and len(fields[2]) == 8
    log = node.root(f"/var/log/pve/tasks/{fields[4][-1]}/{upid}")
    assert log.read_text().endswith("TASK OK\n")
    assert any(line.startswith(upid + " ") and line.endswith(" OK") for line in
               node.root("/var/log/pve/tasks/index").read_text().splitlines())


def test_outcomes_stand_in_the_last_line(node):
    warned = start(node, WARNING)
    failed = start(node, ERROR)
    unended = start(node, UNENDED)
    assert node.task_end(warned) == "WARNINGS: 2"
    assert node.task_log(warned) == ["WARN: one", "WARN: two", "TASK WARNINGS: 2"]
    assert node.task_end(failed) == "first line second line"
    assert node.task_log(failed) == ["trying", "TASK ERROR: first line second line"]
    assert node.task_end(unended) == "OK"
    assert node.task_log(unended) == ["no newline", "TASK OK"]


def test_log_comes_in_windows(node):
    upid = start(node, CHATTY)
    assert node.task_end(upid) == "OK"
    status, envelope = node.api("GET", task_path(upid, "/log"), start=2998, limit=2)
    assert status == 200 and envelope["total"] == 3001
    assert [line["t"] for line in envelope["data"]] == ["line 2999", "line 3000"]


def test_tasks_are_listed_and_filtered(node):
    done = start(node, ERROR)
    node.task_end(done)
    hanging = start(node, HANG)
    running = node.get("/nodes/n1/tasks", source="active")
    assert [task["upid"] for task in running] == [hanging] and "status" not in running[0]
    failed = node.get("/nodes/n1/tasks", errors=1, vmid=ERROR)
    assert failed[0]["upid"] == done and failed[0]["status"] == "first line second line"
    assert node.get("/nodes/n1/tasks", typefilter="nosuch") == []
    assert len(node.get("/nodes/n1/tasks", source="all", limit=1)) == 1
    node.write("/run/go", "")
    assert node.task_end(hanging) == "OK"


def test_task_is_aborted_in_order(node):
    upid = start(node, HANG)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    assert node.api("DELETE", task_path(upid))[0] == 200
    assert node.task_end(upid) == "aborted on request"
    status, envelope = node.api("DELETE", task_path(upid))
    assert status == 404 and "is not running" in envelope["message"]


def test_what_an_abort_interrupts_is_no_reason(node):
    upid = start(node, CUT_SHORT)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    assert node.api("DELETE", task_path(upid))[0] == 200
    assert node.task_end(upid) == "aborted on request"


def test_stop_can_overrule_a_shutdown(node):
    shutdown = node.task("POST", f"/nodes/n1/lxc/{HANG}/status/shutdown", timeout=5)
    wait_for(lambda: node.task_log(shutdown), "the task to begin")
    stop = node.task("POST", f"/nodes/n1/lxc/{HANG}/status/stop", **{"overrule-shutdown": 1})
    assert node.task_end(shutdown) == "aborted on request"
    assert node.task_end(stop) == "OK"


def test_dead_worker_is_recovered(node):
    upid = start(node, DIE)
    assert node.task_end(upid) == "worker died (killed by signal 9)"
    assert node.task_log(upid)[-1] == "TASK ERROR: worker died (killed by signal 9)"

    def recovered():
        return node.get("/nodes/n1/tasks", typefilter="recover", vmid=DIE)

    wait_for(recovered, "the recovery")
    assert node.task_log(recovered()[0]["upid"])[0] == f"recover {DIE} after vzstart ({upid})"


def test_waiting_for_a_line_ends_with_the_line(node):
    upid = start(node, HANG)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    begin = time.monotonic()
    subprocess.Popen(["sh", "-c", f"sleep 0.5; touch {node.root('/run/go')}"]).wait()
    lines = node.task_log(upid, start=1, wait=1)
    assert lines == ["TASK OK"] and time.monotonic() - begin < 5


def test_client_that_waits_and_leaves_does_no_harm(node):
    upid = start(node, HANG)
    for _ in range(5):
        with node.connect() as connection:
            connection.sendall(f"GET /api2/json{task_path(upid, '/log')}?start=1&wait=1 HTTP/1.1\r\n"
                               "Host: localhost\r\n\r\n".encode())
            time.sleep(0.05)
    node.write("/run/go", "")
    assert node.task_end(upid) == "OK"


def test_number_of_tasks_is_limited(machine):
    if machine.agent and machine.agent.poll() is None:
        machine.kill_agent(signal.SIGTERM)
    machine.write("/etc/atoll/atoll.conf", "[agent]\ntasks-max = 2\n")
    machine.start_agent(machine.build / "tests/node/testworker")
    try:
        first, second = start(machine, HANG), start(machine, HANG)
        status, envelope = machine.api("POST", f"/nodes/n1/lxc/{OK}/status/start")
        assert status == 500 and "2 tasks are running" in envelope["message"]
        machine.write("/run/go", "")
        assert machine.task_end(first) == machine.task_end(second) == "OK"
        assert machine.task_end(start(machine, OK)) == "OK"
    finally:
        machine.root("/run/go").unlink(missing_ok=True)
        machine.root("/etc/atoll/atoll.conf").unlink()
        machine.kill_agent(signal.SIGTERM)


# --- the agent goes and comes --------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_tasks_outlive_the_agent(node, number):
    upid = start(node, HANG)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    node.kill_agent(number)
    node.start_agent(node.build / "tests/node/testworker")
    assert node.task_status(upid)["status"] == "running"
    node.write("/run/go", "")
    assert node.task_end(upid) == "OK"
    assert [t["upid"] for t in node.get("/nodes/n1/tasks", limit=1)] == [upid]


def test_adopted_task_can_be_aborted(node):
    upid = start(node, HANG)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    node.kill_agent()
    node.start_agent(node.build / "tests/node/testworker")
    assert node.api("DELETE", task_path(upid))[0] == 200
    assert node.task_end(upid) == "aborted on request"


def test_task_that_ended_while_the_agent_was_away_is_recorded(node):
    upid = start(node, HANG)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    node.kill_agent()
    node.write("/run/go", "")
    wait_for(lambda: not node.pids("testworker"), "the worker to end")
    node.start_agent(node.build / "tests/node/testworker")
    assert node.task_status(upid)["exitstatus"] == "OK"
    assert [t["upid"] for t in node.get("/nodes/n1/tasks", limit=1)] == [upid]


def test_task_that_died_while_the_agent_was_away_is_recovered(node):
    upid = start(node, HANG)
    wait_for(lambda: node.task_log(upid), "the task to begin")
    node.kill_agent()
    node.run(["kill", "-9", node.pids("testworker")[0]])
    wait_for(lambda: not node.pids("testworker"), "the worker to end")
    node.start_agent(node.build / "tests/node/testworker")
    assert node.task_status(upid)["exitstatus"].startswith("worker died")
    wait_for(lambda: node.get("/nodes/n1/tasks", typefilter="recover", vmid=HANG), "the recovery")


def test_unfinished_creation_is_recovered_at_the_start(node):
    node.kill_agent()
    node.write("/etc/pve/nodes/n1/lxc/150.conf", "hostname: half\nlock: create\n")
    try:
        node.start_agent(node.build / "tests/node/testworker")
        wait_for(lambda: node.get("/nodes/n1/tasks", typefilter="recover", vmid=150), "the recovery")
        upid = node.get("/nodes/n1/tasks", typefilter="recover", vmid=150)[0]["upid"]
        assert node.task_log(upid)[0] == "recover 150 after vzcreate (unknown)"
    finally:
        node.root("/etc/pve/nodes/n1/lxc/150.conf").unlink()


def test_recovery_and_start_at_boot_wait_for_quorum(node):
    node.kill_agent()
    node.root("/run/atoll/started").unlink()
    node.write("/etc/pve/nodes/n1/lxc/151.conf", "hostname: half\nlock: create\n")
    node.set_quorate(0)
    try:
        boots = len(node.root("/var/log/pve/tasks/index").read_text().split(":startall:"))
        node.start_agent(node.build / "tests/node/testworker")
        upid = start(node, DIE)
        node.task_end(upid)
        time.sleep(1.5)
        assert node.get("/nodes/n1/tasks", source="all", typefilter="recover", vmid=151) == []
        node.start_store()
        time.sleep(0.5)
        assert node.get("/nodes/n1/tasks", source="all", typefilter="recover", vmid=151) == []
        node.kill_store()
        node.set_quorate(1)
        node.start_store()
        wait_for(lambda: node.get("/nodes/n1/tasks", typefilter="recover", vmid=151), "the recovery")
        wait_for(lambda: len(node.root("/var/log/pve/tasks/index").read_text().split(":startall:"))
                 == boots + 1, "the start of all containers")
    finally:
        node.kill_store()
        node.set_quorate(1)
        node.root("/etc/pve/nodes/n1/lxc/151.conf").unlink()


def test_reboot_of_a_guest_starts_it(node):
    def starts():
        return len(node.get("/nodes/n1/tasks", source="all", typefilter="vzstart", vmid=UNENDED))

    before = starts()
    node.write(f"/run/atoll/reboot/{UNENDED}", "")
    wait_for(lambda: starts() == before + 1, "the start")
    node.root(f"/run/atoll/reboot/{UNENDED}").unlink()


def test_second_agent_refuses_to_run(node):
    second = node.run([node.build / "atolld", "--debug"])
    assert second.returncode == 1 and "another agent is running" in second.stderr
    assert node.get("/version")


def test_program_explains_itself(node):
    assert "--worker" in node.run([node.build / "atolld", "--help"]).stdout
    assert node.run([node.build / "atolld", "--version"]).stdout.startswith("atolld ")
    wrong = node.run([node.build / "atolld", "what"])
    assert wrong.returncode == 1 and "unexpected argument" in wrong.stderr


# --- the client library --------------------------------------------------------------------------

def test_client_requests(node):
    done = probe(node, "request", "GET", "/cluster/nextid", "vmid=500")
    assert (done.returncode, done.stdout) == (0, b'"500"'), done
    done = probe(node, "request", "PUT", "/nodes/n1/lxc/100/config", "memory=100")
    assert done.returncode == 0 and b"not all is well" in done.stderr
    done = probe(node, "request", "PUT", "/nodes/n1/lxc/100/config", "memory=1")
    assert done.returncode == 99
    assert done.stderr.startswith(b"400 Parameter verification failed.\nmemory: "), done.stderr


def test_job_refuses_parameters_as_the_agent_does(node):
    status, envelope = node.api("PUT", "/nodes/n1/lxc/100/config", memory="665")
    assert status == 400 and envelope["message"] == "Parameter verification failed."
    assert envelope["errors"] == {"memory": "too evil", "tty": "not: here"}


def test_client_without_agent_says_so(machine):
    if machine.agent and machine.agent.poll() is None:
        machine.kill_agent()
    done = probe(machine, "request", "GET", "/version")
    assert done.returncode == 99 and b"is atolld running?" in done.stderr


def test_client_follows_a_task(node):
    upid = start(node, CHATTY)
    done = probe(node, "follow", upid)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines == [f"line {i}" for i in range(1, 3001)] + ["outcome: ok"]
    assert probe(node, "follow", start(node, WARNING)).stdout.endswith(b"outcome: warnings\n")
    failed = probe(node, "follow", start(node, ERROR))
    assert (failed.returncode, failed.stdout) == (99, b"trying\n")
    assert failed.stderr == b"first line second line\n"


def test_client_follows_a_task_across_a_restart(node):
    upid = start(node, HANG)
    command = node.command([node.build / "tests/node/clientprobe", "follow", upid])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"waiting\n"
        node.kill_agent()
        time.sleep(0.3)
        node.start_agent(node.build / "tests/node/testworker")
        node.write("/run/go", "")
        assert client.stdout.read() == b"outcome: ok\n" and client.wait() == 0


# --- streams -------------------------------------------------------------------------------------

def exec_probe(node, *command, tty=0, **options):
    return probe(node, "stream", "/nodes/n1/lxc/100/exec", f"command={json.dumps(command)}",
                 f"tty={tty}", **options)


def test_stream_gives_output_and_status(node):
    done = exec_probe(node, "sh", "-c", "echo out; echo err >&2; exit 7", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    done = exec_probe(node, "sh", "-c", "kill -9 $$", stdin=subprocess.DEVNULL)
    assert done.returncode == 128 + 9


def test_stream_passes_input_and_its_end(node):
    assert exec_probe(node, "cat", input=b"a\0b\nc").stdout == b"a\0b\nc"


def test_stream_carries_much_in_both_directions(node):
    data = os.urandom(1 << 20) * 20
    done = exec_probe(node, "cat", input=data)
    assert done.returncode == 0 and done.stdout == data


def test_command_that_reads_nothing_ends(node):
    done = exec_probe(node, "true", input=b"x" * (4 << 20))
    assert done.returncode == 0


def test_command_that_cannot_be_run_is_an_error(node):
    done = exec_probe(node, "/no/such/program", stdin=subprocess.DEVNULL)
    assert done.returncode == 99 and b"No such file" in done.stderr


def test_command_gets_signals_as_they_are(node):
    """Ignored signals are inherited; `yes | head` would never end."""
    done = exec_probe(node, "grep", "^Sig[IB]", "/proc/self/status", stdin=subprocess.DEVNULL)
    # Signals 32 and 33 are the C library's own.
    assert [int(line.split()[1], 16) & 0x7fffffff for line in done.stdout.splitlines()] == [0, 0]


def test_background_process_does_not_hold_the_stream(node):
    begin = time.monotonic()
    done = exec_probe(node, "sh", "-c", "sleep 30 & echo started", stdin=subprocess.DEVNULL)
    assert done.stdout == b"started\n" and time.monotonic() - begin < 5


def test_refused_stream_says_why(node):
    done = probe(node, "stream", "/nodes/n1/lxc/999/exec", 'command=["id"]', stdin=subprocess.DEVNULL)
    assert done.returncode == 99 and b"nodes/n1/lxc/999.conf' does not exist" in done.stderr
    done = probe(node, "stream", "/nodes/n1/lxc/100/exec", "command=id", stdin=subprocess.DEVNULL)
    assert done.returncode == 99 and b"command: value must be a JSON array" in done.stderr


def test_slow_reader_holds_the_command_back(node):
    """The agent's memory must not grow with what nobody reads."""
    command = node.command([node.build / "tests/node/clientprobe", "stream",
                            "/nodes/n1/lxc/100/exec", 'command=["cat", "/dev/zero"]'])
    agent = node.pids("atolld")[0]

    def resident():
        status = node.root(f"/proc/{agent}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before = resident()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        client.stdout.read(1 << 20)
        time.sleep(1)
        grown = resident() - before
        client.kill()
    assert grown < 8 << 10, f"the agent has grown by {grown} KiB"
    wait_for(lambda: not node.pids("cat"), "the command to end with its client")


def test_terminal_has_size_and_follows_it(node):
    master, slave = pty.openpty()
    command = node.command([node.build / "tests/node/clientprobe", "stream", "/nodes/n1/lxc/100/exec",
                            'command=["sh", "-c", "tty; stty size; read x; stty size"]', "tty=1",
                            "rows=33", "cols=77"])
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    with subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE) as client:
        said = b""
        while b"33 77" not in said:
            said += client.stdout.read1(1000)
        assert said.startswith(b"/dev/pts/")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 0, 0))
        # nsenter does not hand the signal on; the client is its child in the sandbox.
        node.run(["kill", "-WINCH", node.pids("clientprobe")[0]])
        time.sleep(0.3)
        os.write(master, b"\n")
        assert b"11 22" in client.stdout.read()
        assert client.wait() == 0
    os.close(master)
    os.close(slave)


def test_stream_that_breaks_the_rules_is_cut_off(node):
    with node.connect() as connection:
        connection.sendall(b"GET /api2/json/nodes/n1/lxc/100/exec?command=%5B%22cat%22%5D HTTP/1.1\r\n"
                           b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                           b"Sec-WebSocket-Version: 13\r\n\r\n")
        assert b" 101 " in connection.recv(1000)
        # A masked binary frame on a channel that does not exist.
        connection.sendall(b"\x82\x81\0\0\0\0\x63")
        connection.settimeout(10)
        while True:
            got = connection.recv(1000)
            if not got or got[0] == 0x88:
                break
    wait_for(lambda: not node.pids("cat"), "the command to end")
    assert node.get("/version")
