"""The invoker: the Lambda function that starts and stops agents. Standard library and boto3 only."""
