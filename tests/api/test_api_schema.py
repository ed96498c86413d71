"""The OpenAPI document is kept: whatever is sent, no 500, and no answer that is not written there."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method",
)  # fmt: skip


@pytest.fixture(scope="module")
def running(make_settings: Any, serve: Any) -> Any:
    """With all that speech may need, so that it is not refused."""
    return serve(make_settings(tts_engine="http", reply_available=True))


def explore(url: str, examples: int, known: dict[str, str], token: str) -> None:
    """Calls every operation; `known`: what stands in the path instead of what was made up."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    chosen = [checks.CHECKS.get_one(name) for name in CHECKS]
    for operation in (result.ok() for result in schema.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def one(case: schemathesis.Case) -> None:
            for name in set(case.path_parameters or {}) & set(known):
                case.path_parameters[name] = known[name]
            case.call_and_validate(checks=chosen, headers={"Authorization": f"Bearer {token}"}, timeout=20)

        one()


def explore_all(platform: Any, examples: int) -> None:
    explore(platform.running.url, examples, {}, "x")
    worker = platform.worker(platform.training("eve")["id"])
    worker.post("claim", step="preprocess")
    known = {"request_id": platform.trained("ada")["id"], "asset_id": platform.asset(), "attempt_id": str(worker.attempt)}
    known["conversation_id"] = platform.post("/v1/dialogues", {"avatar": "ada", "text": "Hello"})["conversation"]
    explore(platform.running.url, examples, known, worker.token)


def test_no_surprises(platform: Any) -> None:
    explore_all(platform, 5)


@pytest.mark.slow
def test_no_surprises_in_many_tries(platform: Any) -> None:
    explore_all(platform, 250)


def test_every_operation_tells_how_it_fails(running: Any) -> None:
    document = running.app.openapi()
    assert "Problem" in document["components"]["schemas"] and "AssetBody" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                assert int(status) < 400 or list(answer["content"]) == ["application/problem+json"], (method, path, status)
            assert {"422", "500", "503"} <= operation["responses"].keys(), (method, path)
            assert operation["summary"] and operation["description"], (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_examples_are_good(running: Any) -> None:
    from api import bodies

    for body in (
        bodies.TrainingBody, bodies.RenderingBody, bodies.EvaluationBody, bodies.AssetBody, bodies.SynthesisBody,
        bodies.DialogueBody, bodies.VoiceBody,
    ):  # fmt: skip
        for example in body.model_json_schema()["examples"]:
            body.model_validate(example)


def test_answers_to_what_is_there(running: Any, platform: Any) -> None:
    """The same checks on addresses that exist, which random ones never do."""
    trained = platform.trained("ann")
    asset = platform.asset()
    conversation = platform.post("/v1/dialogues", {"avatar": "ann", "text": "Hello"})["conversation"]
    consent = {"statement": "I agree", "by": "Ann"}
    platform.post("/v1/voices", {"name": "ann", "recording": {"asset": asset}, "consent": consent})
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    chosen = [checks.CHECKS.get_one(name) for name in CHECKS if name != "unsupported_method"]
    there = {"request_id": trained["id"], "asset_id": asset, "name": "ann", "conversation_id": conversation}
    for path in ("/v1/requests/{request_id}", "/v1/requests/{request_id}/events", "/v1/requests/{request_id}/logs",
                 "/v1/assets/{asset_id}", "/v1/avatars/{name}", "/v1/requests", "/v1/assets", "/v1/avatars",
                 "/v1/voices", "/v1/voices/{name}", "/v1/conversations/{conversation_id}"):  # fmt: skip
        case = schema[path]["GET"].Case(path_parameters={name: value for name, value in there.items() if name in path})
        assert case.call_and_validate(checks=chosen).status_code == 200
