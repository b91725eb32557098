"""A stand-in for the official AWS provider: ``python -m toolchain.providers aws -- COMMAND…``.

What is alike and what is not stands in README.md.
"""
