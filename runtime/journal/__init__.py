"""The run journal: its vocabulary, keys, records, an append-only writer and a reader.

One DynamoDB table holds all that is known of a run; every other part reads and writes it through this package. Nothing
is imported here, so that a writer doesn't pay for importing the reader.
"""
