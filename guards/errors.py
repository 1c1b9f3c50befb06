"""The one way in which a guard says no."""


class RefusedError(Exception):
    """Why a change must not go on, worded for the person who asked for it. Never holds a secret: it is printed."""
