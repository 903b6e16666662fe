"""The command line over the runbook: arguments in, text or JSON out; the library does the rest."""
