"""Sends one HTTP request over and over on kept connections: `load.py PORT METHOD TARGETS BODY CONNECTIONS SECONDS`.

TARGETS: a file with one target a line, taken at random; BODY: JSON or nothing. Each POST carries an `Idempotency-Key` of its own.
A process of its own that does no more than it must, since it shares the machine with what it measures. Prints one JSON object.
"""

import asyncio
import json
import random
import sys
import time
import uuid
from pathlib import Path

WARM_UP = 1.0


def message(method: str, target: str, body: bytes) -> bytes:
    """The request as it goes over the wire."""
    head = f"{method} {target} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
    if method == "POST":
        head += f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
    return head.encode() + b"\r\n" + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> int:
    """Status of the answer, once all of it is there."""
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def client(port: int, method: str, targets: list[str], body: bytes, until: float, taken: list[tuple[float, float]]) -> int:
    """Asks until then; how many answers were refusals."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    refused = 0
    while (began := time.perf_counter()) < until:
        status = await exchange(reader, writer, message(method, random.choice(targets), body))  # noqa: S311
        taken.append((began, time.perf_counter() - began))
        refused += status >= 400
    writer.close()
    return refused


async def main(port: int, method: str, targets: list[str], body: bytes, connections: int, seconds: float) -> None:
    taken: list[tuple[float, float]] = []
    began = time.perf_counter()
    until = began + WARM_UP + seconds
    refused = await asyncio.gather(*(client(port, method, targets, body, until, taken) for _ in range(connections)))
    times = sorted(spent for at, spent in taken if at >= began + WARM_UP)
    found = {"rate": len(times) / seconds, "refused": sum(refused)}
    found |= {f"p{part}": times[min(len(times) - 1, len(times) * part // 100)] for part in (50, 99)}
    print(json.dumps(found))


if __name__ == "__main__":
    number, verb, file, text, width, length = sys.argv[1:]
    lines = Path(file).read_text().splitlines()
    asyncio.run(main(int(number), verb, lines, text.encode(), int(width), float(length)))
