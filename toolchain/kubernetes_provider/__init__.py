"""A stand-in for the official Kubernetes provider: ``python -m toolchain.providers kubernetes -- COMMAND…``.

What is alike and what is not stands in README.md.
"""
