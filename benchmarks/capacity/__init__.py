"""From one run's counts to quotas, dollars and crowds: computed, not timed.

`python -m benchmarks.capacity` prints the tables of docs/scale.md, `python -m benchmarks.capacity.waiting` what the
choice of the polls' interval costs. Prices are `runbook.pricing`'s.
"""
