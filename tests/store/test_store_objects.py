"""Objects, on a real S3 server."""

import hashlib
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from store.objects import Objects


def fetch(url: str, data: bytes | None = None) -> bytes:
    # An explicit type: servers read urllib's default one as a form.
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=data, method="PUT" if data is not None else "GET", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def test_links_write_and_read(objects: Objects) -> None:
    fetch(objects.put_link("t/link"), b"hello")
    assert fetch(objects.get_link("t/link")) == b"hello"
    assert objects.digest("t/link") == (hashlib.sha256(b"hello").hexdigest(), b"hello")


def test_a_tampered_link_is_refused(objects: Objects) -> None:
    objects.put("t/mine", b"1")
    link = objects.get_link("t/mine").replace("t/mine", "t/other")
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(link)
    assert refused.value.code == 403


def test_public_links_carry_the_public_name(s3: Any) -> None:
    port = s3.s3_endpoint.rsplit(":", 1)[1]
    objects = Objects(replace(s3, s3_public_endpoint=f"http://localhost:{port}"))
    objects.put("t/public", b"1")
    assert objects.get_link("t/public").startswith(s3.s3_endpoint)
    assert objects.get_link("t/public", public=True).startswith(f"http://localhost:{port}/")
    assert fetch(objects.get_link("t/public", public=True)) == b"1"


def test_remove_takes_all_under_a_prefix(objects: Objects) -> None:
    for name in ("r/1/a", "r/1/b/c", "r/10/a"):
        objects.put(name, b"x")
    assert objects.remove("r/1/") == 2
    assert objects.names("r/") == ["r/10/a"]
    assert objects.stat("r/1/a") is None
    assert objects.remove("r/1/") == 0
