"""Ministack with its edges made true to AWS: what its process runs in place of `python -m ministack`.

Each module here changes one thing that ministack does otherwise than AWS, or than a laptop needs, and says what.
Product code knows nothing of it. Everything is written against one version (`replacing.py` insists on it).
"""
