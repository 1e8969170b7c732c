# SPDX-License-Identifier: Apache-2.0
"""A cluster of nodes on one machine, each a set of namespaces or a small virtual machine."""
