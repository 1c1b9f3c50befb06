"""What all components share: type token, options of their children, and the final step that registers them."""

from collections.abc import Sequence
from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A component of the product.

    The token is written out and never derived from the Python names: it is part of the URN of every child, and a
    renamed file must not replace a production host. Components take no options from their caller, so that nothing of
    the caller's (aliases, protection, dependencies) reaches the children.
    """

    def __init__(self, token: str, name: str) -> None:
        super().__init__(f"tts:{token}", name)

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child that can be made anew."""
        return pulumi.ResourceOptions(parent=self, **options)

    def stateful(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child that holds state: the engine refuses to delete or replace it."""
        return pulumi.ResourceOptions(parent=self, protect=True, **options)

    def kept(self, after: Sequence[pulumi.Resource] = (), **options: Any) -> pulumi.ResourceOptions:
        """Options of a child that outlives the stack: protected, and left in place even by `pulumi destroy`."""
        return pulumi.ResourceOptions(
            parent=self, protect=True, retain_on_delete=True, depends_on=list(after), **options
        )

    def finish(self, **outputs: Any) -> None:
        """The last line of every component: saves its outputs and tells the engine that it has all its children."""
        self.register_outputs(outputs)
