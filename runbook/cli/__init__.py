"""The command line over the runbook: arguments in, text or JSON out. What is done is the library's business."""
