"""Whether a pod may open a connection, asked from inside it."""

from __future__ import annotations

from collections.abc import Callable

_CODE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
except OSError:
    print("refused")
else:
    print("open")
"""


def reaches(kubectl: Callable[..., str], pod: str, container: str, host: str, port: int) -> bool:
    """Whether a connection from the pod to ``host`` comes about. ``kubectl`` asks in the pod's namespace; its image has a ``python``."""
    said = kubectl("exec", pod, f"--container={container}", "--", "python", "-c", _CODE, host, str(port)).strip()
    assert said in ("open", "refused"), said
    return said == "open"
