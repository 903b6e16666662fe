"""The model that is asked from `--live-from` on: Bedrock's, or whoever AWS_ENDPOINT_URL_BEDROCK_RUNTIME names."""

import os
from collections.abc import Mapping

from strands.models.model import Model

from local.replay.playing import ModelOf
from local.replay.record.errors import ReplayError
from local.replay.record.folder import RunFolder
from runtime.agent.definition import Step
from runtime.agent.model import build_model


def bedrock_model(folder: RunFolder, environ: Mapping[str, str] = os.environ) -> ModelOf:
    """Return what gives a step's model: its own, MODEL_ID's, or the recorded run's.

    :raises ReplayError: if the environment names no region, or nobody names a model
    """
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ReplayError("--live-from asks Bedrock, and the environment names no region: set AWS_REGION")
    model_id = environ.get("MODEL_ID") or _recorded_model(folder)

    def model_of(step: Step) -> Model:
        if not (named := step.model or model_id):
            raise ReplayError("--live-from asks a model, and nobody names one: set MODEL_ID")
        return build_model(named, region)

    return model_of


def _recorded_model(folder: RunFolder) -> str | None:
    for unit in folder.run.units():
        definition = folder.definition(unit)
        if definition and (found := definition["model"].get("model_id")):
            return found
    return None
