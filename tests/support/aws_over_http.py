"""DynamoDB and S3 over HTTP on loopback: moto's own backends, for processes that moto can't patch.

A process that is started with `AWS_ENDPOINT_URL` set to it and a test that runs under `mock_aws` see the same
tables and buckets. Which service is meant stands in the request's signature. Any other service is a 501, by name.
"""

import re
from collections.abc import Callable
from typing import cast

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber

from tests.support.http_server import HttpServer, Received, Reply

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


class AwsOverHttp(HttpServer):
    """Answers as moto does. Only within `mock_aws`.

    :ivar override: asked first; what it returns is the answer, unless that is None
    """

    def __init__(self) -> None:
        self.override: Callable[[Received], Reply | None] = lambda _: None
        super().__init__()

    def answer(self, request: Received) -> Reply:
        """Return moto's answer, or the one that overrides it."""
        if overriding := self.override(request):
            return overriding
        scope = _SCOPE.search(request.headers.get("authorization", ""))
        if scope is None or scope["service"] not in ("dynamodb", "s3"):
            return Reply(501, f"not served here: {scope and scope['service']}".encode())
        url = f"https://{scope['service']}.{scope['region']}.amazonaws.com{request.path}"
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            if name != "host":
                headers[name] = value
        answered = botocore_stubber.process_request(
            AWSPreparedRequest(request.method, url, headers, request.body, stream_output=False)
        )
        if answered is None:
            return Reply(501, b"moto is not active")
        status, given, body = cast("tuple[int, dict[str, str], str | bytes]", answered)
        kept = {name: str(value) for name, value in given.items() if name.lower() != "content-length"}
        return Reply(status, body.encode() if isinstance(body, str) else body, kept)
