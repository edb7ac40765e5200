"""The HTTP app: endpoints over one predictor."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from opentelemetry import context, trace
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from asif_data.encoding import Encoded, Utterance
from asif_data.labels import CODEBOOK_LINES
from asif_serve import problems, schemas
from asif_serve.call import Recorder, spend
from asif_serve.decision import Decision
from asif_serve.docs import add_docs
from asif_serve.explain import Explanation, cost, explain
from asif_serve.guard import Guard
from asif_serve.predictor import Predictor
from asif_serve.problems import Problem, documented
from asif_serve.settings import Settings
from asif_serve.telemetry import Telemetry
from asif_serve.tracing import tracer_provider
from asif_serve.work import WorkQueue

_ERRORS = documented(401, 413, 415, 422, 429, 503)


class Service:
    """What the endpoints share: the predictor, the queue, the settings, the metrics."""

    def __init__(self, settings: Settings, predictor: Predictor | None) -> None:
        self.settings = settings
        self.queue = WorkQueue(settings.threads, settings.queue_rows)
        self.tracing = tracer_provider()
        tracer = self.tracing and trace.get_tracer("asif", tracer_provider=self.tracing)
        self.telemetry = Telemetry(lambda: self.queue.pending, tracer)
        self._predictor = predictor
        if predictor:
            self.telemetry.model(predictor.model.manifest.version)

    @property
    def predictor(self) -> Predictor:
        """The verified model. Raises Problem 503 while there is none."""
        if self._predictor is None:
            raise Problem(503, "No model is ready to answer yet.", headers={"Retry-After": "1"})
        return self._predictor

    async def answer(self, utterances: Sequence[Utterance]) -> list[tuple[Encoded, Decision]]:
        """Encode and decide, off the event loop."""
        predictor = self.predictor
        self._check(utterances)
        spend(len(utterances), rows=len(utterances))
        telemetry, traced = self.telemetry, context.get_current()

        def work(part: Sequence[Utterance]) -> list[tuple[Encoded, Decision]]:
            with telemetry.stage("tokenization", traced):
                encoded = predictor.encoder(part)
            with telemetry.stage("inference", traced):
                return list(zip(encoded, predictor.decide(encoded), strict=True))

        found = await self.queue.map(work, utterances, len(utterances))
        telemetry.decisions([decision for _, decision in found], sum(encoded.truncated for encoded, _ in found))
        return found

    async def explain(self, utterances: Sequence[Utterance], decisions: Sequence[Decision]) -> list[Explanation]:
        """Explain decisions, off the event loop."""
        predictor = self.predictor
        pairs = list(zip(utterances, decisions, strict=True))
        runs = sum(cost(utterance.text) for utterance in utterances)
        spend(runs)
        return await self.queue.map(lambda part: [explain(u, d, predictor) for u, d in part], pairs, runs)

    def _check(self, utterances: Sequence[Utterance]) -> None:
        if len(utterances) > self.settings.max_rows:
            raise problems.too_many(self.settings.max_rows)
        most = self.settings.max_characters
        if any(len(u.text) > most or len(u.context or "") > most for u in utterances):
            raise Problem(413, f"Expected at most {most} characters in one text or context.")


async def service_of(request: Request) -> Service:
    """Dependency: the service of the app that answers."""
    return request.app.state.service


Served = Annotated[Service, Depends(service_of)]


def create_app(settings: Settings, predictor: Predictor | None) -> FastAPI:
    """The app over a verified predictor; with None it lives but is not ready."""
    service = Service(settings, predictor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.queue.close()
        if service.tracing:
            service.tracing.shutdown()

    app = FastAPI(
        title="asif",
        version="1",
        description="Tells empathy, sympathy and over-identification apart in counselor utterances, and knows when none applies.",
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
    async def classify(body: schemas.ClassifyIn, service: Served) -> schemas.ClassifyOut:
        """Say of each utterance whether it is empathy, sympathy or over-identification, or abstain."""
        most = service.settings.max_explained
        if body.explain and len(body.utterances) > most:
            raise Problem(413, f"Expected at most {most} utterances in one request with explain.")
        utterances = [row.utterance() for row in body.utterances]
        found = await service.answer(utterances)
        explained: list[Explanation | None] = [None] * len(found)
        if body.explain:
            explained = [*await service.explain(utterances, [decision for _, decision in found])]
        manifest = service.predictor.model.manifest
        results = [
            _result(row.id, encoded, decision, why)
            for row, (encoded, decision), why in zip(body.utterances, found, explained, strict=True)
        ]
        return schemas.ClassifyOut(
            model=schemas.ModelName(name=manifest.name, version=manifest.version), results=results
        )

    @app.post("/predict", responses=_ERRORS, tags=["answers"])
    async def predict(body: schemas.PredictIn, service: Served) -> list[list[schemas.LabelScore]]:
        """The Inference API's text-classification task: one list of labels and scores for each input, best first."""
        found = await service.answer(body.utterances())
        top = body.parameters.top_k if body.parameters else None
        return [_ranked(decision)[:top] for _, decision in found]

    @app.get("/v1/model", responses=documented(401, 503), tags=["answers"])
    async def model(service: Served) -> schemas.ModelOut:
        """What is served: labels with their codebook lines, limits, thresholds, hashes, held-out figures."""
        predictor, settings = service.predictor, service.settings
        manifest, report = predictor.model.manifest, predictor.model.report()
        return schemas.ModelOut(
            name=manifest.name,
            version=manifest.version,
            labels=[schemas.LabelOut(label=label, codebook=CODEBOOK_LINES.get(label)) for label in manifest.labels],
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


def _result(row_id: str | None, encoded: Encoded, decision: Decision, why: Explanation | None) -> schemas.ResultOut:
    return schemas.ResultOut(
        id=row_id,
        label=decision.label,
        scores=schemas.scores_out(decision),
        in_scope=decision.in_scope,
        abstained=decision.reason is not None,
        reason=decision.reason,
        prediction_set=list(decision.prediction_set),
        truncated=encoded.truncated,
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
