"""The messages between a node and a federator, and the bundles of numbers that travel by their digest.

The messages are made of the schema in `proto/`, whose compiled form `schema.py` has. The numbers of a model go through here as bytes: only `training` turns
them into tensors.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from fltk.node.schema import SCHEMA

VERSIONS = (2,)
"""The versions of the protocol that nodes in Python speak: those with errands."""

CHUNK_BYTES = 1 << 20
"""The largest chunk of an object, as the protocol says."""

MODEL = "model"
"""The name of a model's arrays in bundles."""

_PACKAGE = "fltk.federation.v1"
_SERVICE = f"/{_PACKAGE}.Federation/"

HEADER_BYTES_MAX = 1 << 20
"""The largest header of a bundle."""


class MalformedError(Exception):
    """Something that can't be came from the federator."""


def _messages() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto()
    file.ParseFromString(base64.b64decode(SCHEMA))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")) for message in file.message_type}


MESSAGES = _messages()


def message(kind: str, /, **fields: Any) -> Any:
    """Creates a message of the protocol."""
    return MESSAGES[kind](**fields)


class Calls:
    """The calls that a node makes over a channel."""

    def __init__(self, channel: Any) -> None:
        def of(kind: str, name: str, request: str, response: str) -> Any:
            return getattr(channel, kind)(
                _SERVICE + name,
                request_serializer=MESSAGES[request].SerializeToString,
                response_deserializer=MESSAGES[response].FromString,
            )

        self.session = of("stream_stream", "Session", "FromNode", "ToNode")
        self.fetch = of("unary_stream", "Fetch", "FetchRequest", "Chunk")
        self.deliver = of("stream_unary", "Deliver", "DeliverRequest", "DeliverResponse")


def chunks(content: bytes, offset: int) -> Iterator[Any]:
    """Yields the chunks of an object from an offset on; none if nothing is left."""
    while offset < len(content):
        data = content[offset : offset + CHUNK_BYTES]
        yield message("Chunk", offset=offset, data=data)
        offset += len(data)


def bundle(floats: Mapping[str, bytes], counters: Mapping[str, bytes]) -> bytes:
    """Returns the bytes of a bundle of arrays: 32-bit floats and 64-bit whole numbers, each little-endian, as the names of the arrays order them."""
    header = message("BundleHeader")
    body = []
    for into, arrays, size in [(header.floats, floats, 4), (header.counters, counters, 8)]:
        for name in sorted(arrays):
            into.add(name=name, len=len(arrays[name]) // size)
            body.append(arrays[name])
    head = header.SerializeToString()
    return b"".join([len(head).to_bytes(4, "little"), head, *body])


def open_bundle(content: bytes) -> tuple[dict[str, memoryview], dict[str, memoryview]]:
    """Returns the arrays of 32-bit floats and of 64-bit whole numbers in a bundle that has nothing else, as views of its bytes."""
    size = int.from_bytes(content[:4], "little")
    if len(content) < 4 or size > HEADER_BYTES_MAX or 4 + size > len(content):
        raise MalformedError("an object has a header that can't be")
    try:
        header = MESSAGES["BundleHeader"].FromString(content[4 : 4 + size])
    except Exception as error:
        raise MalformedError("an object has a header that can't be read") from error
    if header.scalars or header.bytes or header.indices:
        raise MalformedError("an object has numbers that a node in Python has no use for")
    view, offset = memoryview(content), 4 + size
    arrays: tuple[dict[str, memoryview], dict[str, memoryview]] = ({}, {})
    for into, of, item in [(arrays[0], header.floats, 4), (arrays[1], header.counters, 8)]:
        for array in of:
            end = offset + array.len * item
            if end > len(content) or array.name in into:
                raise MalformedError("an object's header and its numbers don't fit")
            into[array.name] = view[offset:end]
            offset = end
    if offset != len(content):
        raise MalformedError("an object has bytes after its numbers")
    return arrays
