"""A small client for paxlog, on what grpc_tools makes of proto/paxlog/v1. Copy it and change it as you like.

It finds the leader, repeats what is safe to repeat, and says of every failure what became of the write.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from paxlog.v1 import cluster_pb2, cluster_pb2_grpc, log_pb2, log_pb2_grpc, objects_pb2, objects_pb2_grpc
from records import Record, decode, encode

T = TypeVar("T")


class PaxlogError(Exception):
    """Any failure. Act on code, outcome, retryable and facts; the message is for people.

    outcome is "none" (nothing was written and nothing will be) or "unknown" (it may be in the log, now or later).
    """

    def __init__(self, code: str, message: str, outcome: str, retryable: bool, facts: dict[str, str]):
        super().__init__(f"{message} ({code}, outcome {outcome})")
        self.code = code
        self.outcome = outcome
        self.retryable = retryable
        self.facts = facts

    @classmethod
    def of(cls, cause: grpc.RpcError) -> PaxlogError:
        status = rpc_status.from_call(cause)
        known = None if status is None else cls.of_status(status)
        if known is not None:
            return known
        # Not a word from the log: the connection failed, or the time was up. Nobody knows what became of a write.
        lost = cause.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        return cls(cause.code().name, cause.details() or "no answer", "unknown", lost, {})

    @classmethod
    def of_status(cls, status: status_pb2.Status) -> PaxlogError | None:
        """The error that a node wrote into a status, if a node did."""
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == "paxlog":
                facts = dict(info.metadata)
                outcome, retryable = facts.pop("outcome"), facts.pop("retryable") == "true"
                return cls(info.reason, status.message, outcome, retryable, facts)
        return None


class Log:
    """The log of the cluster whose nodes have these client addresses: "host:port,host:port"."""

    def __init__(self, addresses: str, patience: float = 30.0, answer_timeout: float = 10.0):
        """patience: seconds for which a call goes on trying. answer_timeout: seconds for each try."""
        self._addresses = addresses.split(",")
        self._patience = patience
        self._answer_timeout = answer_timeout
        self._channels: dict[str, grpc.Channel] = {}
        self._leader = ""

    def append(self, records: Sequence[Record], guards: log_pb2.Guards | None = None) -> log_pb2.AppendResponse:
        """All the records, in order and side by side, or none. Returns once they are on a majority of the disks.

        Without a session an append of which nobody knows what became is not repeated: that might write it twice.
        """
        request = log_pb2.AppendRequest(batch=encode(records), guards=guards)
        once = guards is not None and guards.HasField("session")
        return self._at_leader(lambda leader: leader.Append(request, timeout=self._answer_timeout), repeat_unknown=once)

    def read(self, start: int = 1, limit: int = 0, follow: bool = False) -> Iterator[Record]:
        """Records from a position on; with follow also those to come. A lost connection is taken up at another node."""
        position, end = start, start + limit if limit > 0 else None
        attempts = _Attempts(self._patience)
        while end is None or position < end:
            address = self._addresses[attempts.count % len(self._addresses)]
            # "from" is a word of Python's own, so it cannot be written as an argument.
            request = log_pb2.ReadRequest(
                **{"from": position}, limit=0 if end is None else end - position, follow=follow
            )
            try:
                for response in log_pb2_grpc.LogServiceStub(self._channel(address)).Read(request):
                    attempts = _Attempts(self._patience, attempts.count)
                    for record in (record for batch in response.batches for record in decode(batch)):
                        # The first batch may begin before what was asked for, the last one may end behind it.
                        if record.position < position or (end is not None and record.position >= end):
                            continue
                        position = record.position + 1
                        yield record
                return
            except grpc.RpcError as cause:
                error = PaxlogError.of(cause)
                if not error.retryable or not attempts.again():
                    raise error from cause

    def tail(self) -> int:
        """The next position to be assigned. Knows of everything that was acknowledged before the call."""
        request = log_pb2.CheckTailRequest()
        return self._at_leader(lambda leader: leader.CheckTail(request, timeout=self._answer_timeout), True).tail

    def open_session(self, ttl_ms: int = 60_000) -> int:
        """The id of a new session, which lives for ttl_ms after its last append."""
        request = log_pb2.OpenSessionRequest(ttl_ms=ttl_ms)
        # One that was opened and whose answer was lost is forgotten by the log: to open another does no harm.
        return self._at_leader(lambda leader: leader.OpenSession(request, timeout=self._answer_timeout), True).session

    def close_session(self, session: int) -> None:
        request = log_pb2.CloseSessionRequest(session=session)
        self._at_leader(lambda leader: leader.CloseSession(request, timeout=self._answer_timeout), False)

    def execute(self, machine: str, commands: Sequence[bytes], session: log_pb2.SessionRequest) -> list[bytes]:
        """The machine's replies to commands that take effect in order, each once.

        A repeated call, also one of another process, has the same replies.
        """
        records = [Record(command, f"${machine}") for command in commands]
        append = log_pb2.AppendRequest(batch=encode(records), guards=log_pb2.Guards(session=session))
        request = objects_pb2.ExecuteRequest(append=append)
        service = objects_pb2_grpc.ObjectServiceStub
        answer = self._at_leader(lambda leader: leader.Execute(request, timeout=self._answer_timeout), True, service)
        for reply in answer.replies:
            if reply.HasField("error"):
                # The command is in the log, and this is what became of it, on every node.
                raise PaxlogError.of_status(reply.error) or RuntimeError(reply.error.message)
        return [reply.reply for reply in answer.replies]

    def ask(self, machine: str, question: bytes) -> bytes:
        """What a machine answers. It knows of everything that was acknowledged before the call."""
        request = objects_pb2.AskRequest(
            machine=machine, question=question, freshness=log_pb2.FRESHNESS_LINEARIZABLE
        )
        service = objects_pb2_grpc.ObjectServiceStub
        return self._at_leader(lambda leader: leader.Ask(request, timeout=self._answer_timeout), True, service).answer

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def _at_leader(
        self, call: Callable[[Any], T], repeat_unknown: bool, service: type = log_pb2_grpc.LogServiceStub
    ) -> T:
        """Calls the leader, and again after failures that say that a retry helps, where one can do no harm."""
        attempts = _Attempts(self._patience)
        while True:
            leader = self._leader or self._find_leader(attempts)
            try:
                answer = call(service(self._channel(leader)))
                self._leader = leader
                return answer
            except grpc.RpcError as cause:
                error = PaxlogError.of(cause)
                self._leader = error.facts.get("leader", "")
                harmless = error.outcome == "none" or repeat_unknown
                if not error.retryable or not harmless or not attempts.again():
                    raise error from cause

    def _find_leader(self, attempts: _Attempts) -> str:
        """Any node knows the leader's address; to ask for it writes nothing, so it may be repeated at will."""
        while True:
            for address in self._addresses:
                try:
                    service = cluster_pb2_grpc.ClusterServiceStub(self._channel(address))
                    status = service.Status(cluster_pb2.StatusRequest(), timeout=1.0)
                    if status.leader_address:
                        return status.leader_address
                except grpc.RpcError:
                    continue
            if not attempts.again():
                raise PaxlogError("UNAVAILABLE", "no node knows of a leader", "none", True, {})

    def _channel(self, address: str) -> grpc.Channel:
        if address not in self._channels:
            options = [
                # A batch may have 2 MiB, and a node puts several into one answer.
                ("grpc.max_receive_message_length", 16 * 1024 * 1024),
                # A node that was restarted is tried again soon.
                ("grpc.max_reconnect_backoff_ms", 1000),
            ]
            self._channels[address] = grpc.insecure_channel(address, options)
        return self._channels[address]


class _Attempts:
    """Pauses between attempts: random, longer each time, and none any more once the time is up."""

    def __init__(self, patience: float, count: int = 0):
        self.count = count
        self._end = time.monotonic() + patience
        self._pause = 0.05

    def again(self) -> bool:
        """Waits before another attempt; False where it is too late for one."""
        if time.monotonic() >= self._end:
            return False
        time.sleep(random.uniform(0.0, self._pause))
        self._pause = min(2 * self._pause, 1.0)
        self.count += 1
        return True
