"""A real browser with a page that wants to use the embedded cloud of the person who looks at it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.agentcore.data_plane import DataPlane
from local.emulator.process import Emulator
from tests.local.test_access import signed
from tests.support.http_server import HttpServer, Received, Reply
from tests.support.waiting import wait_until

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGE = """
<!doctype html>
<script>
const attempts = ATTEMPTS;
const outcome = async ({url, options}) => {
  try {
    const answer = await fetch(url, options);
    return answer.type === "opaque" ? "sent, and nothing to be read" : `read: ${answer.status} ${await answer.text()}`;
  } catch (error) {
    return "blocked";
  }
};
(async () => {
  const results = {};
  for (const [name, attempt] of Object.entries(attempts)) results[name] = await outcome(attempt);
  await fetch("/results", {method: "POST", body: JSON.stringify(results)});
})();
</script>
"""


class EvilSite(HttpServer):
    """Serves the page, and takes its results."""

    def __init__(self, attempts: dict[str, Any]) -> None:
        self.results: dict[str, str] = {}
        super().__init__()
        self._page = PAGE.replace("ATTEMPTS", json.dumps(attempts)).encode()

    def answer(self, request: Received) -> Reply:
        """The page for everything but its results."""
        if request.path == "/results":
            self.results = json.loads(request.body)
        return Reply(200, self._page, {"Content-Type": "text/html"})


def creating(emulator: Emulator, table: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a call of root that creates a table."""
    body = {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
    }
    target = {"X-Amz-Target": "DynamoDB_20120810.CreateTable", "Content-Type": "application/x-amz-json-1.0"}
    content = json.dumps(body).encode()
    return signed(emulator.url, emulator.key, "dynamodb", target, content), content


@pytest.mark.soak
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")
def test_a_page_in_a_browser_can_neither_do_nor_read_anything(emulator: Emulator, tmp_path: Path) -> None:
    emulator.client("s3").create_bucket(Bucket="of-the-victim")
    headers, body = creating(emulator, "made-by-a-page")
    with DataPlane() as plane:
        plane.start(emulator.url, emulator.client)
        simple: dict[str, Any] = {"method": "POST", "mode": "no-cors"}
        runtime = (
            f"{plane.url}/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A000000000000%3Aruntime%2Fx-0123456789"
        )
        attempts: dict[str, Any] = {
            "reset": {"url": f"{emulator.url}/_ministack/reset", "options": simple},
            "health": {"url": f"{emulator.url}/_ministack/health"},
            "root": {
                "url": f"{emulator.url}/",
                "options": {"method": "POST", "headers": headers, "body": body.decode()},
            },
            "simple root": {"url": f"{emulator.url}/", "options": {**simple, "body": body.decode()}},
            "invoke": {"url": f"{runtime}/invocations", "options": simple},
            "read an agent": {"url": f"{runtime}/invocations", "options": {"method": "POST"}},
        }
        with EvilSite(attempts) as site:
            command = [
                *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"),
                *("--no-first-run", f"{site.url}/"),
            ]
            browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: site.results, "what the page could do", seconds=60)
            finally:
                browser.terminate()
                browser.wait(20)
    assert [name for name, result in site.results.items() if result.startswith("read")] == []
    assert "of-the-victim" in [bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]]
    assert emulator.client("dynamodb").list_tables()["TableNames"] == []
