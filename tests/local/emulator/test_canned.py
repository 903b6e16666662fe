"""What a canned reply gives a tool: anything that the agents' results can be made of has to be valid."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, create_model

from local.emulator.edge.canned import canned_input


class Mood(StrEnum):
    """Some words."""

    GLAD = "glad"


class Lead(BaseModel):
    """An inner model: it is in the schema's `$defs`."""

    question: str
    weight: Annotated[float, Field(gt=2)]
    note: str | None = None


class Plan(BaseModel):
    """Contains itself."""

    leads: list[Lead]
    parts: list["Plan"]


@pytest.mark.parametrize(
    "result",
    [
        list[Lead],
        Plan,
        Mood,
        Literal["yes", "no"],
        Lead | None,
        tuple[int, str],
        set[str],
        dict[str, int],
        bool,
        Annotated[str, Field(min_length=30, max_length=31)],
        Annotated[int, Field(ge=3, le=4)],
        Annotated[int, Field(lt=-5)],
        Annotated[list[int], Field(min_length=5)],
        Annotated[list[Lead], Field(max_length=1)],
    ],
)
def test_what_a_canned_reply_gives_a_tool_is_what_its_schema_allows(result: Any) -> None:
    model = create_model("Result", given=(result, ...))
    model.model_validate(canned_input(model.model_json_schema()))


def test_a_canned_list_has_two_items_that_say_what_they_are() -> None:
    schema = TypeAdapter(create_model("Result", items=(list[Lead], ...))).json_schema()
    assert canned_input(schema) == {
        "items": [{"question": "canned question 1", "weight": 3}, {"question": "canned question 2", "weight": 3}]
    }


def test_what_need_not_be_there_is_left_out() -> None:
    assert canned_input({"type": "object", "properties": {"note": {"type": "string"}}}) == {}
