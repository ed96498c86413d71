"""Packages of npm, brought by npm itself and, where it is not installed, from the registry that its configuration names."""

import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from steps import fetching, voices, weights
from steps.errors import InputError, TryAgainError
from steps.progress import Reporter

VOICES = {
    name: np.random.default_rng(seed).normal(size=(510, 256)).astype(np.float32) for seed, name in enumerate(("af_one", "zm_two"))
}


def archive() -> bytes:
    """A package as npm packs it, with a script that must never run."""
    script = {"name": "@makers/tiny-voices", "version": "1.2.3", "scripts": {"preinstall": "exit 1", "prepack": "exit 1"}}
    files = {"package.json": json.dumps(script).encode(), "README.md": b"voices", "voices/readme.bin": b"none"}
    files |= {f"voices/{name}.bin": values.tobytes() for name, values in VOICES.items()}
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return held.getvalue()


ARCHIVE = archive()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The paths that a registry with one package was asked for; npm's configuration names it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b""
            if self.path == "/npm/@makers/tiny-voices/-/tiny-voices-1.2.3.tgz":
                body = ARCHIVE
            elif self.path.lower() == "/npm/@makers%2ftiny-voices":
                tarball = f"http://{self.headers['Host']}/npm/@makers/tiny-voices/-/tiny-voices-1.2.3.tgz"
                version = {"name": "@makers/tiny-voices", "version": "1.2.3", "dist": {"tarball": tarball}}
                listing = {"name": "@makers/tiny-voices", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": version}}
                body = json.dumps(listing).encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/npm/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path / "weights"))
    yield asked
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["with npm", "without npm"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without npm":
        monkeypatch.setattr(fetching.shutil, "which", lambda _name: None)
    elif not shutil.which("npm"):
        pytest.skip("npm is not installed")
    return str(request.param)


def entry(part: str = "npm:@makers/tiny-voices@1.2.3", content: bytes = ARCHIVE, form: str = "kokoro-js") -> weights.Entry:
    source = weights.Source((part,), len(content), hashlib.sha256(content).hexdigest(), form)
    return weights.Entry("tiny", "tiny/voices.safetensors", "MIT", "a test", "Nothing.", (source,))


def test_a_packages_voices_become_one_file(client: str, registry: list[str]) -> None:
    did = weights.bring(entry(), Reporter())
    made = load_file(did["path"])
    assert set(made) == set(VOICES) and all(np.array_equal(made[name], VOICES[name]) for name in VOICES)
    assert registry.count("/npm/@makers/tiny-voices/-/tiny-voices-1.2.3.tgz") == 1
    assert "/npm/npm" not in registry  # npm's own news


def test_a_file_inside_a_package(client: str, registry: list[str]) -> None:
    did = weights.bring(entry("npm:@makers/tiny-voices@1.2.3!README.md", b"voices", "published"), Reporter())
    assert Path(did["path"]).read_bytes() == b"voices"
    Path(did["path"]).unlink()
    with pytest.raises(TryAgainError, match=r"tiny-voices 1\.2\.3 holds no voices/none"):
        weights.bring(entry("npm:@makers/tiny-voices@1.2.3!voices/none", b"x", "published"), Reporter())


def test_what_the_registry_has_not_and_what_is_other_than_named(client: str, registry: list[str], tmp_path: Path) -> None:
    with pytest.raises(TryAgainError, match=r"tiny-voices.*9\.9\.9"):
        weights.bring(entry("npm:@makers/tiny-voices@9.9.9"), Reporter())
    with pytest.raises(TryAgainError, match=r"other-voices"):
        weights.bring(entry("npm:@makers/other-voices@1.2.3"), Reporter())
    with pytest.raises(InputError, match="refused"):
        weights.bring(entry(content=b"something else"), Reporter())
    assert not [file for file in (tmp_path / "weights").rglob("*") if file.is_file()]


def test_a_registry_that_is_no_address(registry: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda _name: None)
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(TryAgainError, match="npm_config_registry is no address"):
        weights.bring(entry(), Reporter())


def test_the_exporters_file_gives_the_same_bytes_as_the_package(tmp_path: Path) -> None:
    (tmp_path / "package.tgz").write_bytes(ARCHIVE)
    with (tmp_path / "voices.bin").open("wb") as file:
        np.savez(file, **{name: values[:, None] for name, values in VOICES.items()})
    voices.write_safetensors("kokoro-js", tmp_path / "package.tgz", tmp_path / "a")
    voices.write_safetensors("kokoro-npz", tmp_path / "voices.bin", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_voices_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "voices.bin").open("wb") as file:
        np.savez(file, af_one=np.zeros((511, 256), np.float32))
    with pytest.raises(ValueError, match="no voices of 510 styles"):
        voices.write_safetensors("kokoro-npz", tmp_path / "voices.bin", tmp_path / "out")
