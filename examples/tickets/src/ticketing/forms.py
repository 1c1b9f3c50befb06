"""What a client may send."""

import hashlib

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from ticketing.models import Attachment, Ticket


class TicketForm(forms.ModelForm):
    """A new ticket."""

    class Meta:
        model = Ticket
        fields = ("title", "description", "priority")

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["priority"].required = False

    def clean_priority(self) -> str:
        """Fall back to the model's default."""
        return self.cleaned_data["priority"] or Ticket._meta.get_field("priority").default


class StatusForm(forms.ModelForm):
    """A step of a ticket's life."""

    class Meta:
        model = Ticket
        fields = ("status",)


def too_large(files: list[UploadedFile]) -> list[str]:
    """Return the names of the files over the limit."""
    return [file.name or "" for file in files if (file.size or 0) > settings.ATTACHMENT_MAX_BYTES]


def attach(ticket: Ticket, upload: UploadedFile) -> Attachment:
    """Store the file, then the row that names it: a row without its file cannot be."""
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    return Attachment.objects.create(
        ticket=ticket, file=upload, name=(upload.name or "file")[:255], size=upload.size, sha256=digest.hexdigest()
    )
