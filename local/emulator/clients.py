"""Root boto3 clients for the emulator, one per service.

Keeps the machine's own AWS settings out: no profile, credentials, configured endpoint or HTTP proxy reaches these
clients, so nothing meant for the emulator can go to a real account. Root's key is generated at each start, so that
nothing else on this machine, such as a web page, knows it. Clients with a role's rights are not made here: whoever acts
as a role brings its credentials.
"""

from __future__ import annotations

import os
import secrets
import string
import threading
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

REGION = "us-east-1"

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    inject_host_prefix=False,  # start_sync_execution and others would resolve sync-127.0.0.1
    proxies={},
    s3={"addressing_style": "path"},
)


@dataclass(frozen=True)
class AccessKey:
    """An AWS access key; one generated here is root in one emulator and worthless anywhere else."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def new(cls) -> AccessKey:
        """Generate a random key in AWS's format."""
        letters = "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
        return cls(f"AKIA{letters}", secrets.token_urlsafe(30))


class RootSession(boto3.Session):
    """A session whose clients talk to one endpoint as root.

    :param endpoint_url: the emulator, `http://127.0.0.1:<port>`.
    :param key: root's key in this emulator.
    """

    def __init__(self, endpoint_url: str, key: AccessKey) -> None:
        core = botocore.session.Session({"profile": (None, None, None, None)})  # AWS_PROFILE is ignored
        for name in ("config_file", "credentials_file"):
            core.set_config_variable(name, os.devnull)
        super().__init__(key.access_key_id, key.secret_access_key, region_name=REGION, botocore_session=core)
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # clients are thread-safe, creating them is not

    def client(self, service_name: Any, *args: Any, **options: Any) -> Any:
        """Return the client for `service_name`; with options, a new one whose config is merged into the default."""
        defaults: dict[str, Any] = {"endpoint_url": self._endpoint_url, "config": _CONFIG}
        with self._lock:
            if args or options:
                if "config" in options:
                    options["config"] = _CONFIG.merge(options["config"])
                return super().client(service_name, *args, **defaults | options)
            if service_name not in self._clients:
                self._clients[service_name] = super().client(service_name, **defaults)
            return self._clients[service_name]
