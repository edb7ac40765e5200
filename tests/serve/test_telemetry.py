import time
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asif_data.model_dir import Reference
from asif_serve.decision import Decision
from asif_serve.telemetry import Telemetry


def read(telemetry):
    """The value of every sample, by name and labels."""
    families = text_string_to_metric_families(telemetry.exposition().decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def decision(label, reason=None):
    return Decision(("a", "b"), (1.0, 0.0) if label == "a" else (0.0, 1.0), 0.5, reason, (label,))


def test_requests_are_counted_by_path_and_status():
    telemetry = Telemetry(lambda: 0)
    telemetry.request("/predict", 200, 0.25)
    telemetry.request("/predict", 200, 0.5)
    telemetry.request("/predict", 429, 0)
    found = read(telemetry)
    assert found["asif_requests_total", "/predict", "200"] == 2
    assert found["asif_requests_total", "/predict", "429"] == 1
    assert found["asif_request_seconds_count", "/predict"] == 3
    assert found["asif_request_seconds_sum", "/predict"] == 0.75


def test_rows_are_counted_by_key_where_they_were_answered():
    telemetry = Telemetry(lambda: 0)
    telemetry.request("/predict", 200, 0, rows=3, key="notes")
    telemetry.request("/predict", 200, 0, rows=2)
    telemetry.request("/predict", 500, 0, rows=7, key="notes")
    found = read(telemetry)
    assert found["asif_rows_total", "notes"] == 3
    assert found["asif_rows_total", ""] == 2


@pytest.mark.parametrize("stage", ["tokenization", "inference"])
def test_stages_are_timed(stage):
    telemetry = Telemetry(lambda: 0)
    with telemetry.stage(stage):
        time.sleep(0.02)
    found = read(telemetry)
    assert found[f"asif_{stage}_seconds_count",] == 1
    assert 0.02 <= found[f"asif_{stage}_seconds_sum",] < 5


def test_a_stage_that_fails_is_not_timed():
    telemetry = Telemetry(lambda: 0)
    with pytest.raises(ZeroDivisionError), telemetry.stage("inference"):
        raise ZeroDivisionError
    assert read(telemetry)["asif_inference_seconds_count",] == 0


def test_cut_inputs_are_counted():
    telemetry = Telemetry(lambda: 0)
    telemetry.decisions([decision("a"), decision("b")], truncated=1)
    telemetry.decisions([decision("a")])
    assert read(telemetry)["asif_truncated_total",] == 1


def test_answers_are_counted_by_label_and_reason():
    telemetry = Telemetry(lambda: 0)
    telemetry.decisions([decision("a"), decision("a"), decision("b", "uncertain"), decision("b", "out_of_scope")])
    found = read(telemetry)
    assert found["asif_labels_total", "a"] == 2
    assert found["asif_labels_total", "b"] == 1
    assert found["asif_labels_total", "none"] == 1
    assert found["asif_abstentions_total", "uncertain"] == 1
    assert found["asif_abstentions_total", "out_of_scope"] == 1


def test_the_queue_is_read_when_asked():
    waiting = 3
    telemetry = Telemetry(lambda: waiting)
    assert read(telemetry)["asif_queue_tokens",] == 3
    waiting = 4
    assert read(telemetry)["asif_queue_tokens",] == 4


def manifest(version, reference=None):
    return SimpleNamespace(version=version, reference=reference)


def test_the_model_in_service_is_named_and_swaps_are_counted():
    telemetry = Telemetry(lambda: 0)
    telemetry.model(manifest("first"))
    found = read(telemetry)
    assert (found["asif_model_info", "first"], found["asif_model_swaps_total",]) == (1, 0)
    telemetry.model(manifest("second"))
    found = read(telemetry)
    assert (found["asif_model_info", "second"], found["asif_model_swaps_total",]) == (1, 1)
    assert ("asif_model_info", "first") not in found


def test_a_refused_model_is_told_as_long_as_it_is_refused():
    telemetry = Telemetry(lambda: 0)
    telemetry.refused("bad", True)
    assert read(telemetry)["asif_model_refused", "bad"] == 1
    telemetry.refused("bad", False)
    assert ("asif_model_refused", "bad") not in read(telemetry)


REFERENCE = Reference(rows=4, outcomes={"a": 0.5, "out_of_scope": 0.5}, confidence=0.9, in_scope=0.6)


def test_recent_answers_stand_beside_the_model_s_reference():
    telemetry = Telemetry(lambda: 0)
    telemetry.model(manifest("first", REFERENCE))
    found = read(telemetry)
    assert found["asif_reference_share", "a"] == found["asif_reference_share", "out_of_scope"] == 0.5
    assert (found["asif_reference_confidence",], found["asif_reference_in_scope",]) == (0.9, 0.6)
    assert not any(name.startswith(("asif_recent", "asif_drift", "asif_window")) for name, *_ in found)

    telemetry.decisions([decision("a"), decision("b", "uncertain"), decision("b", "out_of_scope"), decision("a")])
    found = read(telemetry)
    shares = {name: found["asif_recent_share", name] for name in ("a", "uncertain", "out_of_scope")}
    assert shares == pytest.approx({"a": 0.5, "uncertain": 0.25, "out_of_scope": 0.25})
    assert (found["asif_recent_confidence",], found["asif_recent_in_scope",]) == pytest.approx((1.0, 0.5))
    assert found["asif_recent_rows",] == 4
    assert 0 < found["asif_drift",] < 1
    assert not any(name.startswith("asif_window") for name, *_ in found)


def test_with_another_model_the_watch_begins_anew():
    telemetry = Telemetry(lambda: 0)
    telemetry.model(manifest("first", REFERENCE))
    telemetry.decisions([decision("b")] * 10)
    assert read(telemetry)["asif_drift",] == pytest.approx(1)
    telemetry.model(manifest("second", REFERENCE))
    assert ("asif_drift",) not in read(telemetry)
    telemetry.decisions([decision("a"), decision("b", "out_of_scope")])
    found = read(telemetry)
    assert found["asif_drift",] == pytest.approx(0)
    assert (found["asif_recent_rows",], found["asif_recent_share", "a"]) == (2, 0.5)


def test_two_apps_do_not_share_counts():
    one, other = Telemetry(lambda: 0), Telemetry(lambda: 0)
    one.request("/predict", 200, 0)
    assert ("asif_requests_total", "/predict", "200") not in read(other)
