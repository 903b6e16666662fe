"""A run that waits for a person, on the machine's side: expressions by themselves, stories played in virtual time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from components.settings import Settings
from components.workflow_budget import (
    WorkflowSettings,
    answer_looks,
    answer_turn_seconds,
    history_events,
    wait_transitions,
)
from components.workflow_definition import build_definition
from runtime.journal.keys import OUTCOME, answer_key, record_key, wait_sort_key
from runtime.journal.reader import JournalReader
from runtime.journal.timestamps import to_timestamp
from runtime.journal.vocabulary import Status
from runtime.journal.waits import EXPIRED, Answer, AnsweredWait, serialized_answers
from runtime.journal.writer import Standing
from tests.support.journal_table import create_journal_table
from tests.support.played_run import (
    ANSWER_SECONDS,
    MAX_ATTEMPTS,
    MAX_RUN_SECONDS,
    NOTICED_SECONDS,
    REPLIED,
    SESSION,
    TABLE,
    TURN_SECONDS,
    Agent,
    Played,
    Reply,
    Story,
    Write,
    check,
    played,
    settings_of,
)
from tests.support.state_machine import entered, evaluate, failure

CONFLICT = "TransactionConflict"


def with_settings(**changes: Any) -> WorkflowSettings:
    return WorkflowSettings(Settings.defaults(**changes), "invoker", TABLE, "default")


MAY_WAIT: dict[str, dict[str, Any]] = build_definition(with_settings(max_waits=3))["States"]


def test_a_request_and_answers_that_are_too_large_together_close_the_run_with_a_sentence() -> None:
    # States.ALL doesn't match this error, and the emulator has no such limit.
    [caught] = [
        each for each in MAY_WAIT["InvokeAgent"]["Catch"] if each["ErrorEquals"] == ["States.DataLimitExceeded"]
    ]
    assert caught["Next"] == "CloseSession"
    assert "256 KiB" in caught["Assign"]["closing"]["errorMessage"]


@pytest.mark.parametrize(("wait", "suffix"), [(1, "01"), (9, "09"), (11, "11")])
def test_the_machine_spells_keys_of_waits_and_answers_as_the_journal_does(wait: int, suffix: str) -> None:
    checks = [item["ConditionCheck"]["Key"] for item in MAY_WAIT["CloseSession"]["Arguments"]["TransactItems"][2:]]
    variables = {"sessionId": "a-run", "wait": wait}
    assert [evaluated(key, variables) for key in checks] == [record_key("a-run", wait_sort_key(wait))]
    _, answer = MAY_WAIT["LookForAnswer"]["Arguments"]["TransactItems"]
    assert evaluated(answer["Get"]["Key"], variables) == answer_key("a-run", wait)
    assert wait_sort_key(wait).endswith(suffix)


def evaluated(value: Any, variables: dict[str, Any]) -> Any:
    """A value with its expressions evaluated."""
    if isinstance(value, dict):
        return {key: evaluated(inner, variables) for key, inner in value.items()}
    return evaluate(value, variables) if isinstance(value, str) and value.startswith("{%") else value


def test_the_answers_that_the_machine_writes_are_those_that_the_journal_reads() -> None:
    *_, asked, answer = MAY_WAIT["ExpireQuestions"]["Arguments"]["TransactItems"]
    assert asked["ConditionCheck"]["ConditionExpression"] == "attribute_exists(PK)"
    item = answer["Put"]["Item"]
    assert {*("PK", "SK", "sessionId", "eventId", "status", "createdAt", "expiresAt", "wait", "answers")} == set(item)
    item = item | {"createdAt": {"S": "2026-11-30T12:00:00.000Z"}, "wait": {"N": "1"}, "expiresAt": {"N": "1"}}
    read = AnsweredWait.from_item(item, count=2)
    assert (read.number, read.by, read.answers) == (1, "", (Answer(approved=False, expired=True),) * 2)


NOW_MILLIS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("offset_seconds", "late_seconds", "expired"),
    [(0, -1, False), (0, 1, True), (60, 1, False), (60, 61, True), (-60, -1, False), (-60, 1, True)],
)
def test_a_question_expires_by_the_machines_clock_and_never_before_the_time_that_people_were_told(
    offset_seconds: int, late_seconds: int, expired: bool
) -> None:
    condition = MAY_WAIT["EvaluateAnswer"]["Choices"][2]["Condition"].replace("$millis()", str(NOW_MILLIS))
    until = to_timestamp(datetime.fromtimestamp(NOW_MILLIS / 1000 - late_seconds, UTC))
    variables = {"asked": {"until": until}, "offset": 1000 * offset_seconds}
    assert evaluate(condition, variables) is expired


def test_a_look_that_fails_does_not_end_a_wait_before_its_time() -> None:
    [caught] = MAY_WAIT["LookForAnswer"]["Catch"]
    assert (caught["ErrorEquals"], caught["Next"]) == (["States.ALL"], "CouldNotLookForAnswer")
    # A day's 24th part, until which it looks no more.
    assert caught["Assign"] == {"pause": 3600}
    could_not = MAY_WAIT["CouldNotLookForAnswer"]
    assert could_not["Choices"][0]["Condition"] == MAY_WAIT["EvaluateAnswer"]["Choices"][2]["Condition"]
    assert could_not["Default"] == "WaitToLookForAnswer"


def test_what_is_asked_is_read_from_any_items_and_of_the_present_wait_only() -> None:
    asked = MAY_WAIT["CheckStatus"]["Assign"]["asked"]
    other, own = ({"SK": {"S": wait_sort_key(number)}, "until": {"S": "then"}} for number in (1, 2))
    own |= {"secondsLeft": {"N": "7.5"}, "key": {"S": "turns/…"}, "count": {"N": "2"}}
    event = {"SK": {"S": "EVENT#2026#x"}}
    assert evaluate(asked, {"wait": 2}, result={"Items": [own, other, event]}) == {
        "until": "then",
        "secondsLeft": 7.5,
        "key": "turns/…",
        "count": 2,
    }
    assert evaluate(asked, {"wait": 3}, result={"Items": [own, other, event]}) is None


@pytest.mark.parametrize("missing", [{}, {"Item": None}, {"Item": {}}], ids=["left out", "null", "empty"])
def test_an_answer_is_found_beside_whatever_a_missing_outcome_looks_like(missing: dict[str, Any]) -> None:
    # AWS documents no result of this call as the states language sees it.
    assign = MAY_WAIT["LookForAnswer"]["Assign"]
    item = {"PK": {"S": "ANSWERS#a-run"}, "answers": {"S": "[]"}, "createdAt": {"S": "then"}}
    variables = {"sessionId": "a-run"}
    answered = {"Responses": [missing, {"Item": item}]}
    assert evaluate(assign["answer"], variables, result=answered) == {"answers": "[]", "createdAt": "then"}
    assert evaluate(assign["outcome"], variables, result=answered) is None
    ended = {"Responses": [{"Item": {"SK": {"S": OUTCOME}, "status": {"S": "SESSION_CANCELLED"}}}, missing]}
    assert evaluate(assign["answer"], variables, result=ended) is None
    assert evaluate(assign["outcome"], variables, result=ended)["status"] == "SESSION_CANCELLED"


@pytest.mark.parametrize(
    ("answer_seconds", "turn", "looks"),
    [(86_400, 3600, 25), (30 * 86_400, 108_000, 25), (3600, 600, 7), (60, 60, 2), (1, 1, 2)],
)
def test_a_lost_wake_up_costs_a_turn_and_a_wait_at_most_25_looks(answer_seconds: int, turn: int, looks: int) -> None:
    settings = with_settings(max_waits=1, answer_seconds=answer_seconds)
    assert build_definition(settings)["States"]["WaitForAnswer"]["TimeoutSeconds"] == turn
    assert answer_looks(settings.stack) == looks


def test_only_the_first_announcement_of_a_wait_says_that_it_has_only_begun() -> None:
    publish = MAY_WAIT["PublishWaiting"]
    detail = publish["Arguments"]["Entries"][0]["Detail"]
    assert evaluate(detail["waitingSeconds"], {"noticed": None}) == 0
    noticed = evaluate(publish["Assign"]["noticed"], {"noticed": None})
    assert evaluate(detail["waitingSeconds"], {"noticed": noticed - 2500}) == 3
    assert evaluate(publish["Assign"]["noticed"], {"noticed": noticed}) == noticed
    assert MAY_WAIT["NextSegment"]["Assign"]["noticed"] is None


def test_a_turn_is_shorter_than_the_time_for_an_answer_so_that_lost_wake_ups_show() -> None:
    assert answer_turn_seconds(Story("poll", [], [], replies=(Reply(),)).stack) == TURN_SECONDS < ANSWER_SECONDS


BOTH_WAYS = pytest.mark.parametrize("completion", ["poll", "callback"])


@BOTH_WAYS
@pytest.mark.parametrize(
    ("reply", "expires"),
    [
        (Reply(0), False),
        (Reply(3), False),
        (Reply(650), False),
        (Reply(3, wakes=False), False),
        # Late, but before the look that would have found that it is.
        (Reply(ANSWER_SECONDS + 0.1), False),
        (Reply(ANSWER_SECONDS + TURN_SECONDS), True),
        (Reply(), True),
    ],
    ids=["at once", "soon", "a turn later", "wake-up lost", "late", "too late", "never"],
)
def test_a_run_that_waits_goes_on_with_its_answer_or_without_one(
    completion: str, reply: Reply, expires: bool, client: Any
) -> None:
    player = check(Story(completion, [Agent("waits", 3), Agent("completes", 3)], [0], replies=(reply,)), client)
    assert (player.answers[1] == EXPIRED) == expires
    assert player.called_at[1:] == [player.resumed_at[1]]


def test_a_look_that_meets_the_answer_being_written_is_made_again_at_once(client: Any) -> None:
    story = Story("callback", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(60),))
    player = Played(story, client)
    left = [CONFLICT] * 3

    def refuse(arguments: dict[str, Any]) -> Any:
        if player.answered_at and left:
            raise failure("DynamoDb.TransactionCanceledException", left.pop())
        return client.transact_get_items(**arguments)

    create_journal_table(client, TABLE)
    try:
        with patch.object(player, "transact_get", refuse):
            player.play()
    finally:
        client.delete_table(TableName=TABLE)
    assert not left
    assert player.resumed_at[1] < player.answered_at[1] + 30


def writes(actions: list[dict[str, Any]], value: str) -> bool:
    """Whether a transaction puts a record that has a value."""
    return any({"S": value} in action["Put"]["Item"].values() for action in actions if "Put" in action)


def once(value: str, do: Callable[[Played], None]) -> Callable[[Played], Write]:
    """Return what does something just before the machine first writes a value."""

    def watched(player: Played) -> Write:
        left = [do]

        def before(actions: list[dict[str, Any]]) -> None:
            if left and writes(actions, value):
                left.pop()(player)

        return before

    return watched


def reply_now(player: Played) -> None:
    wait = JournalReader(player.client, TABLE).wait(SESSION, 1)
    assert wait
    player.reply(wait, Reply(0))


@BOTH_WAYS
def test_an_answer_that_comes_at_the_very_moment_of_expiry_counts_if_it_is_first(completion: str, client: Any) -> None:
    story = Story(completion, [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    player = check(story, client, once(EXPIRED, reply_now))
    assert player.answers[1] == serialized_answers(REPLIED)
    assert player.resumed_at[1] < player.answered_at[1] + 3


def test_an_answer_that_comes_at_the_very_moment_of_expiry_is_refused_if_it_is_second(client: Any) -> None:
    refused = list[bool]()

    def before(player: Played) -> Write:
        def reply_after() -> None:
            reply_now(player)
            refused.append(not player.answered_at)

        def soon(actions: list[dict[str, Any]]) -> None:
            if writes(actions, EXPIRED):
                player.world.at(player.world.seconds + 0.001, reply_after)

        return soon

    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    assert check(story, client, before).answers[1] == EXPIRED
    assert refused == [True]


def at_the_token(do: Callable[[Played], None]) -> Callable[[Played], Write]:
    """Return what does something just before the machine, which has looked, stores the token by which it is woken."""

    def watched(player: Played) -> Write:
        left = [do]

        def before(actions: list[dict[str, Any]]) -> None:
            if left and any("taskToken" in action["Put"]["Item"] for action in actions if "Put" in action):
                left.pop()(player)

        return before

    return watched


def cancel_now(player: Played) -> None:
    player.cancel(0)


@pytest.mark.parametrize("comes", [reply_now, cancel_now], ids=["answer", "cancel"])
def test_what_comes_between_the_look_and_the_token_is_not_slept_through(
    comes: Callable[[Played], None], client: Any
) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    player = check(story, client, at_the_token(comes))
    assert player.world.seconds < 60


def test_a_run_that_is_cancelled_at_the_moment_of_expiry_does_not_expire(client: Any) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    player = check(story, client, once(EXPIRED, cancel_now))
    assert not player.answers
    assert len(player.called_at) == 1


def open_late(attempt: int) -> Callable[[Played], None]:
    """Return what lets an attempt write its wait, which it was about to."""

    def open_now(player: Played) -> None:
        writer = player.writer(0)
        event = writer.stamp(
            SESSION, Status.RUN_WAITING, lease_seconds=0, attempt=attempt, environment_id="an environment"
        )
        player.open_wait(writer, event, Standing(attempt, MAX_ATTEMPTS, 1), 40)

    return open_now


@BOTH_WAYS
@pytest.mark.parametrize(
    ("deaths", "decided"),
    [
        (1, Status.AGENT_BACKGROUND_TASK_LOST),
        (MAX_ATTEMPTS, Status.SESSION_FAILED),
    ],
    ids=["lost", "its last attempt lost"],
)
def test_a_wait_that_is_written_when_the_machine_has_already_decided_wins(
    deaths: int, decided: Status, completion: str, client: Any
) -> None:
    # Looked at several times, so that whatever had been decided would come about after all.
    agents = [*[Agent("dies", 3)] * deaths, Agent("completes", 45)]
    story = Story(completion, agents, [0], replies=(Reply(3),))
    player = check(story, client, once(decided, open_late(deaths)))
    assert player.answers[1] == serialized_answers(REPLIED)
    assert len(player.called_at) == deaths + 1
    assert player.completed


@BOTH_WAYS
def test_a_run_that_is_cancelled_while_it_waits_is_not_started_again(completion: str, client: Any) -> None:
    story = Story(completion, [Agent("waits", 3)], [0], cancel=(60, 0), replies=(Reply(),))
    player = check(story, client)
    assert len(player.called_at) == 1
    assert player.world.seconds < 60 + NOTICED_SECONDS


@pytest.mark.parametrize(
    "agent",
    [Agent("waits", 3, acknowledges=30), Agent("waits", 0.1, answers=False), Agent("waits", 0.1, skew=600)],
    ids=["acknowledged late", "acknowledgement lost", "a clock that is ahead"],
)
@BOTH_WAYS
def test_a_wait_is_found_however_its_attempt_was_acknowledged(agent: Agent, completion: str, client: Any) -> None:
    player = check(Story(completion, [agent, Agent("completes", 3)], [0], replies=(Reply(2),)), client)
    assert player.answers[1] == serialized_answers(REPLIED)
    # A poll's interval at most, and no wait for a wake-up that has come already.
    assert player.resumed_at[1] < max(player.answered_at[1], agent.acknowledges) + 8
    assert "CloseSession" not in player.names


@pytest.mark.parametrize("skew", [600, -600])
def test_what_follows_an_answer_is_later_in_the_journal_whatever_the_person_s_clock_says(
    skew: int, client: Any
) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(3, skew=skew),))
    _, _, events = played(story, client)
    answered = next(event for event in events if event.status == Status.RUN_ANSWERED)
    following = [event for event in events if (event.attempt or 0) > 1]
    assert following
    assert all(event.created_at > answered.created_at for event in following)


@BOTH_WAYS
def test_the_time_of_a_run_stands_still_while_it_waits(completion: str, client: Any) -> None:
    # Twice 80 s of work are more than the 120 s that a run may take, 1,300 s of waiting are not among them.
    story = Story(completion, [Agent("waits", 80), Agent("goes on", 1)], [0], replies=(Reply(1300),))
    player = check(story, client)
    worked = player.world.seconds - player.resumed_at[1]
    assert MAX_RUN_SECONDS - 80 - 10 < worked < MAX_RUN_SECONDS - 80 + 15


@BOTH_WAYS
def test_a_run_that_uses_all_its_waits_and_loses_agents_in_between_fits_the_history(
    completion: str, client: Any
) -> None:
    lost = Agent("dies", 3)
    agents = [Agent("waits", 1), lost, lost, Agent("waits", 1), lost, Agent("waits", 1), lost, lost, Agent("waits", 1)]
    story = Story(completion, agents, [0], replies=(Reply(), Reply(700, wakes=False), Reply(5)))
    player, execution, events = played(story, client)
    assert execution["status"] == "SUCCEEDED"
    assert [event.attempt for event in events if event.status == Status.AGENT_BACKGROUND_TASK_STARTED] == [
        *range(1, 10)
    ]
    assert set(player.resumed_at) == {1, 2, 3}
    assert history(execution, build_definition(settings_of(story))) < history_events(story.stack)


def test_a_day_s_wait_takes_as_many_transitions_and_looks_as_is_computed(client: Any) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),), answer_seconds=86_400)
    player, execution, _ = played(story, client)
    names = entered(execution)
    waiting = names[names.index("StopWaitingAgent") : names.index("NextSegment") + 1]
    assert len(waiting) == wait_transitions(story.stack)
    assert waiting.count("LookForAnswer") == answer_looks(story.stack)
    assert len(player.announced) - 1 == waiting.count("WaitForAnswer") == answer_looks(story.stack) - 1


def history(execution: dict[str, Any], definition: dict[str, Any]) -> int:
    """Count the history that Step Functions would keep of what the interpreter played."""
    took = {"Wait": 2, "Choice": 2, "Pass": 2, "Succeed": 2, "Fail": 2, "Task": 5}
    states = [definition["States"][name] for name in entered(execution)]
    tokens = sum("waitForTaskToken" in state.get("Resource", "") for state in states)
    return sum(took[state["Type"]] for state in states) + tokens
