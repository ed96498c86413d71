"""Requests as people see them: lists, one, cancel; avatars."""

import re
from typing import Any

import httpx

from api import measures


def test_pages(platform: Any) -> None:
    made = [platform.training("ann")["id"] for _ in range(5)]
    made.append(platform.training("bea")["id"])
    seen, cursor = [], None
    while True:
        page = platform.client.get("/v1/requests", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    places = {item["id"]: item["place"] for item in platform.client.get("/v1/requests").json()["items"]}
    assert [places[one] for one in made] == [1, 2, 3, 4, 5, 6]
    of_bea = platform.client.get("/v1/requests", params={"avatar": "bea", "kind": "training", "state": "queued"}).json()
    assert [item["id"] for item in of_bea["items"]] == made[-1:]
    assert platform.client.get("/v1/requests", params={"kind": "rendering"}).json() == {"items": [], "cursor": None}


def test_bad_parameters(client: httpx.Client) -> None:
    def code(**parameters: Any) -> tuple[int, str]:
        answer = client.get("/v1/requests", params=parameters)
        return answer.status_code, answer.json()["code"]

    assert code(cursor="nonsense") == code(cursor="====") == (422, "cursor_invalid")
    assert code(kind="song") == code(state="lost") == code(limit=0) == code(limit=101) == (422, "field_invalid")
    assert code(avatar="A B") == (422, "name_invalid")
    assert client.get("/v1/avatars/A%00B").json()["code"] == "name_invalid"
    assert client.get("/v1/avatars", params={"cursor": "AAAA"}).json()["code"] == "cursor_invalid"


def test_cancel_queued_running_and_final(platform: Any) -> None:
    queued = platform.training("cat")["id"]
    answer = platform.client.delete(f"/v1/requests/{queued}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert platform.client.delete(f"/v1/requests/{queued}").json() == answer.json()

    running = platform.training("cat")["id"]
    worker = platform.worker(running)
    worker.post("claim", step="preprocess")
    assert worker.post("report", step="preprocess", seq=0).json() == {"stop": False}
    answer = platform.client.delete(f"/v1/requests/{running}")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert answer.json()["cancel_requested_at"] is not None
    assert platform.client.delete(f"/v1/requests/{running}").status_code == 202
    assert worker.post("report", step="preprocess", seq=1).json() == {"stop": True}

    trained = platform.trained("cat")
    answer = platform.client.delete(f"/v1/requests/{trained['id']}")
    assert (answer.status_code, answer.json()["state"], answer.json()["version"]) == (200, "succeeded", 1)
    missing = platform.client.delete("/v1/requests/00000000-0000-7000-8000-000000000000")
    assert (missing.status_code, missing.json()["code"]) == (404, "request_not_found")


def test_outputs_have_links_on_the_public_endpoint(platform: Any, make_settings: Any, serve: Any) -> None:
    trained = platform.trained("dot")
    output = trained["outputs"]["report"]
    got = httpx.get(output["url"])
    assert (got.status_code, got.content, output["size"]) == (200, b"data", 4)
    assert got.headers["Content-Disposition"].startswith('attachment; filename="dot-')
    elsewhere = serve(make_settings(s3_public_endpoint="https://files.example.org"))
    seen = httpx.get(f"{elsewhere.url}/v1/requests/{trained['id']}").json()
    assert seen["outputs"]["report"]["url"].startswith("https://files.example.org/geneface/requests/")


def test_avatars(platform: Any) -> None:
    platform.trained("eve")
    platform.trained("eve")
    seen = platform.client.get("/v1/avatars/eve").json()
    assert [version["version"] for version in seen["versions"]] == [2, 1] and seen["ready"]
    names = [item["name"] for item in platform.client.get("/v1/avatars").json()["items"]]
    assert names == sorted(names) and "eve" in names
    first = platform.client.get("/v1/avatars", params={"limit": 1}).json()
    second = platform.client.get("/v1/avatars", params={"limit": 1, "cursor": first["cursor"]}).json()
    assert [first["items"][0]["name"], second["items"][0]["name"]] == names[:2]


def test_deleting_an_avatar(platform: Any, running: Any) -> None:
    trained = platform.trained("fay")
    rendering = platform.post("/v1/renderings", {"avatar": "fay", "audio": {"asset": platform.asset()}})
    answer = platform.client.delete("/v1/avatars/fay")
    assert (answer.status_code, answer.json()["code"]) == (409, "avatar_in_use")
    platform.client.delete(f"/v1/requests/{rendering['id']}")
    assert platform.client.delete("/v1/avatars/fay").status_code == 204
    assert platform.client.get("/v1/avatars/fay").json()["code"] == "avatar_not_found"
    assert platform.client.get(f"/v1/requests/{trained['id']}").status_code == 404
    assert platform.client.delete("/v1/avatars/fay").status_code == 404


def test_operation(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert 'geneface_http_answers_total{method="GET",route="/healthz",status="200"}' in text
    assert "geneface_database_up 1.0" in text and "geneface_queue_age_seconds" in text
    assert 'geneface_requests{kind="training",state="queued"}' in text
    client.request("BREW", "/healthz")
    text = client.get("/metrics").text
    assert 'method="other"' in text and "BREW" not in text, "nobody outside can make new series"


def test_final_requests_are_counted_now_and_then(platform: Any, client: httpx.Client, monkeypatch: Any) -> None:
    def cancelled() -> list[str]:
        return [line for line in client.get("/metrics").text.splitlines() if 'kind="training",state="cancelled"' in line]

    before = cancelled()
    client.delete(f"/v1/requests/{platform.training('counted')['id']}")
    assert cancelled() == before
    monkeypatch.setattr(measures, "FINAL_SECONDS", 0.0)
    assert cancelled() != before


def test_the_documentation_is_served_by_ourselves(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    references = re.findall(r"""(?:src|href)=["']([^"']+)|url: '([^']+)""", page.text)
    found = {address for pair in references for address in pair if address}
    assert {address.rsplit("/", 1)[-1] for address in found} >= {"swagger-ui-bundle.js", "swagger-ui.css", "openapi.json"}
    for address in found:
        assert address.startswith("/") and not address.startswith("//"), address
        assert client.get(address).status_code == 200, address
    style = client.get(next(address for address in found if address.endswith(".css"))).text
    assert not re.search(r"""url\((?!["']?data:)|@import""", style)
    assert client.get("/redoc").status_code == 404, "FastAPI's own would load its script from elsewhere"


def test_the_line_that_shows_the_logs_in_the_cluster(platform: Any, monkeypatch: Any) -> None:
    made = platform.training("lines")
    assert made["kubectl_logs"] is None
    monkeypatch.setattr(platform.running.settings, "namespace", "faces")
    line = f"kubectl -n faces logs -l geneface.io/request={made['id']} --all-containers --prefix --ignore-errors --tail=-1"
    assert platform.client.get(f"/v1/requests/{made['id']}").json()["kubectl_logs"] == line
