"""Rows of text for one table, as COPY reads them, the same for the same seed. Runs on the host: standard library only.

    rows.py SEED FIRST BYTES

Words and turns of phrase follow Zipf's law and letters English frequencies, so that the text compresses as prose does,
about three times and as fast. Random letters would not compress at all, repeated sentences too well.
"""

import itertools
import random
import sys

LETTERS = "etaoinshrdlcumwfgypbvk"
FREQUENCIES = (12, 9, 8, 7.5, 7, 6.7, 6.3, 6, 6, 4.2, 4, 2.8, 2.8, 2.4, 2.4, 2.2, 2, 2, 1.9, 1.5, 1, 0.8)
WORDS = 8_000
PHRASES = 20_000
BATCH = 200  # rows whose phrases are drawn at once
SHORTEST, LONGEST = 6, 60  # phrases of one row


def zipf(count: int) -> list[float]:
    """The running sum of the frequencies of `count` words, as `random.choices` takes it."""
    return list(itertools.accumulate(1 / (rank + 2) for rank in range(count)))


def phrases() -> list[str]:
    """Phrases of one to three words; the common words are the short ones."""
    source = random.Random("phrases")
    lengths = [max(1, min(14, int(source.gauss(3 + min(rank, 3000) / 1400, 2)))) for rank in range(WORDS)]
    words = ["".join(source.choices(LETTERS, FREQUENCIES, k=length)) for length in lengths]
    weights = zipf(WORDS)
    return [" ".join(source.choices(words, cum_weights=weights, k=source.choice((1, 1, 2, 3)))) for _ in range(PHRASES)]


def rows(seed: str, first: int, size: int) -> int:
    """Print rows (number, day, owner, state, body) from number `first` on, until `size` bytes are printed."""
    known, weights = phrases(), zipf(PHRASES)
    number = first
    while size > 0:
        source = random.Random(f"{seed}/{number}")
        lengths = source.choices(range(SHORTEST, LONGEST), k=BATCH)
        drawn = iter(source.choices(known, cum_weights=weights, k=sum(lengths)))
        text = "".join(
            f"{number + index}\t2026-{1 + index % 12:02}-{1 + length % 28:02}\t{source.randrange(5000)}\t{index % 7}\t"
            f"{' '.join(itertools.islice(drawn, length))}\n"
            for index, length in enumerate(lengths)
        )
        sys.stdout.write(text)
        size -= len(text)
        number += BATCH
    return number


if __name__ == "__main__":
    rows(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
