import pytest

from runtime.agent.verification import seconds_of


@pytest.mark.parametrize(
    ("prompt", "seconds"),
    [("complete", 0), ("hold 4", 4), ("hold 0.5", 0.5), ("hold 9999", 120), ("hello hold 4", 0), ("", 0)],
)
def test_the_prompt_says_how_long_to_work_and_never_for_longer_than_two_minutes(prompt: str, seconds: float) -> None:
    assert seconds_of(prompt) == seconds


def test_a_hold_without_a_number_fails_its_step() -> None:
    with pytest.raises(ValueError, match="soon"):
        seconds_of("hold soon")
