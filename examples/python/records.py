"""Records, and the batches in which they travel.

A batch is one RecordBatch (proto/paxlog/v1/batch.proto): columns, not a list of objects. What is not used stays away: a
batch whose records have no tags has no column for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paxlog.v1 import batch_pb2, log_pb2


@dataclass(frozen=True)
class Record:
    """One record; position and time are the log's, and 0 until it has given them."""

    value: bytes
    type: str | None = None
    tags: tuple[str, ...] = ()
    position: int = 0
    time: int = 0


def encode(records: Sequence[Record]) -> bytes:
    """The records as one batch, ready for AppendRequest.batch."""
    types = _numbered(record.type for record in records if record.type is not None)
    tags = _numbered(tag for record in records for tag in record.tags)
    batch = batch_pb2.RecordBatch(
        value_lengths=[len(record.value) for record in records],
        values=b"".join(record.value for record in records),
    )
    if types:
        batch.types.extend(types)
        # 0 is "no type", so the first type is 1.
        batch.type_indexes.extend(0 if record.type is None else types[record.type] + 1 for record in records)
    if tags:
        batch.tags.extend(tags)
        batch.tag_counts.extend(len(record.tags) for record in records)
        batch.tag_indexes.extend(tags[tag] for record in records for tag in record.tags)
    return batch.SerializeToString()


def decode(read: log_pb2.ReadBatch) -> Iterator[Record]:
    """The records of a batch that was read, in order."""
    batch = batch_pb2.RecordBatch.FromString(read.batch)
    value_begin = 0
    tag_begin = 0
    for index, length in enumerate(batch.value_lengths):
        type_index = batch.type_indexes[index] if batch.type_indexes else 0
        tag_end = tag_begin + (batch.tag_counts[index] if batch.tag_counts else 0)
        yield Record(
            value=batch.values[value_begin : value_begin + length],
            type=None if type_index == 0 else batch.types[type_index - 1],
            tags=tuple(batch.tags[tag] for tag in batch.tag_indexes[tag_begin:tag_end]),
            position=read.first_position + index,
            time=read.time,
        )
        value_begin += length
        tag_begin = tag_end


def _numbered(texts) -> dict[str, int]:
    """Each text once, with its place, in the order in which they come."""
    return {text: index for index, text in enumerate(dict.fromkeys(texts))}
