# SPDX-License-Identifier: Apache-2.0
"""Programs, run without a shell, and the one error that users see."""

import subprocess
import time


class LabError(Exception):
    """Something that the user is told in one sentence."""


def run(argv, stdin=None, check=True, timeout=None, env=None, cwd=None):
    """Runs argv to its end and returns its standard output as text.

    With check, a status other than 0 becomes a LabError that ends with what the program said.
    """
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace",
                              timeout=timeout, env=env, cwd=cwd,
                              stdin=subprocess.DEVNULL if stdin is None else None)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)} did not end within {timeout} s") from None
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise LabError(f"{' '.join(argv)} failed ({done.returncode}): {' / '.join(said[-3:])}")
    return done.stdout


def wait_for(condition, timeout, what, every=0.05):
    """Asks condition() until it answers something true, which is returned."""
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(every)
