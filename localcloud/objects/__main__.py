"""Try the store alone: `python -m localcloud.objects --dir DIR --port P [--cert PEM --key PEM]`; prints keys."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from localcloud.objects import ObjectStore, StoreVersionError, serve


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m localcloud.objects", description="S3, IAM and STS, kept in a folder"
    )
    parser.add_argument("--dir", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7481, help="0: any free one")
    parser.add_argument("--cert", type=Path, help="certificate chain in PEM: serve TLS")
    parser.add_argument("--key", type=Path, help="its private key in PEM")
    options = parser.parse_args()
    if bool(options.cert) != bool(options.key):
        parser.error("--cert and --key go together")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        store = ObjectStore(options.dir)
        server = serve(store, options.host, options.port, (options.cert, options.key) if options.cert else None)
    except (OSError, StoreVersionError) as error:
        print(f"cannot serve on {options.host}:{options.port} from {options.dir}: {error}", file=sys.stderr)
        return 1
    keys = {
        "port": server.port,
        "aws_access_key": store.aws_admin.access_key,
        "aws_secret_key": store.aws_admin.secret_key,
        "spaces_access_key": store.spaces_admin.access_key,
        "spaces_secret_key": store.spaces_admin.secret_key,
    }
    print(json.dumps(keys), flush=True)
    signal.sigwait(signals)
    server.close()
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
