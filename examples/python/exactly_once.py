"""Appends every line of a file once, however often it is killed.

python exactly_once.py --to HOST:PORT,... --state FILE LINES

The log remembers the answers to the last 256 requests of a session, by their serials. Line n has serial n, so whoever
does not know whether line n was written, because the leader died, the answer was lost or this process was killed, sends
it again: if it was, the answer is the first one and nothing is written twice.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from paxlog.v1 import log_pb2
from paxlog_client import Log, PaxlogError
from records import Record


@dataclass
class State:
    """What a restart needs. Saved before the first line is sent, and whenever one was answered."""

    session: int
    answered: int


def main() -> int:
    options = parse()
    log = Log(options.to)
    path = Path(options.state)
    try:
        if path.exists():
            state = State(**json.loads(path.read_text()))
        else:
            state = State(session=log.open_session(ttl_ms=options.ttl_ms), answered=0)
            save(path, state)
        lines = Path(options.lines).read_bytes().splitlines()
        for serial, line in enumerate(lines[state.answered :], start=state.answered + 1):
            request = log_pb2.SessionRequest(id=state.session, serial=serial)
            answer = log.append([Record(line)], log_pb2.Guards(session=request))
            state.answered = serial
            save(path, state)
            print(serial, answer.first_position, flush=True)
    except PaxlogError as error:
        # SESSION_UNKNOWN: we were away for longer than the session lives, and the line that was sent last may be in the
        # log or not. Nobody can say but who reads the log; a program that may be away for long asks for a longer ttl.
        print(error, file=sys.stderr)
        return 1
    finally:
        log.close()
    return 0


def save(path: Path, state: State) -> None:
    """Replaces the file in one step, and syncs it: an older one would send lines that the log remembers no more."""
    fresh = path.with_suffix(".new")
    with open(fresh, "w") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="append every line of a file exactly once")
    parser.add_argument("--to", required=True, help="client addresses of the nodes")
    parser.add_argument("--state", required=True, help="file that keeps the session and how far it got")
    parser.add_argument("--ttl-ms", type=int, default=600_000, help="how long a restart may take")
    parser.add_argument("lines", help="the file of lines")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
