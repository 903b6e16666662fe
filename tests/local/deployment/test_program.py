"""Running a Pulumi program without Pulumi's engine."""

from __future__ import annotations

import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pulumi.errors import RunError
from pulumi.output import Unknown
from pulumi.runtime import mocks

from local.deployment.program import project_name, run_program, stack_config

PROJECT_FILE = """
name: some-project
runtime: python
config:
  needed: {type: string}
  size: {type: integer, default: 3}
  wide: {type: boolean, default: false}
  shape: {type: object, default: {}}
  pulumi:autonaming: {value: {pattern: x}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(PROJECT_FILE, encoding="utf-8")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {some-project:needed: x, aws:region: eu-west-1}", "utf-8")
    return tmp_path


class Answers(mocks.Mocks):
    """Answers with an ARN, or with nothing, as a preview does."""

    def __init__(self, known: bool = True) -> None:
        self.known = known
        self.registered: list[str] = []
        self.threads: set[str] = set()

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.registered.append(args.name)
        self.threads.add(threading.current_thread().name)
        return (f"{args.name}-id", {**args.inputs, "arn": "arn"}) if self.known else ("", dict(args.inputs))

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)


def run(project: Path, program: str, answers: Answers, *, preview: bool = False) -> dict[str, Any]:
    header = "import pulumi\nimport pulumi_aws as aws\n"
    (project / "__main__.py").write_text(header + dedent(program), encoding="utf-8")
    config = stack_config("dev", project=project)
    return run_program(answers, config, "dev", preview=preview, project=project)


def test_defaults_and_the_stacks_values_make_the_configuration(project: Path) -> None:
    assert stack_config("dev", project=project) == {
        "some-project:needed": "x",
        "some-project:size": "3",
        "some-project:wide": "false",
        "some-project:shape": "{}",
        "aws:region": "eu-west-1",
        "pulumi:autonaming": '{"pattern": "x"}',
    }


def test_overrides_win_over_the_stacks_file(project: Path) -> None:
    config = stack_config("dev", {"needed": "y", "size": 5, "shape": {"a": [1]}}, project)
    assert (config["some-project:needed"], config["some-project:size"]) == ("y", "5")
    assert config["some-project:shape"] == '{"a": [1]}'


def test_a_key_that_a_stack_file_gives_twice_is_refused_by_name(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(
        "config:\n  some-project:needed: x\n  some-project:size: 1\n  some-project:needed: y\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"Pulumi\.dev\.yaml gives some-project:needed twice, again in line 4\.$"):
        stack_config("dev", project=project)


def test_a_key_without_value_and_default_is_refused(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text("config: {}", encoding="utf-8")
    with pytest.raises(ValueError, match="some-project:needed has neither a value nor a default"):
        stack_config("dev", project=project)


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("needed", 5, "string"),
        ("size", "three", "integer"),
        ("size", True, "integer"),
        ("size", 1.5, "integer"),
        ("wide", 1, "boolean"),
        ("wide", "yes", "boolean"),
        ("shape", "{}", "object"),
    ],
)
def test_a_value_of_another_type_is_refused(project: Path, key: str, value: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"some-project:{key} is .* of type {wanted}"):
        stack_config("dev", {key: value}, project)


@pytest.mark.parametrize(("key", "value"), [("size", "10"), ("size", -4), ("wide", "true")])
def test_what_the_engine_takes_for_the_type_is_taken(project: Path, key: str, value: Any) -> None:
    assert stack_config("dev", {key: value}, project)[f"some-project:{key}"] == str(value)


def test_a_key_that_the_project_does_not_declare_reaches_the_program_as_from_the_engine(project: Path) -> None:
    assert stack_config("dev", {"sise": 5}, project)["some-project:sise"] == "5"


def test_a_stack_without_a_file_is_refused(project: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Pulumi\.prod\.yaml"):
        stack_config("prod", project=project)


def test_outputs_come_back_with_what_the_mocks_answered(project: Path) -> None:
    program = """
        topic = aws.sns.Topic("topic", display_name=pulumi.Config().require("needed"))
        pulumi.export("arn", topic.arn)
        pulumi.export("shown", topic.display_name)
        pulumi.export("where", f"{pulumi.get_project()}/{pulumi.get_stack()}")
    """
    outputs = run(project, program, Answers())
    assert outputs == {"arn": "arn", "shown": "x", "where": "some-project/dev"}


def test_a_preview_leaves_unknown_what_only_a_deployment_can_tell(project: Path) -> None:
    program = 'pulumi.export("arn", aws.sns.Topic("topic").arn)'
    outputs = run(project, program, Answers(known=False), preview=True)
    assert isinstance(outputs["arn"], Unknown)


def test_dependent_resources_are_registered_in_order(project: Path) -> None:
    program = """
        last = None
        for n in range(5):
            last = aws.sns.Topic(f"topic-{n}", opts=pulumi.ResourceOptions(depends_on=[last] if last else []))
    """
    answers = Answers()
    run(project, program, answers)
    assert [name for name in answers.registered if name != "some-project-dev"] == [f"topic-{n}" for n in range(5)]
    assert all(name.startswith("pulumi") for name in answers.threads)


def test_the_programs_error_comes_out_unchanged(project: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(project, "aws.sns.Topic('topic').arn.apply(lambda arn: 1 / 0)", Answers())


def test_a_missing_value_is_pulumis_error(project: Path) -> None:
    with pytest.raises(RunError, match="some-project:other"):
        run(project, "pulumi.Config().require('other')", Answers())


def test_a_failed_run_leaves_nothing_to_the_next_one(project: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(project, "aws.sns.Topic('topic').arn.apply(lambda arn: 1 / 0)", Answers())
    assert run(project, "pulumi.export('fine', True)", Answers()) == {"fine": True}


def test_the_process_keeps_its_own_main_module(project: Path) -> None:
    import __main__

    before = vars(__main__).get("__file__")
    assert run(project, "pulumi.export('name', __name__)", Answers()) == {"name": "pulumi_program"}
    assert vars(__main__).get("__file__") == before


def test_the_projects_name_is_the_namespace_of_its_keys(project: Path) -> None:
    assert project_name(project) == "some-project"
