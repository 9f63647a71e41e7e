"""A counter that all programs share: python counter.py --to HOST:PORT,... [--take COUNT | --add DELTA] NAME

Counters are a machine that every node runs. A command is a record of the log, so it takes effect once, in the order of
the log, and is on a majority of the disks when its reply is here; in a session also if it had to be sent again.
"""

from __future__ import annotations

import argparse
import sys

from paxlog.v1 import builtins_pb2, log_pb2
from paxlog_client import Log, PaxlogError

refusals = {
    builtins_pb2.COUNTER_REFUSAL_OUT_OF_RANGE: "it would leave its range",
    builtins_pb2.COUNTER_REFUSAL_TOO_MANY_NAMES: "there are too many counters",
}


def main() -> int:
    options = parse()
    log = Log(options.to)
    try:
        if options.take is None and options.add is None:
            print(value_of(log, options.name))
            return 0
        # What this program executes next would have the serial 2.
        session = log_pb2.SessionRequest(id=log.open_session(), serial=1)
        command = command_of(options)
        [reply] = log.execute("counters", [command.SerializeToString()], session)
        log.close_session(session.id)
    except PaxlogError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        log.close()
    counted = builtins_pb2.CounterReply.FromString(reply)
    if counted.refusal:
        print(f"refused: {refusals.get(counted.refusal, counted.refusal)}", file=sys.stderr)
        return 1
    # Nobody else gets any of the numbers that were taken.
    print(f"{counted.before + 1} to {counted.after}" if options.take else f"{counted.before} -> {counted.after}")
    return 0


def command_of(options: argparse.Namespace) -> builtins_pb2.CounterCommand:
    if options.take is not None:
        return builtins_pb2.CounterCommand(name=options.name, take=options.take)
    return builtins_pb2.CounterCommand(name=options.name, add=options.add)


def value_of(log: Log, name: str) -> int:
    question = builtins_pb2.CounterQuestion(name=name)
    return builtins_pb2.CounterAnswer.FromString(log.ask("counters", question.SerializeToString())).value


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="add to a counter, take numbers from it, or look at it")
    parser.add_argument("--to", required=True, help="client addresses of the nodes")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--take", type=int, help="take so many numbers, which nobody else gets")
    what.add_argument("--add", type=int, help="add this, or take it away where it is below 0")
    parser.add_argument("name")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
