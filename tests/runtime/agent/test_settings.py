import pytest

from runtime.agent.settings import AgentSettings

ENVIRON = {
    "JOURNAL_TABLE": "journal",
    "ARTIFACT_BUCKET": "artifacts",
    "MODEL_ID": "a-model",
    "AWS_REGION": "eu-west-1",
    "LEASE_SECONDS": "120",
    "JOURNAL_TTL_DAYS": "90",
    "PARALLEL_STEPS": "4",
}


def test_settings_come_from_the_environment() -> None:
    assert AgentSettings.from_environ(ENVIRON) == AgentSettings(
        journal_table="journal",
        artifact_bucket="artifacts",
        model_id="a-model",
        region="eu-west-1",
        lease_seconds=120,
        journal_ttl_days=90,
        parallel_steps=4,
        max_tokens=0,
        wakes=False,
        max_waits=0,
        answer_seconds=86_400,
    )


def test_a_stack_that_asks_says_how_often_and_for_how_long() -> None:
    settings = AgentSettings.from_environ(ENVIRON | {"MAX_WAITS": "3", "ANSWER_SECONDS": "60"})
    assert (settings.max_waits, settings.answer_seconds) == (3, 60)


@pytest.mark.parametrize("missing", ENVIRON)
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        AgentSettings.from_environ({name: value for name, value in ENVIRON.items() if name != missing})


@pytest.mark.parametrize(("completion", "wakes"), [("callback", True), ("poll", False)])
def test_a_state_machine_is_woken_only_when_it_waits_for_that(completion: str, wakes: bool) -> None:
    assert AgentSettings.from_environ(ENVIRON | {"COMPLETION": completion}).wakes is wakes
