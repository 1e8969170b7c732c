# SPDX-License-Identifier: Apache-2.0
"""The histories that storeclient.py records, and the rules that they must keep.

A register is a path, by itself:

    a0 …    a file that is always there; every client replaces its content in place (`write`)
    b0 …    a file that comes and goes: renamed over whatever is there (`put`), renamed in if nothing
            is there (`publish`), made with O_EXCL (`create`) and filled through that descriptor
            (`fill`), removed (`unlink`)
    c0 …    a file that is opened with O_CREAT and written, whoever creates it (`make`); renamed over
            (`put`), removed (`unlink`)
    d0 …    a directory that comes and goes (`mkdir`, `rmdir`)
    g0 …    a guest's configuration: on one node at most (`guest-create`, `guest-move`,
            `guest-remove`, `guest-look`)

Every change writes a value of its own, the name of the operation.  What fails with an errno has
done nothing; what fails with EIO, or dies with its node, may have happened or not, or happen later.

Changes and reads after an fsync (`sync-read`) must be linearizable.  A plain `read` shows what is
committed, perhaps late, so for it:

    - it shows only what was written, and nothing before it was written;
    - what it shows has taken effect by then, for ever: a write whose outcome nobody knew, too;
    - on one node, what is read (or written) later took effect later or is the same, as long as the
      node has the same mount of the store.
"""

import bisect
from collections import Counter, defaultdict
from dataclasses import dataclass

from . import linearizability
from .linearizability import IMPOSSIBLE, UNKNOWN, Operation

READS = {"read", "sync-read", "guest-look"}

# What can take the value away that a plain read has shown.
REMOVERS = {"unlink", "rmdir"}

# Errors with which a change may be refused at any time of a fault …
REFUSED = {"EROFS", "ENOTCONN", "ENOSPC", "EAGAIN"}

# … and those that are its own.
OWN_ERRORS = {
    "write": set(), "put": set(), "fill": {"ESTALE"}, "publish": {"EEXIST"}, "create": {"EEXIST"},
    "make": {"ESTALE"}, "unlink": {"ENOENT"}, "mkdir": {"EEXIST"}, "rmdir": {"ENOENT"},
    "guest-create": {"EEXIST"}, "guest-move": {"ENOENT", "EEXIST"}, "guest-remove": {"ENOENT"},
    # Reading answers also while nothing can be written, but a barrier does not.
    "read": set(), "sync-read": {"EIO"}, "guest-look": {"EIO"},
}


# --- models ---------------------------------------------------------------------------------


def file_model(state, operation):
    """State: absent, a value, or `empty` with the value that will fill it."""
    kind, value = operation.kind, operation.value
    if kind in ("write", "put", "make"):
        return value
    if kind == "birth":
        return ("empty", None) if state == "absent" else IMPOSSIBLE
    if kind == "publish":
        return value if state == "absent" else IMPOSSIBLE
    if kind == "create":
        return ("empty", value) if state == "absent" else IMPOSSIBLE
    if kind == "fill":
        # A file that lost its name meanwhile is filled without anybody seeing it.
        return value if state == ("empty", value) else state
    if kind == "mkdir":
        return "directory" if state == "absent" else IMPOSSIBLE
    if kind in REMOVERS:
        return "absent" if state != "absent" else IMPOSSIBLE
    shown = "empty" if isinstance(state, tuple) else state
    return state if value == shown else IMPOSSIBLE


def file_state(operation):
    """The state that a read has seen, if it comes once: all written values are different."""
    if operation.kind == "read" and operation.value not in ("absent", "empty", "directory"):
        return operation.value
    return None


def guest_model(state, operation):
    """State: the node that has the guest, or absent."""
    kind, value = operation.kind, operation.value
    if kind == "guest-create":
        return value if state == "absent" else IMPOSSIBLE
    if kind == "guest-move":
        here, there = value.split(",")
        return there if state == here else IMPOSSIBLE
    if kind == "guest-remove":
        return "absent" if state == value else IMPOSSIBLE
    node, seen = value
    return state if (state == node) == seen else IMPOSSIBLE


def without_unseen(operations):
    """The operations of a file without what nobody can tell apart, for a shorter search: a value that
    no read has shown is as good as any other such value."""
    shown = {operation.value for operation in operations if operation.kind == "read"}
    kept = []
    for operation in operations:
        is_unknown = operation.returned == UNKNOWN
        if operation.kind in ("read", "fill", "birth") or operation.value in shown:
            pass
        elif operation.kind == "write" and is_unknown:
            continue  # It asks nothing of the state before it, and nobody asks for that after it.
        elif operation.kind != "create" or is_unknown:
            operation.value = "unseen"  # A creation is known to what fills it by its value.
        kept.append(operation)
    return kept


# --- the record -----------------------------------------------------------------------------


@dataclass
class Event:
    """An operation as it was recorded."""

    name: str
    kind: str
    register: str
    argument: str
    session: str
    called: float
    returned: float = UNKNOWN
    outcome: str = "unknown"
    result: str = "killed"

    @property
    def node(self):
        return self.name.split(".", 1)[0]

    @property
    def client(self):
        return self.name.rsplit(".", 1)[0]


def parse(lines):
    """The events of one client's log."""
    events = {}
    for line in lines:
        words = line.split()
        if words[0] == "call":
            _, name, time, session, kind, register, argument = words
            node, run = name.split(".")[:2]
            events[name] = Event(name, kind, register, argument, f"{node}.{run}.{session}",
                                 int(time) / 1e9)
        else:
            _, name, time, outcome, result = words
            event = events[name]
            event.outcome, event.result = outcome, result
            if outcome != "unknown":
                event.returned = int(time) / 1e9
    return list(events.values())


def read_logs(directory):
    """The events of all logs in a directory."""
    events = []
    for path in sorted(directory.glob("*.log")):
        lines = path.read_text().split("\n")
        # The last line may be torn only if it was never finished, by a power cut.
        events += parse(lines[:-1])
    return events


# --- the rules ------------------------------------------------------------------------------


class Register:
    """The events of one register, and what they say together."""

    def __init__(self, name, events, initial):
        self.name = name
        self.events = events
        self.initial = initial
        self.problems = []
        self.changes = {}   # Operation by the name of the event.
        self.births = []    # Operations: files that came true before their first write.
        self.writers = {}   # Operation by the value that it writes.
        self.reads = []     # Events that gave something.

    def say(self, event, text):
        self.problems.append(f"{self.name}: {text}: {event}")

    def collect(self):
        for event in self.events:
            if event.kind == "make":
                # Whoever looks between opening and writing makes the file come true, empty; also if
                # the writing fails.
                self.births.append(Operation("birth", None, event.called, event.returned,
                                             optional=True, label=f"{event.name} ({event.session})"))
            if event.outcome == "no":
                if event.result not in REFUSED | OWN_ERRORS[event.kind]:
                    self.say(event, "an error that nobody expects")
            elif event.kind not in READS:
                operation = Operation(event.kind, event.argument, event.called, event.returned,
                                      label=f"{event.name} ({event.session})")
                self.changes[event.name] = operation
                if event.kind == "make" and event.outcome == "ok":
                    operation.after.append(self.births[-1])
                if event.kind in ("write", "put", "publish", "fill", "make"):
                    self.writers[event.argument] = operation
            elif event.outcome == "ok":
                self.reads.append(event)

    def judge_reads(self):
        """The rules for all reads but linearizability; what reads say about the order."""
        for event in self.reads:
            if event.kind == "guest-look" or event.result in ("absent", "empty", "directory"):
                continue
            writer = self.writers.get(event.result)
            if writer is None:
                if event.result != self.initial:
                    self.say(event, "a value that was never written")
            elif writer.called > event.returned:
                self.say(event, "a value from the future")
            else:
                writer.returned = min(writer.returned, event.returned)
        sessions = defaultdict(list)
        for event in self.events:
            if event.outcome == "ok":
                sessions[event.session].append(event)
        for events in sessions.values():
            self._judge_session(sorted(events, key=lambda event: event.called))

    def _seen(self, event):
        """The operation whose effect an event has seen or made."""
        if event.kind in READS:
            return self.writers.get(event.result)
        # What was filled may have lost its name before.
        return self.changes.get(event.name) if event.kind != "fill" else None

    def _judge_session(self, events):
        """Within one mount on one node nothing goes backwards."""
        by_client = defaultdict(lambda: ([], []))  # Times of return, and what was seen.
        for event in events:
            seen = self._seen(event)
            earlier = []
            for returned, operations in by_client.values():
                i = bisect.bisect_left(returned, event.called)
                if i:
                    earlier.append(operations[i - 1])
            if seen is not None and event.kind in READS:
                seen.after += [before for before in earlier if before is not seen]
            elif event.kind == "read" and event.result == "absent":
                self._judge_absence(event, earlier)
            elif event.kind == "read" and event.result == self.initial and earlier:
                self.say(event, f"back to the beginning after {earlier[0]}")
            if seen is not None:
                times, operations = by_client[event.client]
                times.append(event.returned)
                operations.append(seen)

    def _judge_absence(self, event, earlier):
        """Somebody must have removed what the node has shown or made before."""
        for present in earlier:
            if present.kind in REMOVERS:
                continue
            if not any(remover.kind in REMOVERS and remover.called < event.returned and
                       remover.returned > present.called for remover in self.changes.values()):
                self.say(event, f"gone without anybody removing it after {present}")

    def operations(self):
        """What must be linearizable."""
        for event in self.reads:
            if event.kind == "sync-read":
                yield Operation("read", event.result, event.called, event.returned, pure=True,
                                label=f"{event.name} ({event.session})")
            elif event.kind == "guest-look":
                value = (event.argument, event.result != "absent")
                yield Operation("look", value, event.called, event.returned, pure=True,
                                label=f"{event.name} ({event.session})")
        yield from self.births
        yield from self.changes.values()

    def check(self):
        """What is wrong, as sentences."""
        self.collect()
        self.judge_reads()
        operations = list(self.operations())
        if self.name.startswith("g"):
            stuck = linearizability.check(operations, guest_model, self.initial)
        else:
            stuck = linearizability.check(without_unseen(operations), file_model, self.initial,
                                          once=file_state)
        if stuck:
            self.problems.append(f"{self.name} is not linearizable: {stuck}")
        return self.problems


class History:
    """All that happened in one run.  initial: what registers held before, if not `absent`."""

    def __init__(self, events, initial):
        self.events = events
        self.initial = initial

    def check(self):
        registers = defaultdict(list)
        for event in self.events:
            registers[event.register].append(event)
        problems = []
        for name, events in sorted(registers.items()):
            problems += Register(name, events, self.initial.get(name, "absent")).check()
        return problems

    def acknowledged(self):
        """How many changes each node has acknowledged."""
        return Counter(event.node for event in self.events
                       if event.outcome == "ok" and event.kind not in READS)

    def summary(self):
        """One line for people."""
        outcomes = Counter(event.outcome for event in self.events)
        return (f"{len(self.events)} operations, {outcomes['ok']} ok, {outcomes['no']} refused, "
                f"{outcomes['unknown']} unknown")
