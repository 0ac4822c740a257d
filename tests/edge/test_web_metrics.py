"""/metrics as a monitoring system meets it: what is counted, and who may read it."""

import pytest
from page_client import PageClient
from page_world import page_world, until

from edge.contract.results import FrameResult, SourceState
from edge.web.password import make_hash

pytest.importorskip("tornado", reason="the page needs Tornado")
pytest.importorskip("prometheus_client", reason="--metrics needs prometheus_client")

TOKEN = "t" * 43


def _numbers(text):
    """{series: value} of Prometheus's text form, read by its own parser."""
    from prometheus_client.parser import text_string_to_metric_families

    found = {}
    for family in text_string_to_metric_families(text.decode("utf-8")):
        for sample in family.samples:
            found[(sample.name,) + tuple(sorted(sample.labels.items()))] = sample.value
    return found


def _metrics(examples=dict):
    from edge.web.metrics import Metrics

    return Metrics(examples, clock=lambda: 1000.0)


def _result(sequence, **more):
    fields = {"label": "cup", "score": 0.9, "top": (), "unknown": False, "age_ms": 30.0, "prepare_ms": 2.0}
    fields.update(infer_ms=20.0, source="door", read_ms=4.0, **more)
    return FrameResult(sequence, 0, **fields)


def test_frames_ages_stages_and_states_are_counted_for_each_source():
    metrics = _metrics(lambda: {"cup": 3, "pen": 5})
    metrics.see(SourceState("door", "live", "", 1))
    metrics.see(_result(0))
    metrics.see(_result(4, unknown=True, sure=False))
    metrics.see(_result(5, reused=True))
    for tries in (1, 2, 3):  # each second anew, and one loss
        metrics.see(SourceState("door", "lost", "gone", tries))
    found = _numbers(metrics.text())
    source = ("source", "door")
    assert found["edgewise_frames_total", source] == 3
    assert found["edgewise_frames_dropped_total", source] == 3
    assert found["edgewise_frames_unknown_total", source] == 1
    assert found["edgewise_frames_unsure_total", source] == 1
    assert found["edgewise_frames_reused_total", source] == 1
    assert found["edgewise_source_states_total", source, ("state", "lost")] == 1
    assert found["edgewise_source_live", source] == 0
    assert found["edgewise_last_frame_time_seconds", source] == pytest.approx(999.97)
    assert found["edgewise_frame_age_seconds_count", source] == 3
    assert found["edgewise_frame_age_seconds_sum", source] == pytest.approx(0.09)
    assert found["edgewise_stage_seconds_count", source, ("stage", "read")] == 3
    assert found["edgewise_stage_seconds_count", source, ("stage", "infer")] == 2  # it rested once
    assert found["edgewise_stage_seconds_bucket", ("le", "0.01"), source, ("stage", "infer")] == 0
    assert found["edgewise_stage_seconds_bucket", ("le", "0.025"), source, ("stage", "infer")] == 2
    assert found["edgewise_examples", ("label", "cup")] == 3 and found["edgewise_examples", ("label", "pen")] == 5
    assert found["process_start_time_seconds",] > 0


def test_a_label_that_was_forgotten_is_no_longer_there():
    taught = {"cup": 3}
    metrics = _metrics(lambda: taught)
    assert ("edgewise_examples", ("label", "cup")) in _numbers(metrics.text())
    taught.clear()
    assert ("edgewise_examples", ("label", "cup")) not in _numbers(metrics.text())


def test_the_page_serves_what_its_loop_counts_and_what_was_taught(tmp_path):
    from edge.web.metrics import Metrics

    with page_world(tmp_path, make_metrics=Metrics) as (client, _):
        client.enter()
        assert client.ask("POST", "/api/hold", {"label": "Z"})[0] == 201
        assert client.ask("POST", "/api/lessons")[0] == 201
        until(lambda: b'edgewise_examples{label="Z"} 1.0' in client.ask("GET", "/metrics")[2])
        status, headers, text = client.ask("GET", "/metrics")
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=")
        before = _numbers(text)["edgewise_frames_total", ("source", "")]
        until(lambda: _numbers(client.ask("GET", "/metrics")[2])["edgewise_frames_total", ("source", "")] > before)


def test_without_the_flag_there_are_none_and_the_answer_says_how(tmp_path):
    with page_world(tmp_path) as (client, _):
        status, _, answer = client.ask("GET", "/metrics")
        assert status == 404 and "--metrics" in answer["error"]["remedy"]


def test_where_a_password_is_asked_for_a_scraper_needs_its_token_which_opens_nothing_else(tmp_path):
    from edge.web.metrics import Metrics

    password = "correct horse"  # noqa: S105
    with page_world(tmp_path, make_hash(password), make_metrics=Metrics, scraper_token=TOKEN) as (client, _):
        stranger = PageClient(client.port)
        for given in (None, "Bearer", "Bearer " + "u" * 43, "Bearer \xff", "Basic " + TOKEN, TOKEN):
            assert stranger.ask("GET", "/metrics", Authorization=given)[0] == 401, given
        bearer = {"Authorization": "Bearer " + TOKEN}
        assert stranger.ask("GET", "/metrics", **bearer)[0] == 200
        assert stranger.ask("GET", "/metrics", Host="evil.example", **bearer)[0] == 421
        assert stranger.ask("POST", "/metrics", {}, **bearer)[0] == 405
        for path in ("/api/now", "/api/picture", "/api/learned"):
            assert stranger.ask("GET", path, **bearer)[0] == 401
        assert stranger.watch(**bearer).status == 401
        client.enter(password)
        assert client.ask("GET", "/metrics")[0] == 200


def test_a_token_file_that_others_may_read_is_refused(tmp_path):
    import os

    from edge.contract.errors import BoardError
    from edge.web.password import scraper_token

    path = str(tmp_path / "metrics-token")
    token = scraper_token(path)
    assert len(token) == 43 and scraper_token(path) == token
    os.chmod(path, 0o644)
    with pytest.raises(BoardError, match="others may read"):
        scraper_token(path)
    os.chmod(path, 0o600)
    with open(path, "w") as file:
        file.write("\n")
    with pytest.raises(BoardError, match="holds no token"):
        scraper_token(path)
