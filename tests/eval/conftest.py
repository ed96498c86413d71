import pytest
from eval_videos import REFERENCE


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path_factory):
    """Whatever lies on this machine: tests have the weights that they make."""
    monkeypatch.setenv("EVAL_WEIGHTS_DIR", str(tmp_path_factory.getbasetemp() / "none"))


@pytest.fixture
def reference(monkeypatch):
    """Makes pytorch_fid, python_speech_features, SyncNetModel, SyncNetInstance and detectors (of syncnet-python) importable."""
    if not REFERENCE.is_dir():
        pytest.fail(f"{REFERENCE} is not there: run `make test`, or `make reference`")
    monkeypatch.syspath_prepend(str(REFERENCE / "syncnet_python"))
    monkeypatch.syspath_prepend(str(REFERENCE))
