"""The embedded cloud: the emulator, AgentCore's data plane and the deployed Pulumi program.

Owns the order in which they start and stop. `local.run`, the runbook and the tests use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.agentcore.data_plane import DataPlane
from local.agentcore.environments.settings import DataPlaneSettings
from local.deployment.deploy import deploy
from local.deployment.program import project_name, stack_config
from local.emulator.clients import REGION
from local.emulator.process import LAMBDA_QUEUE_SECONDS, MODEL_SECONDS, Emulator
from local.stack_file import LocalStack

STACK = "local"
AGENT_ENDPOINT = "live"


class ModelError(Exception):
    """The given model server can't answer the agents."""


class EmbeddedCloud:
    """An embedded cloud that runs while its context is entered.

    :param model_url: base URL of an OpenAI-compatible server that answers the agents; without it, replies are canned
    :param config: values that override `Pulumi.local.yaml`, by key without the project's name
    :param data_plane: settings of the AgentCore data plane; its port is chosen here
    :param endpoint_url_override: the endpoint that the Lambda and the agents use instead of the emulator's own
    :ivar stack: where everything is, and the stack's outputs
    """

    stack: LocalStack

    def __init__(
        self,
        *,
        model_url: str | None = None,
        config: Mapping[str, Any] | None = None,
        data_plane: DataPlaneSettings | None = None,
        endpoint_url_override: str | None = None,
        lambda_concurrency: int = 16,
        lambda_queue_seconds: float = LAMBDA_QUEUE_SECONDS,
    ) -> None:
        self._config = dict(config or {})
        self._model_url = model_url
        self._parts = ExitStack()
        settings = replace(data_plane or DataPlaneSettings(), agent_endpoint_url=endpoint_url_override)
        self.data_plane = DataPlane(settings)
        self.emulator = Emulator(
            agentcore_url=self.data_plane.url,
            model_url=model_url,
            endpoint_url_override=endpoint_url_override,
            lambda_concurrency=lambda_concurrency,
            lambda_queue_seconds=lambda_queue_seconds,
        )

    def __enter__(self) -> Self:
        """Start everything.

        :raises EmulatorError: if the emulator can't be started
        :raises DataPlaneError: if the data plane can't be started
        :raises DeployError: if the program can't be deployed
        """
        with ExitStack() as parts:
            # Entered before it is started, so that it ends before the emulator, which gets its last logs.
            parts.enter_context(self.emulator)
            parts.enter_context(self.data_plane)
            self.data_plane.start(self.emulator.url, self.emulator.client)
            outputs = deploy(self.emulator, stack=STACK, config_overrides=self._config)
            self.data_plane.warm(outputs["agentRuntimeArn"], AGENT_ENDPOINT)
            self._parts = parts.pop_all()
        self.stack = LocalStack(
            endpoint_url=self.emulator.url,
            agentcore_endpoint_url=self.data_plane.url,
            region=REGION,
            stack=STACK,
            outputs=outputs,
            key=self.emulator.key,
        )
        return self

    def check(self) -> None:
        """Check that the cloud is alive.

        :raises EmulatorError: if the emulator died
        """
        self.emulator.check()

    def check_model(self) -> None:
        """Ask the model server, if there is one, for one word the way the agents will.

        :raises ModelError: if it doesn't answer, or refuses
        """
        if self._model_url is None:
            return
        config = stack_config(STACK, self._config)
        messages = [{"role": "user", "content": [{"text": "Say yes."}]}]
        patient = Config(read_timeout=MODEL_SECONDS + 30, retries={"total_max_attempts": 1}, proxies={})
        client = self.emulator.client("bedrock-runtime", config=patient)
        try:
            client.converse(
                modelId=config[f"{project_name()}:modelId"], messages=messages, inferenceConfig={"maxTokens": 8}
            )
        except (ClientError, BotoCoreError) as error:
            why = error.response.get("Error", {}).get("Message") if isinstance(error, ClientError) else None
            raise ModelError(
                f"--model-url {self._model_url} can't answer the agents. {why or error} It must serve OpenAI's API "
                "below /v1, and have the model that modelId in Pulumi.local.yaml names."
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()
