# SPDX-License-Identifier: Apache-2.0
"""Where a lab keeps its things on the machine.

All that belongs to one lab is below one directory, so that several labs live side by side and
nothing is left when it is gone.  What is dear to make (templates, images of virtual machines) is in
the cache, which outlives labs.
"""

import json
import os
import re
from pathlib import Path

from .run import LabError

BASE = Path(os.environ.get("ATOLL_LAB_DIR", "/var/lib/atoll-lab"))
CACHE = Path(os.environ.get("ATOLL_LAB_CACHE", "/var/cache/atoll-lab"))
SOURCE = Path(__file__).resolve().parents[3]


class Place:
    """The paths of one lab."""

    def __init__(self, name):
        # The name becomes part of socket paths, which the kernel limits to 107 bytes.
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,19}", name):
            raise LabError(f"'{name}' is no name for a lab: up to 20 of a-z, 0-9 and '-'")
        self.name = name
        self.top = BASE / name
        self.state_file = self.top / "state.json"
        self.lock_file = BASE / f"{name}.lock"
        self.switch = self.top / "switch.net"
        self.shared = self.top / "shared"
        self.staging = self.top / "staging"

    def node(self, name):
        return self.top / "nodes" / name

    def load(self):
        """The lab's state; None when there is no such lab."""
        try:
            return json.loads(self.state_file.read_text())
        except FileNotFoundError:
            return None

    def save(self, state):
        self.top.mkdir(parents=True, exist_ok=True)
        temporary = self.state_file.with_suffix(".new")
        temporary.write_text(json.dumps(state, indent=1) + "\n")
        temporary.rename(self.state_file)
