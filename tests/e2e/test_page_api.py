"""The page's API against its own OpenAPI file: Schemathesis asks what the file allows, and what it does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from page_world import page_world, until

from edge.web.password import make_hash

pytest.importorskip("tornado", reason="the page needs Tornado")
schemathesis = pytest.importorskip("schemathesis", reason="no Schemathesis to ask the page's API with")
from schemathesis.specs.openapi.checks import ignored_auth  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / "edge" / "web" / "openapi.json"
PASSWORD = "correct horse"  # noqa: S105
schema = schemathesis.openapi.from_path(str(FILE)).exclude(path="/api/live")  # a WebSocket
schema = schema.exclude(operation_id="logOut")  # of the session that the others need


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with page_world(tmp_path_factory.mktemp("api"), make_hash(PASSWORD)) as (client, camera):
        client.enter(PASSWORD)
        yield client, camera


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_file_describes(case: Any, served: Any) -> None:
    client, camera = served
    before = camera.frames
    case.headers.setdefault("X-CSRF-Token", client.token)
    case.cookies.setdefault("edgewise", client.cookie)
    # That nothing goes without a session is tested of every route; here each request has one
    case.call_and_validate(base_url=f"http://127.0.0.1:{client.port}", excluded_checks=[ignored_auth])
    until(lambda: camera.frames > before)
