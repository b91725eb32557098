"""The constant answers: one body for each status, so that an error tells nothing about the model or the machine."""

from __future__ import annotations

from collections.abc import Mapping

JSON = b"application/json"

ERRORS: Mapping[int, bytes] = {
    400: b'{"error": "the body is not JSON of the shape {\\"rows\\": [{...}, ...]}"}',
    404: b'{"error": "no such path; POST /predict, GET /livez, /readyz, /metrics"}',
    405: b'{"error": "the method is not allowed here"}',
    408: b'{"error": "the body did not arrive in time"}',
    413: b'{"error": "the body is too long or has too many rows"}',
    415: b'{"error": "the content type must be application/json without content encoding"}',
    422: b'{"error": "a row is missing, or a value or key of a row is not allowed"}',
    500: b'{"error": "the model failed"}',
    503: b'{"error": "not ready yet"}',
}

BAD_HTTP = b'{"error": "not a valid HTTP request"}'
ALIVE = b'{"status": "alive"}'
READY = b'{"status": "ready"}'
