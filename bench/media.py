"""Media of many files of which few have changed: the product's job beside the guide's tar, and what leaves the host."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING

from bench import guide
from bench.host import PLACE
from bench.report import Figure
from bench.turns import in_turns, ratio

if TYPE_CHECKING:
    from bench.host import Host

WITH_COPIES = "tts-backup media --accept-size"
JOB = f"{WITH_COPIES} --no-offsite"
SENT = "cat /sys/class/net/eth*/statistics/tx_bytes"
DESTINATIONS = "sed -n 's/^TTS_OFFSITE=//p' /etc/tts/backup.env"


def backups(host: Host, files: int, size: int, rounds: int) -> tuple[list[Figure], dict[str, list[float]]]:
    """The figures of media, and the seconds behind them."""
    host.content("media", str(files), str(size))
    host.seconds(WITH_COPIES)  # the first one, off-site too
    sides = {"guide": guide.MEDIA, "job": JOB}
    seconds = in_turns(
        rounds,
        {name: lambda command=command: host.seconds(command) for name, command in sides.items()},
        lambda number: host.content("change-media", str(number)),
    )
    host.seconds(WITH_COPIES)  # the backlog goes first: what is measured is one night
    host.content("change-media", "sent")
    share = sent(host) / size
    verify(host)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    figures = [
        Figure(
            "guide's `tar czf` of the media ÷ `tts-backup media`", ratio(seconds, "guide", "job"), "x", 25,
            f"{files} files, {size / 1e9:.1f} GB, 0.1 % changed; `tts-backup media --no-offsite`"
            f" {medians['job']:.1f} s, guide {medians['guide']:.1f} s", at_least=True,
        ),
        Figure(
            "sent off-site to each destination ÷ all media", 100 * share, "%", 0.5,
            "counted at the host's network card, headers and listings included",
        ),
    ]  # fmt: skip
    return figures, seconds


def sent(host: Host) -> float:
    """Bytes that leave the host for each destination in one run."""
    begun = _counted(host)
    host.seconds(WITH_COPIES)
    names = host.run(DESTINATIONS).strip().split(",")
    return (_counted(host) - begun) / len(names)


def _counted(host: Host) -> int:
    return sum(map(int, host.run(SENT).split()))


def verify(host: Host) -> None:
    """What comes back from off-site is what was there, and the guide's tar holds as much."""
    wanted = json.loads(host.content("media-fingerprint"))
    host.run("tts-restore media --repository aws --yes > /dev/null && tts-restore drop-old --media --yes > /dev/null")
    found = json.loads(host.content("media-fingerprint"))
    if found != wanted:
        raise SystemExit(f"restored media differ: {found} instead of {wanted}")
    in_tar = int(host.run(f"tar tzf {guide.OUT}/media.tar.gz | grep -c '[.]bin$'; rm {guide.OUT}/media.tar.gz"))
    if in_tar < 0.99 * wanted["files"]:
        raise SystemExit(f"the guide's tar holds {in_tar} of {wanted['files']} files in {PLACE}")
