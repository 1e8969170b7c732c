# SPDX-License-Identifier: Apache-2.0
"""Clients of the store: the library by tests/support/cfsclient, and the bare socket for what no
library would do."""

import json
import os
import queue
import socket
import struct
import subprocess
import threading
import time

from support.labs import BUILD

PROBE = f"{BUILD}/tests/support/cfsclient"

# IpcType and EventKind.
READ, CHANGE, BARRIER, STATE, SUBSCRIBE, LOCK = 2, 3, 4, 5, 9, 13
PATH, MEMBERS, QUORUM, STATUS, LOG = 1, 2, 4, 8, 16
ANSWER, EVENT = 2, 3


class Failed(Exception):
    """The store refused; errno is why."""

    def __init__(self, answer):
        super().__init__(answer["message"])
        self.errno = answer["errno"]


class Client:
    """Calls one function of the library each time.  prefix: what enters the node of a lab."""

    def __init__(self, path=None, prefix=(), timeout_ms=10000):
        self.argv = [*prefix, PROBE, f"--timeout={timeout_ms}"]
        if path is not None:
            self.argv.append(f"--socket={path}")

    def __call__(self, *arguments, **options):
        done = subprocess.run([*self.argv, "--", *map(str, arguments)], check=False,
                              stdout=subprocess.PIPE, text=True, timeout=60, **options)
        answer = json.loads(done.stdout)
        if done.returncode:
            raise Failed(answer)
        return answer

    def change(self, *ops):
        return self("change", json.dumps(ops[0] if len(ops) == 1 else ops))["version"]

    def start(self, *arguments):
        return Running([*self.argv, "--", *map(str, arguments)])


class Running:
    """A client that tells what happens until it is stopped."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), json.loads(line)))

    def wait(self, timeout=10, **expected):
        """The next line that has all of expected, with its time as "at"; others are passed over."""
        end = time.monotonic() + timeout
        while True:
            try:
                at, line = self.lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise AssertionError(f"no line with {expected}") from None
            if all(line.get(key) == value for key, value in expected.items()):
                return {**line, "at": at}

    def has_more(self):
        return not self.lines.empty()

    def stop(self):
        """Ends it as it wants to end: a lock is freed."""
        self.process.stdin.close()
        assert self.process.wait(10) == 0

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


class Bare:
    """A connection without a library."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(os.fspath(path))
        self.socket.settimeout(10)
        self.number = 0

    def ask(self, kind, body=b""):
        self.number += 1
        message = struct.pack("<BBBBQ", 1, 1, kind, 0, self.number) + body
        self.socket.sendall(struct.pack("<I", len(message)) + message)
        return self.number

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def reply(self):
        """(class, type, number, rest)"""
        size = struct.unpack("<I", self.exactly(4))[0]
        message = self.exactly(size)
        _, family, kind, _, number = struct.unpack("<BBBBQ", message[:12])
        return family, kind, number, message[12:]

    def greeting(self):
        """The errno it carries."""
        family, _, number, rest = self.reply()
        assert (family, number) == (ANSWER, 0)
        return struct.unpack("<I", rest[:4])[0]

    def is_closed(self):
        """Whether the other side ends the connection, whatever it says before."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True

    def close(self):
        self.socket.close()


def string(text):
    data = text.encode() + b"\0"
    return struct.pack("<I", len(data)) + data
