"""Starts ministack with all patches applied. `local.emulator.process` passes settings as environment variables."""

import os

from local.emulator.edge import access, expressions, functions, model, partitions, runtimes, workflows

if __name__ == "__main__":
    # Removed from the environment, because functions inherit it.
    access.install(os.environ.pop("EDGE_ACCESS_KEY_ID"), os.environ.pop("EDGE_SECRET_ACCESS_KEY"))
    functions.install(float(os.environ.pop("EDGE_FUNCTION_QUEUE_SECONDS")))
    workflows.install()
    model.install()
    runtimes.install()
    partitions.install()
    expressions.install()

    import ministack.app

    ministack.app.main()
