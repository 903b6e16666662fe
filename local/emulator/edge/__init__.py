"""Ministack with its edges made true to AWS: what its process runs in place of `python -m ministack`.

Each module changes one thing in which ministack differs from AWS, or from what a laptop needs. Product code knows
nothing of it. Everything is written against one version (`replacing.py` insists on it).
"""
