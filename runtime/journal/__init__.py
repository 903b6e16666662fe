"""The run journal: its vocabulary, keys, records, an append-only writer and a reader.

One DynamoDB table holds all that is known of a run; every other part writes and reads it through this package.
The modules are imported one by one, so that a reader's cost is not a writer's: nothing is imported here.
"""
