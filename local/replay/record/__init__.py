"""What was recorded of a run, and what answers from it in the place of models, tools, bucket and table."""
