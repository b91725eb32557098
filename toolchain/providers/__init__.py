"""Stand-ins for official provider plugins, for machines that can't get them; the same programs run with either.

``python -m toolchain.providers kubernetes aws -- COMMAND…`` runs a command with them attached, `attached` does so for a block of
Python. Where an official plugin is installed, or can be fetched, both leave everything to it. With ``--offline`` no official plugin, no
cluster and no account is looked for: previews show everything as new.
"""

from __future__ import annotations

from toolchain.providers.attach import attached

__all__ = ["attached"]
