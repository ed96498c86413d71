"""A speech server that clones voices perfectly and says nothing new: `POST /tts` answers with the reference itself."""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Echo(BaseHTTPRequestHandler):
    """One answer at a time."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        sound = base64.b64decode(asked["reference"] or "")
        self.send_response(200 if sound else 400)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(len(sound)))
        self.send_header("Speech-Terms", "For tests.")
        self.end_headers()
        self.wfile.write(sound)


if __name__ == "__main__":
    HTTPServer(("", int(sys.argv[1])), Echo).serve_forever()
