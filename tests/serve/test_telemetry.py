import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

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
    assert read(telemetry)["asif_queue_rows",] == 3
    waiting = 4
    assert read(telemetry)["asif_queue_rows",] == 4


def test_the_model_is_named():
    telemetry = Telemetry(lambda: 0)
    telemetry.model("20260101-000000")
    assert read(telemetry)["asif_model_info", "20260101-000000"] == 1


def test_two_apps_do_not_share_counts():
    one, other = Telemetry(lambda: 0), Telemetry(lambda: 0)
    one.request("/predict", 200, 0)
    assert ("asif_requests_total", "/predict", "200") not in read(other)
