"""Lambda functions, run by AWS's own runtime client.

The emulator's Python runtime reports every exception as `Runtime.HandlerError`, which no Retry or Catch of a state
machine matches. So a `bootstrap` is added to a function's zip: a custom runtime that is `awslambdaric`, the client
inside AWS's managed runtimes; handler and files stay unchanged.
"""

from __future__ import annotations

import re
import shlex
import sys
from typing import Any

from local.deployment.resources.assets import archive_files, zip_bytes
from local.deployment.resources.resource import Created, Inputs, Refused, Resource, pascal


def function(new: Resource) -> Created:
    """A function in Python, from an archive."""
    name, inputs, client = new.physical_name(), new.inputs, new.emulator.client("lambda")
    inputs.ignore("sourceCodeHash", reason="it tells Pulumi when to upload again; here everything is uploaded")
    logging = inputs.block("loggingConfig")
    logging_config = pascal(logging.some("logFormat", "logGroup", "applicationLogLevel", "systemLogLevel"))
    managed_runtime = _managed_runtime(inputs.require("runtime"), logging_config)
    files = archive_files(inputs.require("code")) | {"bootstrap": managed_runtime}
    created = client.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role=inputs.require("role"),
        Handler=inputs.require("handler"),
        Code={"ZipFile": zip_bytes(files, executable={"bootstrap"})},
        **_options(inputs, logging_config),
    )
    concurrency = inputs.take("reservedConcurrentExecutions", -1)
    if concurrency >= 0:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=concurrency)
    arn = created["FunctionArn"]
    version = created["Version"]
    outputs = {"name": name, "arn": arn, "version": version, "codeSha256": created["CodeSha256"]}
    return Created(name, {**outputs, "qualifiedArn": f"{arn.removesuffix(f':{version}')}:{version}"})


def permission(new: Resource) -> Created:
    """A statement of a function's resource policy."""
    inputs = new.inputs
    statement_id = new.physical_name("statementId")
    optional = pascal(inputs.some("sourceArn", "sourceAccount", "qualifier"))
    new.emulator.client("lambda").add_permission(
        StatementId=statement_id,
        FunctionName=inputs.require("function"),
        Action=inputs.require("action"),
        Principal=inputs.require("principal"),
        **optional,
    )
    return Created(statement_id, {"statementId": statement_id})


def event_invoke_config(new: Resource) -> Created:
    """How often, and for how long, an asynchronous invocation is retried."""
    name = new.inputs.require("functionName")
    options = pascal(
        new.inputs.some("maximumRetryAttempts", "maximumEventAgeInSeconds", "qualifier", "destinationConfig")
    )
    new.emulator.client("lambda").put_function_event_invoke_config(FunctionName=name, **options)
    return Created(name, {})


def _options(inputs: Inputs, logging_config: dict[str, str]) -> dict[str, Any]:
    variables = inputs.block("environment").take("variables")
    options = {
        **pascal(inputs.some("architectures", "description", "layers", "memorySize", "publish", "timeout")),
        **pascal(inputs.some("deadLetterConfig", "ephemeralStorage", "tracingConfig")),
        "Environment": {"Variables": variables} if variables else None,
        "KMSKeyArn": inputs.take("kmsKeyArn"),
        "LoggingConfig": logging_config,
        "Tags": inputs.take("tags"),
    }
    return {key: value for key, value in options.items() if value}


def _managed_runtime(runtime: str, logging_config: dict[str, str]) -> bytes:
    """Return a bootstrap that gives a handler what AWS's runtime of that name does.

    Rule: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    if not re.fullmatch(r"python3\.\d+", runtime):
        raise Refused(f"runtime {runtime} is not emulated, only Python runtimes are")
    environment = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
        "AWS_LAMBDA_LOG_FORMAT": logging_config.get("LogFormat", "Text"),
        "AWS_LAMBDA_LOG_LEVEL": logging_config.get("ApplicationLogLevel", ""),
        "TZ": ":UTC",
    }
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items() if value)
    return (
        "#!/bin/sh\n"
        f'export PYTHONPATH="$LAMBDA_TASK_ROOT" {exports}\n'
        f'exec {shlex.quote(sys.executable)} -m awslambdaric "$_HANDLER"\n'
    ).encode()
