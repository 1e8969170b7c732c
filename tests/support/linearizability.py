# SPDX-License-Identifier: Apache-2.0
"""Whether a recorded history is linearizable: each operation takes effect at one moment between its
call and its return, as if there were one copy and one client at a time.

The search is the known one: Wing and Gong's (1993), which tries every operation that could come
next, with Lowe's memory of the configurations (2017) that turned out to lead nowhere.  Knossos and
Porcupine do the same.  What makes it fast on long histories of a store:

    - registers are looked at one by one (linearizability is local);
    - candidates are tried in the order of their returns;
    - a read that fits comes next, without alternatives: it changes nothing for the others;
    - a value that is written once is not left before all who have read it have had their turn;
    - of operations that ask the same, and of which nobody knows the outcome, only the one that was
      called first is tried.

A model is a function (state, operation) -> the next state, or IMPOSSIBLE when the operation cannot
have given what it gave in that state.  States are hashable.
"""

import math
from dataclasses import dataclass, field

IMPOSSIBLE = object()

# Returned at this time: never.  It may take effect at any time after its call, or not at all.
UNKNOWN = math.inf


@dataclass(eq=False)
class Operation:
    """One operation on one register."""

    kind: str
    value: object        # What it writes, or has read.
    called: float
    returned: float      # UNKNOWN when nobody knows whether it happened.
    after: list = field(default_factory=list)  # Operations that took effect before this one.
    pure: bool = False   # It changes no state.
    optional: bool = False  # It may have had no effect, but not a late one.
    label: str = ""      # For people: who did it.

    def group(self):
        """Operations of one group, if nobody knows their outcome, can stand for each other."""
        return self.kind, self.value, tuple(id(operation) for operation in self.after)

    def __str__(self):
        end = "?" if self.returned == UNKNOWN else f"{self.returned:.6f}"
        return f"{self.called:.6f}..{end} {self.label} {self.kind} {self.value!r}"


@dataclass
class Stuck:
    """Why a history is not linearizable: how far the search came at best."""

    order: list          # The longest order that works …
    state: object        # … the state it leads to …
    candidates: list     # … and the operations of which none can come next.

    def __str__(self):
        lines = ["after these operations, in this order:"]
        lines += [f"    {operation}" for operation in self.order[-8:]]
        lines += [f"the state is {self.state!r}, and none of these can come next:"]
        lines += [f"    {operation}" for operation in self.candidates]
        return "\n".join(lines)


class _Search:
    """The operations of one register, and which of them have taken effect.

    Known operations stand in the order of their calls.  What has taken effect is a prefix of them
    (`first` of them), a mask of those behind it, and a mask of the unknown ones: small numbers,
    however long the history is."""

    def __init__(self, operations, model, readers):
        by_call = sorted(operations, key=lambda operation: operation.called)
        self.known = [o for o in by_call if o.returned != UNKNOWN]
        self.unknown = [o for o in by_call if o.returned == UNKNOWN]
        self.model = model
        self.readers = readers
        self.place = {operation: ("known", i) for i, operation in enumerate(self.known)}
        self.place.update((operation, ("unknown", i)) for i, operation in enumerate(self.unknown))

    def _done(self, operation, first, mask, unknown_mask):
        kind, i = self.place[operation]
        if kind == "unknown":
            return unknown_mask >> i & 1
        return i < first or mask >> (i - first) & 1

    def candidates(self, first, mask, unknown_mask):
        """What may come next: nothing that is still to come has returned before it was called."""
        found, horizon, i = [], UNKNOWN, first
        while i < len(self.known) and self.known[i].called <= horizon:
            if not mask >> (i - first) & 1:
                found.append(self.known[i])
                horizon = min(horizon, self.known[i].returned)
            i += 1
        found = [operation for operation in found if operation.called <= horizon]
        found.sort(key=lambda operation: operation.returned)
        same = set()
        for j, operation in enumerate(self.unknown):
            if operation.called > horizon:
                break
            if not unknown_mask >> j & 1 and operation.group() not in same:
                same.add(operation.group())
                found.append(operation)
        return [operation for operation in found
                if all(self._done(before, first, mask, unknown_mask)
                       for before in operation.after)]

    def after(self, operation, first, mask, unknown_mask):
        """The configuration in which the operation has taken effect, too."""
        kind, i = self.place[operation]
        if kind == "unknown":
            return first, mask, unknown_mask | 1 << i
        mask |= 1 << (i - first)
        while mask & 1:
            first, mask = first + 1, mask >> 1
        return first, mask, unknown_mask

    def steps(self, configuration, state):
        """What may come next and is possible, with the state after it."""
        possible = []
        for operation in self.candidates(*configuration):
            next_state = self.model(state, operation)
            if operation.optional and operation.returned != UNKNOWN:
                possible.append((operation, state))
            if next_state is IMPOSSIBLE:
                continue
            if operation.pure:
                return [(operation, next_state)]
            possible.append((operation, next_state))
        for reader in self.readers.get(state, ()):
            if not self._done(reader, *configuration):
                return [step for step in possible if step[1] == state]
        return possible

    def run(self, state):
        """None, or Stuck."""
        configuration = (0, 0, 0)
        seen = {(configuration, state)}
        path = [(configuration, state, iter(self.steps(configuration, state)), None)]
        best, best_path = -1, None
        while True:
            configuration, state, ahead, _ = path[-1]
            if configuration[0] == len(self.known):
                return None
            depth = configuration[0] + configuration[1].bit_count()
            if depth > best:
                best, best_path = depth, [(step[0], step[1], step[3]) for step in path]
            for operation, next_state in ahead:
                following = self.after(operation, *configuration)
                if (following, next_state) in seen:
                    continue
                seen.add((following, next_state))
                path.append((following, next_state, iter(self.steps(following, next_state)),
                             operation))
                break
            else:
                path.pop()
                if not path:
                    return self._stuck(best_path)

    def _stuck(self, path):
        configuration, state, _ = path[-1]
        return Stuck([step[2] for step in path[1:]], state, self.candidates(*configuration))


def check(operations, model, initial, once=lambda operation: None):
    """None when the operations of a register can be put in an order; Stuck otherwise.  once tells,
    for a read that fits one state only, which holds for one stretch of time only, that state."""
    readers = {}
    for operation in operations:
        state = once(operation)
        if state is not None:
            readers.setdefault(state, []).append(operation)
    return _Search(operations, model, readers).run(initial)
