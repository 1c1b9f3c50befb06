"""Attachments on the host's own disk."""

import os

from django.core.files.storage import FileSystemStorage


class DurableFileSystemStorage(FileSystemStorage):
    """A file is on the disk, with its directory entry, before the row that names it is committed."""

    def _save(self, name, content):
        name = super()._save(name, content)
        path = self.path(name)
        for flushed in (path, os.path.dirname(path)):  # noqa: PTH120 - Django's paths are strings
            descriptor = os.open(flushed, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return name
