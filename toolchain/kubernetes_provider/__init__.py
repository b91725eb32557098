"""A stand-in for the official Kubernetes provider, for machines that can't get its plugin; the same programs run with either.

``python -m toolchain.kubernetes_provider -- COMMAND…`` runs a command with it attached, `attached` does so for a block of Python. Where the
official plugin is installed, or can be fetched, both leave everything to it. What is alike and what is not stands in README.md.
"""

from __future__ import annotations

from toolchain.kubernetes_provider.attach import attached

__all__ = ["attached"]
