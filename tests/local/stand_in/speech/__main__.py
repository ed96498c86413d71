"""Stands in for speech in tests of the platform: `synthesize` writes what it was told to, `serve` answers every GET."""

import argparse
import http.server
import json
import os
import signal
import sys
from pathlib import Path

from steps import program
from steps.errors import InputError


def synthesize(arguments, reporter):
    text = arguments.text_file.read_text()
    if text == "unspeakable":
        raise InputError("text_empty", "the text is empty")
    arguments.out.write_text(f"sound of {text}")
    said = {
        "text": text,
        "language": "en",
        "engine": "kokoro",
        "voice": "af_heart",
        "terms": None,
        "seconds": 1.5,
        "rate": 24000,
        "loudness": -19.0,
        "words": [],
    }
    arguments.out_json.write_text(json.dumps(said))
    for file in (arguments.srt, arguments.vtt):
        file.write_text("subtitles")
    return said


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            json.dumps({name: value for name, value in os.environ.items() if "GENEFACE" in name or "KEY" in name}).encode()
        )


def serve(arguments, reporter):
    if os.environ.get("STAND_IN_SERVE") == "fails":
        sys.exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    http.server.HTTPServer((arguments.host, int(arguments.port)), Handler).serve_forever()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    for name in ("text_file", "out", "out_json", "srt", "vtt"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("host", "port", "voice", "language", "speed"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args()
    command = {"synthesize": synthesize, "serve": serve}[arguments.command]
    return program.run(lambda reporter: command(arguments, reporter))


if __name__ == "__main__":
    sys.exit(main())
