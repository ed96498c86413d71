import io
import json

from steps.progress import Reporter


def test_a_stage_has_an_estimate_once_it_has_a_pace(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("steps.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    reporter = Reporter(stream)
    for done in (80, 90):
        reporter.progress("train", done, 100)
        now[0] += 10.0
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert "eta_seconds" not in first and second["eta_seconds"] == 1.1
