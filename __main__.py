"""Entry point of the Pulumi program: settings, then the platform, then its outputs."""

import pulumi

import deployed
from program import build
from settings import load


async def main() -> pulumi.Inputs:
    """What the engine runs; the returned entries are the stack's outputs."""
    before = await deployed.read()
    return build(load(before), before)


pulumi.run(main)
