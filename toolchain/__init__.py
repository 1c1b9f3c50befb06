"""Finds or builds what the product runs on, and brings the local cloud up and down."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 the one place that an older Python may reach
    sys.exit(
        "Python 3.11 or newer is needed, this is {}.{}. Install it, or name another: make up PYTHON=python3.12".format(
            *sys.version_info[:2]
        )
    )
