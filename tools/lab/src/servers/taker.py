"""A web server that takes bodies, and answers with method, type, length and SHA-256 of each: taker.py ADDRESS PORT."""
import hashlib
import http.server
import sys


class Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pieces(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers["Content-Length"])
            while left > 0:
                piece = self.rfile.read(min(left, 1 << 16))
                left -= len(piece)
                yield piece
            return
        while length := int(self.rfile.readline(), 16):
            yield self.rfile.read(length)
            assert self.rfile.readline() == b"\r\n"
        assert self.rfile.readline() == b"\r\n"

    def do_PUT(self):
        digest, length = hashlib.sha256(), 0
        for piece in self.pieces():
            assert piece, "the client went away"
            digest.update(piece)
            length += len(piece)
        kind = self.headers.get("Content-Type", "none")
        text = f"{self.command} {kind} {length} {digest.hexdigest()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PATCH = do_PUT

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Taker).serve_forever()
