"""Benchmarks: every figure is a ratio to a baseline that is measured in the same run, alternating with it.

`python -m benchmarks` runs all; `docs/performance.md` explains each row. Owns measuring only: nothing here is
deployed, and nothing in `runtime/`, `components/` or `local/` imports it.
"""
