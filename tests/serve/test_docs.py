import re
from html.parser import HTMLParser

import pytest


class Addresses(HTMLParser):
    """What a page loads, and whether it has scripts or styles of its own."""

    def __init__(self):
        super().__init__()
        self.loaded, self.inline = [], 0

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.loaded += [found[name] for name in ("src", "href") if name in found]
        self.inline += tag == "style" or (tag == "script" and "src" not in found)
        self.inline += any(name == "style" or name.startswith("on") for name in found)


def test_the_page_loads_only_what_this_server_serves(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    found = Addresses()
    found.feed(page.text)
    assert found.inline == 0  # the policy of the answer forbids it
    assert len(found.loaded) == 4
    kinds = [client.get(f"/{address}").headers["content-type"].split(";")[0] for address in found.loaded]
    assert kinds == ["image/png", "text/css", "text/javascript", "text/javascript"]
    start = client.get("/docs/start.js").text
    assert "SwaggerUIBundle(" in start and '"openapi.json"' in start and "http" not in start
    assert "SwaggerUIBundle" in client.get("/docs/assets/swagger-ui-bundle.js").text


def test_the_root_leads_to_the_documentation(client):
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json", "/"])
def test_it_can_be_switched_off(make_client, problem, path):
    problem(make_client(docs=False).get(path), 404)


@pytest.mark.parametrize(
    "path", ["/docs/assets/../core.py", "/docs/assets/%2e%2e/core.py", "/docs/assets/none.js", "/docs/assets/"]
)
def test_the_assets_are_a_closed_folder(client, problem, path):
    problem(client.get(path), 404)


def test_the_documented_server_takes_keys(client):
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    closed = {path for path, operations in document["paths"].items() for o in operations.values() if "security" in o}
    assert closed == {"/v1/classify", "/predict", "/v1/model", "/metrics"}
    assert not [path for path in document["paths"] if re.match("/docs", path)]
