"""The HTTP app: endpoints over one predictor."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from asif_data.encoding import Utterance
from asif_serve import problems, schemas
from asif_serve.call import Recorder, spend
from asif_serve.deadline import Deadline, deadline_of
from asif_serve.decision import Decision
from asif_serve.docs import add_docs
from asif_serve.explain import Explanation, Probes
from asif_serve.guard import Guard
from asif_serve.predictor import Predictor
from asif_serve.problems import Problem, documented
from asif_serve.settings import Settings
from asif_serve.swap import ModelInService
from asif_serve.telemetry import Telemetry
from asif_serve.tracing import tracer_provider
from asif_serve.work import Answer, WorkQueue

_ERRORS = documented(401, 408, 413, 415, 422, 429, 503)


class Service:
    """What the endpoints share: the predictor, the queue, the settings, the metrics."""

    def __init__(self, settings: Settings, predictor: Predictor | None) -> None:
        self.settings = settings
        self.tracing = tracer_provider()
        self.telemetry = Telemetry(lambda: self.queue.pending)
        threads = max(1, settings.threads // settings.workers)
        self.queue = WorkQueue(threads, settings.queue_tokens, self.telemetry.stage)
        self.model = ModelInService(settings.model, predictor, self.telemetry)

    @property
    def predictor(self) -> Predictor:
        """The verified model; a request takes it once. Raises Problem 503 while there is none."""
        if self.model.predictor is None:
            raise Problem(503, "No model is ready to answer yet.", headers={"Retry-After": "1"})
        return self.model.predictor

    async def beat(self, follow: bool) -> None:
        """Every second: bring the metrics up to date and, with `follow`, look whether another model is in service."""
        while True:
            await asyncio.sleep(1)
            self.telemetry.refresh()
            if follow:
                await self.model.look()

    async def answer(self, request: Request, predictor: Predictor, utterances: Sequence[Utterance]) -> list[Answer]:
        """Answers to all utterances by one predictor, off the event loop."""
        self._check(utterances, explain=False)
        spend(len(utterances), rows=len(utterances))
        return await self._run(request, predictor, utterances.__getitem__, [_length(u) for u in utterances])

    async def explain(
        self, request: Request, predictor: Predictor, utterances: Sequence[Utterance]
    ) -> tuple[list[Answer], list[Explanation]]:
        """Answers and their explanations, as one piece of work: let in, timed and given up together."""
        self._check(utterances, explain=True)
        probes = [Probes(utterance) for utterance in utterances]
        places = [(probe, i) for probe in probes for i in range(len(probe))]
        count = len(utterances)

        def read(row: int) -> Utterance:
            if row < count:
                return utterances[row]
            probe, i = places[row - count]
            return probe[i]

        lengths = [_length(u) for u in utterances] + [length for probe in probes for length in probe.lengths()]
        spend(len(lengths), rows=count)
        found = await self._run(request, predictor, read, lengths)
        judged = iter(answer.decision for answer in found[count:])
        explained = [
            probe.explanation(answer.decision, list(islice(judged, len(probe))))
            for probe, answer in zip(probes, found, strict=False)
        ]
        return found[:count], explained

    def count(self, answers: Sequence[Answer]) -> None:
        """Count answers that are given."""
        self.telemetry.decisions([answer.decision for answer in answers], sum(answer.truncated for answer in answers))

    async def _run(
        self, request: Request, predictor: Predictor, read: Callable[[int], Utterance], lengths: list[int]
    ) -> list[Answer]:
        """Queue rows and wait for them, no longer than the client does."""
        work = self.queue.submit(predictor, read, lengths, deadline_of(request.scope))
        watch = asyncio.create_task(_give_up(request, work))
        try:
            return await work
        except asyncio.CancelledError:
            # The server stops, and the time in which what was under way could be finished is over.
            raise Problem(503, "The server is stopping.", headers={"Retry-After": "1"}) from None
        finally:
            watch.cancel()

    def _check(self, utterances: Sequence[Utterance], explain: bool) -> None:
        if explain and len(utterances) > self.settings.max_explained:
            raise Problem(
                413, f"Expected at most {self.settings.max_explained} utterances in one request with explain."
            )
        if len(utterances) > self.settings.max_rows:
            raise problems.too_many(self.settings.max_rows)
        most = self.settings.max_characters
        if any(len(u.text) > most or len(u.context or "") > most for u in utterances):
            raise Problem(413, f"Expected at most {most} characters in one text or context.")


async def _give_up(request: Request, work: asyncio.Future[list[Answer]]) -> None:
    """Take work out of the queue when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not work.done():
        # Nobody reads the answer; the metrics count it under the status that nginx made customary.
        work.set_exception(Problem(499, "The client has hung up."))


def _length(utterance: Utterance) -> int:
    return len(utterance.text) + len(utterance.context or "")


async def service_of(request: Request) -> Service:
    """Dependency: the service of the app that answers. Async, or it would cost a thread hop a request."""
    return request.app.state.service


Served = Annotated[Service, Depends(service_of)]


def create_app(settings: Settings, predictor: Predictor | None, *, follow: bool = False) -> FastAPI:
    """The app over a verified predictor; with None it lives but is not ready.

    With `follow` the model that `settings.model` names is put into service whenever that is another one.
    """
    service = Service(settings, predictor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        beat = asyncio.create_task(service.beat(follow))
        yield
        beat.cancel()
        await asyncio.to_thread(service.queue.close)
        if service.tracing:
            await asyncio.to_thread(service.tracing.shutdown)

    app = FastAPI(
        title="asif",
        version="1",
        description="Says which of a model's labels applies to what a counselor says, and when none does. As shipped they are empathy, sympathy and over-identification.",
        lifespan=lifespan,
        docs_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redoc_url=None,
        redirect_slashes=False,  # it would repeat the caller's address
        telemetry={
            "tracer_provider": service.tracing,
            "tracing": service.tracing is not None,
            "metrics": False,
            "logs": False,  # they hold the messages of exceptions
            "auto_configure": False,
        },
    )
    app.state.service = service
    app.add_exception_handler(Problem, problems.on_problem)
    app.add_exception_handler(HTTPException, problems.on_http_error)
    app.add_exception_handler(RequestValidationError, problems.on_invalid)
    _add_layers(app, settings, service.telemetry)
    _add_answers(app)
    _add_operation(app)
    if settings.docs:
        add_docs(app)
    _document(app)
    return app


def _add_layers(app: FastAPI, settings: Settings, telemetry: Telemetry) -> None:
    """What every request passes, the last one first."""
    app.add_middleware(Deadline, seconds=settings.deadline)
    app.add_middleware(Guard, keys=settings.keys, rate=settings.rate, max_body=settings.max_body)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    app.add_middleware(Recorder, telemetry=telemetry)


def _add_answers(app: FastAPI) -> None:
    @app.post("/v1/classify", responses=_ERRORS, tags=["answers"])
    async def classify(request: Request, body: schemas.ClassifyIn, service: Served) -> schemas.ClassifyOut:
        """Say of each utterance which of the model's labels applies, or abstain."""
        predictor = service.predictor
        utterances = [row.utterance() for row in body.utterances]
        explained: Sequence[Explanation | None] = [None] * len(utterances)
        if body.explain:
            found, explained = await service.explain(request, predictor, utterances)
        else:
            found = await service.answer(request, predictor, utterances)
        service.count(found)
        manifest = predictor.model.manifest
        results = [
            _result(row.id, answer, why) for row, answer, why in zip(body.utterances, found, explained, strict=True)
        ]
        return schemas.ClassifyOut(
            model=schemas.ModelName(name=manifest.name, version=manifest.version), results=results
        )

    @app.post("/predict", responses=_ERRORS, tags=["answers"])
    async def predict(request: Request, body: schemas.PredictIn, service: Served) -> list[list[schemas.LabelScore]]:
        """The Inference API's text-classification task: one list of labels and scores for each input, best first."""
        found = await service.answer(request, service.predictor, body.utterances())
        service.count(found)
        top = body.parameters.top_k if body.parameters else None
        return [_ranked(answer.decision)[:top] for answer in found]

    @app.get("/v1/model", responses=documented(401, 503), tags=["answers"])
    async def model(service: Served) -> schemas.ModelOut:
        """What is served: labels with their codebook lines, limits, thresholds, hashes, held-out figures."""
        predictor, settings = service.predictor, service.settings
        manifest, report = predictor.model.manifest, predictor.model.report()
        return schemas.ModelOut(
            name=manifest.name,
            version=manifest.version,
            labels=[schemas.LabelOut(label=label, codebook=manifest.codebook.get(label)) for label in manifest.labels],
            limits={
                "tokens": manifest.max_tokens,
                "utterances": settings.max_rows,
                "explained_utterances": settings.max_explained,
                "characters": settings.max_characters,
                "body_bytes": settings.max_body,
                "runs_a_minute": settings.rate,
            },
            thresholds={
                "in_scope": manifest.calibration.scope_threshold,
                "confidence": manifest.calibration.confidence_threshold,
                "prediction_set": manifest.calibration.set_threshold,
            },
            form=predictor.form.file,
            base_model=manifest.base_model,
            manifest_sha256=predictor.model.manifest_sha256,
            corpus_sha256=manifest.corpus_sha256,
            metrics=report["headline"] if report else None,
        )


def _add_operation(app: FastAPI) -> None:
    @app.get("/health/live", tags=["operation"])
    async def live() -> schemas.Health:
        """The process answers."""
        return schemas.Health(status="live")

    @app.get("/health/ready", responses=documented(503), tags=["operation"])
    async def ready(service: Served) -> schemas.Health:
        """A verified model has answered a warm-up."""
        _ = service.predictor
        return schemas.Health(status="ready")

    @app.get("/metrics", response_class=PlainTextResponse, responses=documented(401), tags=["operation"])
    async def metrics(service: Served) -> PlainTextResponse:
        """Prometheus text format."""
        return PlainTextResponse(service.telemetry.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def openapi_document() -> str:
    """The OpenAPI document under the default settings, as it is committed."""
    settings = Settings()  # pyright: ignore[reportCallIssue]
    return json.dumps(create_app(settings, None).openapi(), indent=2, sort_keys=True) + "\n"


def _document(app: FastAPI) -> None:
    """Put into the OpenAPI document the error shape, in the place of the framework's own, the keys and the limit on rows."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            found = document["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                found.pop(name, None)
            shape = problems.ProblemDetail.model_json_schema(ref_template="#/components/schemas/{model}")
            found.update(shape.pop("$defs"))
            found["ProblemDetail"] = shape
            _document_keys(document)
            _document_rows(found, app.state.service.settings.max_rows)
        assert app.openapi_schema is not None  # noqa: S101 - generated above
        return app.openapi_schema

    app.openapi = openapi


def _document_keys(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for operations in document["paths"].values():
        for operation in operations.values():
            if "401" in operation["responses"]:
                operation["security"] = [{"key": []}, {}]


def _document_rows(found: dict[str, Any], most: int) -> None:
    for name, field in (("ClassifyIn", "utterances"), ("PredictIn", "inputs")):
        shape = found[name]["properties"][field]
        for form in shape.get("anyOf", [shape]):
            if "maxItems" in form:
                form["maxItems"] = most


def _result(row_id: str | None, answer: Answer, why: Explanation | None) -> schemas.ResultOut:
    decision = answer.decision
    return schemas.ResultOut(
        id=row_id,
        label=decision.label,
        scores=schemas.scores_out(decision),
        in_scope=decision.in_scope,
        abstained=decision.reason is not None,
        reason=decision.reason,
        prediction_set=list(decision.prediction_set),
        truncated=answer.truncated,
        clauses=why
        and [
            schemas.ClauseOut(
                start=s.start, end=s.end, label=d.label, scores=schemas.scores_out(d), in_scope=d.in_scope
            )
            for s, d in why.clauses
        ],
        highlights=why and [schemas.HighlightOut(start=s.start, end=s.end, weight=w) for s, w in why.highlights],
    )


def _ranked(decision: Decision) -> list[schemas.LabelScore]:
    pairs = sorted(zip(decision.labels, decision.scores, strict=True), key=lambda pair: -pair[1])
    return [schemas.LabelScore(label=label, score=score) for label, score in pairs]
