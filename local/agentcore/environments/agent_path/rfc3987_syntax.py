"""Stands in an agent's path before a package that Jupyter brings along, and says that it isn't there.

Where jsonschema finds it, importing Strands compiles a grammar, which takes more than a second of processor time in
every environment. The agent's bundle on AWS has no such package.
"""

raise ImportError("an agent has no rfc3987_syntax: that is a dependency of the notebooks")
