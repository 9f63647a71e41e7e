"""Appends its arguments, each as a record, and all of them or none: python append.py --to HOST:PORT,... VALUE...

Guards say what the log must be like. If it is not, nothing is written, and the answer says what the log is like.
"""

from __future__ import annotations

import argparse
import sys

from paxlog.v1 import log_pb2
from paxlog_client import Log, PaxlogError
from records import Record

stream_states = {
    "any": log_pb2.STREAM_STATE_ANY,
    "no-stream": log_pb2.STREAM_STATE_NO_STREAM,
    "stream-exists": log_pb2.STREAM_STATE_EXISTS,
}


def main() -> int:
    options = parse()
    log = Log(options.to)
    records = [Record(value.encode(), options.type, tuple(options.tag)) for value in options.values]
    try:
        answer = log.append(records, guards_of(options))
    except PaxlogError as error:
        print(error, *(f"{name}={value}" for name, value in sorted(error.facts.items())), file=sys.stderr)
        return 1
    finally:
        log.close()
    print(f"{answer.record_count} at {answer.first_position}")
    return 0


def guards_of(options: argparse.Namespace) -> log_pb2.Guards:
    guards = log_pb2.Guards()
    if options.expected_tail is not None:
        guards.expected_tail = options.expected_tail
    if options.fencing_token is not None:
        guards.fencing_token = options.fencing_token
    if options.unless_tag:
        # Refused if any record behind `after` bears one of these tags.
        items = [log_pb2.QueryItem(tags=[tag]) for tag in options.unless_tag]
        guards.conditions.add(query=log_pb2.Query(items=items), after=options.after)
    for stream in options.stream:
        tag, _, expected = stream.rpartition("=")
        if expected in stream_states:
            guards.streams.add(tag=tag, state=stream_states[expected])
        else:
            guards.streams.add(tag=tag, revision=int(expected))
    return guards


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="append records, all of them or none")
    parser.add_argument("--to", required=True, help="client addresses of the nodes")
    parser.add_argument("--type", help="type of every record")
    parser.add_argument("--tag", action="append", default=[], help="a tag of every record; may be repeated")
    parser.add_argument("--expected-tail", type=int, help="the position that the first record must get")
    parser.add_argument("--fencing-token", type=int, help="refused if the log's fence is above it")
    parser.add_argument(
        "--stream",
        action="append",
        default=[],
        metavar="TAG=REVISION",
        help="where the stream must stand: a position, any, no-stream or stream-exists",
    )
    parser.add_argument("--unless-tag", action="append", default=[], help="refused if a record bears this tag")
    parser.add_argument("--after", type=int, default=0, help="--unless-tag looks at records behind this position")
    parser.add_argument("values", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
