# SPDX-License-Identifier: Apache-2.0
"""The virtual machine of this tier."""

import pytest
from support.labs import fresh_lab, keep_logs


@pytest.fixture(scope="session")
def vm_lab(request):
    lab = fresh_lab("test-vm", count=1, kind="vm")
    yield lab
    if request.session.testsfailed:
        keep_logs(lab, "vm")
    with lab.locked():
        lab.down()
