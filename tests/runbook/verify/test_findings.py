from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from runbook.errors import RunNotFound
from runbook.render import WIDTH, console
from runbook.verify.findings import MAX_TEXT, Look, Refuted, Report, Row, Seen, Unjudged, Verdict
from runbook.verify.table import table


def refusal(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetServiceQuota")


def raising(error: Exception) -> Callable[[], str]:
    def see() -> str:
        raise error

    return see


@pytest.mark.parametrize(
    ("error", "verdict", "seen"),
    [
        (refusal("400"), Verdict.SKIPPED, "not available here: GetServiceQuota is answered with 400"),
        (refusal("UnknownOperationException"), Verdict.SKIPPED, "not available here"),
        (
            EndpointConnectionError(endpoint_url="https://xray"),
            Verdict.SKIPPED,
            "not available here: Could not connect",
        ),
        (Unjudged("it is too early"), Verdict.SKIPPED, "it is too early"),
        (Refuted("nothing", "look"), Verdict.FAILED, "nothing"),
        (refusal("400", "the request is malformed"), Verdict.FAILED, "the request is malformed"),
        (refusal("AccessDenied", "may not"), Verdict.FAILED, "may not"),
        (refusal("ThrottlingException", "slow down"), Verdict.FAILED, "slow down"),
        (ReadTimeoutError(endpoint_url="https://sts"), Verdict.FAILED, "ReadTimeoutError"),
        (RunNotFound("x" * 36), Verdict.FAILED, "there is no run"),
        (KeyError("Quota"), Verdict.FAILED, "KeyError: 'Quota'"),
    ],
)
def test_what_a_look_meets_becomes_a_row(error: Exception, verdict: Verdict, seen: str) -> None:
    row = Look("quota", "more than none", raising(error), "ask for more").row()
    assert row.verdict == verdict
    assert seen in row.seen
    assert bool(row.do) == (verdict == Verdict.FAILED)


def test_a_right_that_only_this_look_needs_leaves_its_row_open() -> None:
    see = raising(refusal("AccessDeniedException", "not authorized to perform: servicequotas:GetServiceQuota"))
    row = Look("quota", "more than none", see, optional=True).row()
    assert (row.verdict, row.do) == (Verdict.SKIPPED, "")
    assert "servicequotas:GetServiceQuota" in row.seen


def test_what_was_seen_is_short_and_on_one_line() -> None:
    row = Look("text", "any", lambda: "line\n" * 1000).row()
    assert len(row.seen) <= MAX_TEXT
    assert "\n" not in row.seen


def test_a_report_passes_while_nothing_failed_and_says_so_as_json() -> None:
    held = Look("a", "b", lambda: Seen("c", 1.23456)).row()
    skipped = Look("d", "e", raising(Unjudged("f"))).row()
    report = Report("dev", [held, skipped], 2.0)
    assert report.passed
    assert report.as_json() == {
        "stack": "dev",
        "passed": True,
        "seconds": 2.0,
        "rows": [
            {"what": "a", "expected": "b", "seen": "c", "verdict": "ok", "seconds": 1.235, "do": ""},
            {"what": "d", "expected": "e", "seen": "f", "verdict": "skipped", "seconds": None, "do": ""},
        ],
    }
    assert not Report("dev", [held, Look("g", "h", raising(Refuted("i", "j"))).row()]).passed


def test_the_table_fits_a_terminal_and_ends_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Row("identity", "account 1", "arn:aws:sts::1:assumed-role/a-role-with-a-long-name/somebody", Verdict.OK, 0.5),
        Row("spans", "the agent's", "there is no [log] group", Verdict.SKIPPED),
        Row("a run", "a report", "SESSION_FAILED", Verdict.FAILED, 12.3, "`runbook show x`"),
    ]
    console().print(table(Report("dev", rows, 61)))
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, shown)) <= WIDTH
    assert "skipped spans: there is no [log] group" in shown
    explained = shown.index("failed a run: SESSION_FAILED")
    assert shown[explained + 1] == "       do: `runbook show x`"
    assert shown[-1] == "dev: 1 of 3 failed, 1 min 01 s"
