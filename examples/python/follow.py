"""Prints records as they come, and goes on where it stopped: python follow.py --to HOST:PORT,... --checkpoint FILE"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from paxlog_client import Log


def main() -> int:
    options = parse()
    log = Log(options.to)
    checkpoint = Path(options.checkpoint)
    start = int(checkpoint.read_text()) if checkpoint.exists() else 1
    try:
        for record in log.read(start, options.limit, follow=True):
            # Here is where a program does its work. Only when that is done is the record behind us: killed in between,
            # it sees this record again and misses none.
            print(record.position, record.type or "-", record.value.decode(errors="replace"), flush=True)
            save(checkpoint, record.position + 1)
    except KeyboardInterrupt:
        pass
    finally:
        log.close()
    return 0


def save(checkpoint: Path, position: int) -> None:
    """Replaces the file in one step: a crash leaves the old one or the new one, never half of one."""
    fresh = checkpoint.with_suffix(".new")
    fresh.write_text(str(position))
    os.replace(fresh, checkpoint)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="print records as they come, and go on after a restart")
    parser.add_argument("--to", required=True, help="client addresses of the nodes")
    parser.add_argument("--checkpoint", required=True, help="file that keeps the next position")
    parser.add_argument("--limit", type=int, default=0, help="end after so many records")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
