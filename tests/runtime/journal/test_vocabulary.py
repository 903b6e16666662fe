import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.journal.errors import InvalidStepName
from runtime.journal.vocabulary import STEP_NAME, TERMINAL, Status, StepPhase, check_step_name, step_status


def test_a_status_says_its_own_name() -> None:
    assert all(status.value == status.name for status in Status)


def test_five_statuses_end_a_run() -> None:
    assert [str(status) for status in TERMINAL] == [
        "AGENT_BACKGROUND_TASK_COMPLETED",
        "AGENT_BACKGROUND_TASK_FAILED",
        "SESSION_FAILED",
        "SESSION_TIMED_OUT",
        "SESSION_CANCELLED",
    ]


@pytest.mark.parametrize("phase", StepPhase)
def test_a_step_has_a_status_for_each_phase(phase: StepPhase) -> None:
    assert step_status("data_analyst2", phase) == f"TASK_DATA_ANALYST2_{phase.value}"


@pytest.mark.parametrize("name", ["a", "analyst", "a1", "step_2", "a" * 40])
def test_a_fitting_step_name_is_taken(name: str) -> None:
    assert check_step_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "Analyst",
        "1st",
        "_a",
        "a-b",
        "a b",
        "a/b",
        "../a",
        "a.md",
        "a#b",
        "ä",
        "a\n",
        "a\0",
        "\u017f",
        "a" * 41,
    ],
)
def test_a_step_name_that_does_not_fit_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidStepName, match="1 to 40 of a-z, 0-9 and _, a letter first") as refused:
        step_status(name, StepPhase.STARTED)
    assert repr(name) in str(refused.value)
    assert refused.value.name == name


def test_a_refusal_does_not_repeat_a_huge_name() -> None:
    assert len(str(InvalidStepName("a" * 100_000))) < 200


@settings(max_examples=200, derandomize=True, database=None)
@given(st.text(max_size=45))
def test_only_names_that_are_safe_in_a_key_are_taken(name: str) -> None:
    try:
        check_step_name(name)
    except InvalidStepName:
        return
    assert 1 <= len(name) <= 40
    assert name[0] in "abcdefghijklmnopqrstuvwxyz"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


@settings(max_examples=50, derandomize=True, database=None)
@given(st.from_regex(STEP_NAME, fullmatch=True), st.from_regex(STEP_NAME, fullmatch=True))
def test_two_steps_never_share_a_status(one: str, other: str) -> None:
    statuses = {step_status(name, phase) for name in (one, other) for phase in StepPhase}
    assert len(statuses) == len(StepPhase) * len({one, other})
