"""The stack on a port that another process has: refused, and what ran goes on."""

import http.server
import threading

from stack_processes import PORT, URL, Stack, ask

TAKEN = PORT + 1


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers every health check as the stack would."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status":"ok"}')


def test_a_taken_port_is_refused_and_named(stack: Stack):
    with http.server.ThreadingHTTPServer(("127.0.0.1", TAKEN), Healthy) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        done = stack.play("-e", f"stack_port={TAKEN}")
        server.shutdown()
    told = " ".join(done.stdout.split())
    assert done.returncode != 0, told
    assert f"port {TAKEN} of nginx is taken by" in told
    assert "stack_port" in told
    assert ask("/health", url=URL).status == 200


def test_another_free_port_is_taken_and_left(stack: Stack):
    stack.succeed("-e", f"stack_port={TAKEN}")
    assert ask("/health", url=f"http://127.0.0.1:{TAKEN}").status == 200
    stack.succeed()
    assert ask("/health", url=URL).status == 200
