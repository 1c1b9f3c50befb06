"""Errors for the person who started the cloud."""


class CloudError(Exception):
    """Something outside is not as needed; the message says what and what to do."""
