"""The kinds of backup, as words on the command line."""

from enum import StrEnum


class Kind(StrEnum):
    """One kind of backup: each is a snapshot of its own."""

    DATABASES = "databases"
    MEDIA = "media"
    CONFIG = "config"


class What(StrEnum):
    """What to back up: one kind, or all one after another."""

    DATABASES = "databases"
    MEDIA = "media"
    CONFIG = "config"
    ALL = "all"
