"""Proof that a stack works, by using it: `runbook verify`.

    report = verify(runbook.connect("dev"))
    report.passed

Owns what is tried and what is expected; how runs are started, cancelled and explained is the rest of the runbook's.
Whatever a service answers decides what a row says: a service that isn't there is a row that says so, and nothing in
here asks where it runs.
"""

from runbook.verify.findings import Report, Row, Verdict
from runbook.verify.verifier import verify

__all__ = ["Report", "Row", "Verdict", "verify"]
