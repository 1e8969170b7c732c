# SPDX-License-Identifier: Apache-2.0
"""The figures of tests/bench/cfs, one module for each kind."""
