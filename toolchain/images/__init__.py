"""Container images without a daemon: a base, a runtime image for each set of Python packages, and a thin layer for each release.

An image is written straight into an OCI layout, each layer with sorted names, owner 0 and time 0: the same files give the same digest.
No command ever runs inside an image, so nothing of this machine (package index, proxy, certificates) can get into one.
"""

from __future__ import annotations
