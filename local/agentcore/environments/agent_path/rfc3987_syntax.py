"""Shadows a package that Jupyter depends on, so that agents find it missing.

If jsonschema finds it, importing Strands compiles a grammar, which takes more than a second of processor time in every
environment. The agent's bundle on AWS has no such package.
"""

raise ImportError("rfc3987_syntax is hidden from agents: it is a dependency of the notebooks only")
