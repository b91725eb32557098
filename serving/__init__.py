"""What runs inside every release: the HTTP server, golden replay and the request log.

The package is copied into each release, so a release keeps the code it was packaged with; hence it imports nothing else of this repository.
``python -m serving`` is the server, ``python -m serving.replay`` the golden replay, ``service.py`` the entry for BentoML.
"""
