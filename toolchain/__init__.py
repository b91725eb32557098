"""How a machine gets what this repository needs: the Python environment and the Pulumi engine.

Runs before either exists, so: standard library only, and Python 3.8 or newer.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class SetupError(Exception):
    """Set-up can't go on; the text says what was tried and what to do."""
