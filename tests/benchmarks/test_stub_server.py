import boto3
import pytest

from benchmarks.sent import sent_by
from benchmarks.stub_server import stub_server


def test_a_stub_takes_what_boto3_sends_and_counts_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with stub_server() as server:
        client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.url)
        with sent_by(client) as sent:
            for number in range(3):
                client.put_item(TableName="journal", Item={"PK": {"S": str(number)}})
        client.put_item(TableName="journal", Item={"PK": {"S": "x" * 100_000}})
        assert server.counts() == (1, 4)
        client.close()
    assert sent == {"PutItem": {"TableName": "journal", "Item": {"PK": {"S": "2"}}}}
