import asyncio
import gc
import logging
import os
import shutil
import weakref

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asif_data.errors import AsifError
from asif_serve import swap
from asif_serve.swap import ModelInService
from asif_serve.telemetry import Telemetry


class Models:
    """A models folder whose versions are loaded as fake predictors; `bad` maps versions to what is wrong with them."""

    def __init__(self, folder, make):
        self.folder, self._make = folder, make
        self.bad, self.loaded = {}, []
        self.telemetry = Telemetry(lambda: 0)

    def point(self, version):
        (self.folder / version).mkdir(exist_ok=True)
        link = self.folder / ".link"
        link.symlink_to(version)
        link.replace(self.folder / "current")

    def load(self, path):
        self.loaded.append(path.name)
        if path.name in self.bad:
            raise self.bad[path.name]
        return self._make(version=path.name, path=path)

    def metrics(self):
        families = text_string_to_metric_families(self.telemetry.exposition().decode())
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.fixture
def models(tmp_path, make_fake, monkeypatch):
    made = Models(tmp_path.resolve(), make_fake)
    made.point("one")
    return made


@pytest.fixture
def service(models):
    """Model "one" in service."""
    found = ModelInService(models.folder / "current", models.load(models.folder / "one"), models.telemetry)
    models.loaded.clear()
    return found


@pytest.fixture
def look(models, service):
    """Look once; the version in service."""

    def once():
        asyncio.run(service.look(models.load))
        return service.predictor.model.manifest.version

    return once


def test_the_model_in_service_is_not_loaded_again(models, look):
    assert [look(), look()] == ["one", "one"]
    assert models.loaded == []


def test_another_model_comes_into_service_and_back(models, look):
    models.point("two")
    assert look() == "two"
    found = models.metrics()
    assert found["asif_model_info", "two"] == found["asif_model_swaps_total",] == 1
    assert ("asif_model_info", "one") not in found
    models.point("one")
    assert look() == "one"
    assert models.loaded == ["two", "one"]
    found = models.metrics()
    assert (found["asif_model_info", "one"], found["asif_model_swaps_total",]) == (1, 2)


WRONG = [AsifError("onnx/model.onnx: expected SHA-256 a..., found a changed file."), OSError(13, "no"), KeyError("x")]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_model_leaves_the_old_one_in_service_and_is_told_once(models, look, caplog, monkeypatch, wrong):
    models.bad["two"] = wrong
    models.point("two")
    now = 1_000.0
    monkeypatch.setattr(swap.time, "monotonic", lambda: now)
    for _ in range(100):
        assert look() == "one"
        now += 1
    [record] = [record for record in caplog.records if record.name == "asif_serve"]
    assert record.levelno == logging.ERROR
    assert str(models.folder / "two") in record.getMessage()
    assert (str(wrong) if not isinstance(wrong, KeyError) else "KeyError") in record.getMessage()
    # Tried again after 2, 4, 8, 16, 32 seconds.
    assert models.loaded == ["two"] * 6
    found = models.metrics()
    assert found["asif_model_refused", "two"] == found["asif_model_info", "one"] == 1
    assert found["asif_model_swaps_total",] == 0


def test_going_back_from_a_bad_model_needs_no_loading(models, look):
    models.bad["two"] = AsifError("broken.")
    models.point("two")
    look()
    models.point("one")
    assert look() == "one"
    assert models.loaded == ["two"]
    assert ("asif_model_refused", "two") not in models.metrics()


def test_a_bad_model_that_gets_whole_comes_into_service(models, look, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(swap.time, "monotonic", lambda: now)
    models.bad["two"] = AsifError("its last file is still on its way.")
    models.point("two")
    assert look() == "one"
    models.bad.clear()
    now += 2.5
    assert look() == "two"
    assert ("asif_model_refused", "two") not in models.metrics()


def test_another_target_is_tried_at_once(models, look, caplog):
    models.bad = {"two": AsifError("bad."), "three": AsifError("bad too.")}
    for version in ("two", "three"):
        models.point(version)
        assert look() == "one"
    assert len([record for record in caplog.records if record.name == "asif_serve"]) == 2
    assert ("asif_model_refused", "two") not in models.metrics()
    models.point("four")
    assert look() == "four"


def test_a_link_to_nothing_leaves_the_old_one_in_service(models, service):
    models.point("two")
    (models.folder / "two").rmdir()
    asyncio.run(service.look())
    assert service.predictor.model.manifest.version == "one"
    assert models.metrics()["asif_model_refused", "two"] == 1


def test_a_server_without_a_model_gets_one_as_soon_as_there_is_one(models):
    service = ModelInService(models.folder / "current", None, models.telemetry)
    asyncio.run(service.look(models.load))
    assert service.predictor and service.predictor.model.manifest.version == "one"


def test_requests_go_on_while_a_model_is_loaded(models, service):
    async def main():
        turns = 0

        def slowly(path):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), loop).result()
            return models.load(path)

        loop = asyncio.get_running_loop()
        looking = asyncio.create_task(service.look(slowly))
        while not looking.done():
            assert service.predictor.model.manifest.version == "one"
            turns += 1
            await asyncio.sleep(0.001)
        return turns

    models.point("two")
    assert asyncio.run(main()) > 10
    assert service.predictor.model.manifest.version == "two"


def test_the_old_model_is_let_go(models, service, look):
    old = weakref.ref(service.predictor)
    models.point("two")
    assert look() == "two"
    gc.collect()
    assert old() is None


def test_a_real_model_is_swapped_and_a_changed_file_refused(small_model, small_predictor, tmp_path):
    folder = tmp_path / "models"
    for version in ("good", "bad"):
        shutil.copytree(small_model, folder / version, copy_function=os.link)
    changed = folder / "bad" / "config.json"
    changed.unlink()
    changed.write_bytes((small_model / "config.json").read_bytes() + b" ")
    link = folder / "current"
    link.symlink_to("good")
    telemetry = Telemetry(lambda: 0)
    service = ModelInService(link, small_predictor, telemetry)
    asyncio.run(service.look())
    first = service.predictor
    assert first is not None and first is not small_predictor and first.model.path == (folder / "good").resolve()
    link.unlink()
    link.symlink_to("bad")
    asyncio.run(service.look())
    assert service.predictor is first
    assert 'asif_model_refused{version="bad"} 1.0' in telemetry.exposition().decode()
