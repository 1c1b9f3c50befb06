"""What is done for a ticket, step by step."""

from django.db import models
from django.utils import timezone

from config.http import AsJson

STEPS = {
    "low": ("triage", "answer"),
    "normal": ("triage", "assign", "answer"),
    "high": ("triage", "escalate", "assign", "answer"),
}


class Run(AsJson):
    """The workflow of one ticket."""

    ticket = models.UUIDField(unique=True)
    title = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)

    shown = ("ticket", "title", "created_at")

    class Meta:
        ordering = ("-created_at", "id")

    @classmethod
    def begin(cls, ticket: str, title: str, priority: str, created_at=None) -> bool:
        """Make the run and its steps inside the caller's transaction; False when the ticket has one already."""
        run, made = cls.objects.get_or_create(
            ticket=ticket, defaults={"title": title, "created_at": created_at or timezone.now()}
        )
        if made:
            Step.objects.bulk_create(
                Step(run=run, position=position, name=name, done=position == 0)
                for position, name in enumerate(STEPS.get(priority, STEPS["normal"]))
            )
        return made

    def as_json(self) -> dict[str, object]:
        """Return the run with its steps."""
        return super().as_json() | {"steps": [step.as_json() for step in self.steps.all()]}


class Step(AsJson):
    """One thing to do."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=50)
    done = models.BooleanField(default=False)

    shown = ("name", "done")

    class Meta:
        ordering = ("position",)
        constraints = (models.UniqueConstraint(fields=("run", "position"), name="one_step_per_position"),)
