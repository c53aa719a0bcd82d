"""The web as it is where a proxy looks into what is encrypted: it answers for one host, with files of a folder, and writes down what it was asked.

    python3 web.py ADDRESS PORT HOST CERTIFICATE KEY FOLDER LOG

Of the first file that has more than a megabyte it sends the first time only half, as a connection that breaks.
"""

import socket
import socketserver
import ssl
import sys
from pathlib import Path

address, port, host, certificate, key, folder, log = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
broken = set()


def head(stream):
    """The request's line, and its fields by their names."""
    line = stream.readline(65536).decode("latin-1").split()
    fields = {}
    while (text := stream.readline(65536).decode("latin-1").strip()):
        name, _, value = text.partition(":")
        fields[name.lower()] = value.strip()
    return line, fields


def note(*words):
    with open(log, "a") as file:
        print(*words, file=file)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        (method, where, _), _ = head(self.request.makefile("rb", buffering=0))
        note(method, where)
        if method != "CONNECT" or where != f"{host}:443":
            self.request.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            return
        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(self.request, server_side=True) as inner:
            stream = inner.makefile("rb")
            while (request := head(stream))[0]:
                if not self.answer(inner, *request):
                    return

    def answer(self, inner, line, fields):
        """Whether the connection is good for another request."""
        method, path, _ = line
        note(method, path, fields.get("range", "whole"))
        file = Path(folder) / Path(path).name
        if method != "GET" or not file.is_file():
            inner.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return True
        data = file.read_bytes()
        begin = int(fields["range"].removeprefix("bytes=").rstrip("-")) if "range" in fields else 0
        status = "206 Partial Content" if begin else "200 OK"
        place = f"content-range: bytes {begin}-{len(data) - 1}/{len(data)}\r\n" if begin else ""
        inner.sendall(f"HTTP/1.1 {status}\r\n{place}content-length: {len(data) - begin}\r\n\r\n".encode())
        if len(data) > 1_000_000 and not broken:
            broken.add(path)
            inner.sendall(data[begin : len(data) // 2])
            return False
        inner.sendall(data[begin:])
        return True


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server((address, int(port)), Handler) as server:
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    note("listens")
    server.serve_forever()
