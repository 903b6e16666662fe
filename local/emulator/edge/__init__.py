"""Ministack patched to behave like AWS: what its process runs instead of `python -m ministack`.

Each module changes one thing in which ministack differs from AWS, or from what a laptop needs. Product code knows
nothing of it. Everything is written against one version, which `replacing.py` enforces.
"""
