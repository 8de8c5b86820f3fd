#!/usr/bin/env python3
r"""Prints the events of a Kafka topic as lines of JSON (docs/kafka.md): an example
with kcat and Apache Avro's own library, and nothing of Heed's.

  kcat -C -b localhost:9092 -t shop.events -o beginning -e -q -f '%S\n%s' |
    read_events.py event.avsc single     # events_out, format avro: one event each
  kcat -C -b localhost:9092 -t heed.events -o beginning -e -q -f '%S\n%s' |
    read_events.py event.avsc chunk      # the log itself: many events each
"""

import io
import json
import sys

import avro.io
import avro.schema


def records(stream):
    """Splits what kcat prints: the length of a value on a line, then the value."""
    while length := stream.readline():
        yield stream.read(int(length))


def single(value):
    """Avro's single-object encoding: a marker, the schema's fingerprint, the data."""
    assert value[:2] == b"\xc3\x01", "not in single-object encoding"
    yield value[10:]


def chunk(value):
    """Each event behind its length, an unsigned varint."""
    at = 0
    while at < len(value):
        size = shift = 0
        while True:
            byte = value[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield value[at : at + size]
        at += size


def main():
    with open(sys.argv[1]) as file:
        reader = avro.io.DatumReader(avro.schema.parse(file.read()))
    events = {"single": single, "chunk": chunk}[sys.argv[2]]
    for value in records(sys.stdin.buffer):
        for data in events(value):
            event = reader.read(avro.io.BinaryDecoder(io.BytesIO(data)))
            print(json.dumps(event, default=lambda v: v.decode() if isinstance(v, bytes) else str(v)))


if __name__ == "__main__":
    main()
