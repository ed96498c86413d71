"""Presigned links are the ones that minio makes, at a third of the CPU."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from minio import Minio

from store.links import disposition
from store.objects import Objects, _signer

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "https://objects.example", "https://s3.eu-central-1.amazonaws.com"]
)
@pytest.mark.parametrize("key", ["assets/1/file", "requests/1/2/ä ö+~%20&?=.mp4"])
@pytest.mark.parametrize("filename", [None, 'Ä "b" %~ 你.mp4'])
def test_a_link_is_minios(s3: Any, endpoint: str, key: str, filename: str | None) -> None:
    settings = replace(s3, s3_endpoint=endpoint, s3_region="eu-central-1", s3_access_key="a/b+c")
    url = urlsplit(endpoint)
    client = Minio(
        url.netloc, settings.s3_access_key, settings.s3_secret_key, region=settings.s3_region, secure=url.scheme == "https"
    )
    headers = {} if filename is None else {"response-content-disposition": disposition(filename)}
    theirs = urlsplit(client.presigned_get_object("geneface", key, timedelta(hours=1), headers, request_date=NOW))
    ours = urlsplit(_signer(settings, client).link("GET", key, 3600, filename, NOW))
    assert ours[:3] == theirs[:3]
    assert sorted(parse_qsl(ours.query)) == sorted(parse_qsl(theirs.query)), "the signature, too"


def test_links_of_two_days_differ(s3: Any) -> None:
    signer = Objects(s3)._public_signer
    days = [NOW, NOW + timedelta(days=1), NOW]
    first, second, again = [signer.link("PUT", "x", 60, now=day).rpartition("=")[2] for day in days]
    assert first == again != second
