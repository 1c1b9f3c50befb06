"""Entry point of the Pulumi program: settings, then the platform, then its outputs."""

import pulumi

from deployed import deployed_rung
from program import build
from settings import load


async def main() -> pulumi.Inputs:
    """What the engine runs; the returned entries are the stack's outputs."""
    return build(load(await deployed_rung()))


pulumi.run(main)
