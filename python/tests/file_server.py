"""An HTTP file server whose answers can be slow, incomplete or errors."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """The answer of a path.

    Attributes:
        body: The content.
        status: The HTTP status.
        missing: Number of bytes at the end that are announced and not sent.
        pause: Seconds before the head is sent.
        halt: Seconds between the two halves of the body.
        headers: Further headers.
    """

    body: bytes = b""
    status: int = 200
    missing: int = 0
    pause: float = 0.0
    halt: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class FileServer:
    """The answers by path; other paths answer 404. `seen` lists the requested paths."""

    address: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)


@contextmanager
def serving_files() -> Iterator[FileServer]:
    """Run the server on a free port of this machine."""
    files = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.seen.append(self.path)
            answer = files.answers.get(self.path, Answer(b"not here", 404))
            try:
                self.give(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def give(self, answer: Answer) -> None:
            time.sleep(answer.pause)
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            half = len(answer.body) // 2
            self.wfile.write(answer.body[:half])
            self.wfile.flush()
            time.sleep(answer.halt)
            self.wfile.write(answer.body[half : len(answer.body) - answer.missing])

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
