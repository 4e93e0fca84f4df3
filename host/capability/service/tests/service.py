"""A service for tests: PORT, then words: slow, deaf, fork, noisy, quiet-port, sick, mute."""
import http.server
import os
import signal
import sys
import time

port, words = int(sys.argv[1]), sys.argv[2:]
if "deaf" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "fork" in words and os.fork() > 0:
    # The real one goes on behind, as many start scripts do it.
    os._exit(0)
if "fork" in words:
    os.setsid()
if "noisy" in words:
    print("the password is", os.environ.get("SECRET"), flush=True)
begun = time.monotonic()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if "mute" in words:
            time.sleep(600)
        ready = "sick" not in words and (
            "slow" not in words or time.monotonic() - begun > 1
        )
        self.send_response(200 if ready else 503)
        self.end_headers()

    def log_message(self, *args):
        pass


if "quiet-port" in words:
    print("ready to serve", flush=True)
    time.sleep(600)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
