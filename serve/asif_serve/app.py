"""The HTTP app: its layers and endpoints."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from asif_serve import openapi, problems, schemas
from asif_serve.call import Recorder
from asif_serve.deadline import Deadline
from asif_serve.decision import Decision
from asif_serve.docs import add_docs
from asif_serve.explain import Explanation
from asif_serve.guard import Guard
from asif_serve.predictor import Predictor
from asif_serve.problems import Problem, documented
from asif_serve.rate import Bucket, make_buckets
from asif_serve.service import Service
from asif_serve.settings import Settings
from asif_serve.telemetry import Telemetry
from asif_serve.work import Answer

_ERRORS = documented(401, 408, 413, 415, 422, 429, 503)


async def service_of(request: Request) -> Service:
    """Dependency: the service of the app that answers. Async, or it would cost a thread hop a request."""
    return request.app.state.service


Served = Annotated[Service, Depends(service_of)]


def create_app(
    settings: Settings,
    predictor: Predictor | None,
    *,
    follow: bool = False,
    buckets: Mapping[str | None, Bucket] | None = None,
) -> FastAPI:
    """The app over a verified predictor; with None it lives but is not ready.

    With `follow` the model that `settings.model` names is put into service whenever that is another one. `buckets` are
    those of the callers, where several processes share them.
    """
    service = Service(settings, predictor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        beat = asyncio.create_task(service.beat(follow))
        yield
        beat.cancel()
        await service.close()

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
    if buckets is None:
        buckets = make_buckets(settings.keys, settings.rate)
    _add_layers(app, settings, buckets, service.telemetry)
    _add_answers(app)
    _add_operation(app)
    if settings.docs:
        add_docs(app)
    openapi.complete(app, settings.max_rows)
    return app


def _add_layers(app: FastAPI, settings: Settings, buckets: Mapping[str | None, Bucket], telemetry: Telemetry) -> None:
    """What every request passes, the last one first: recorded, let in, timed."""
    app.add_middleware(Deadline, seconds=settings.deadline)
    app.add_middleware(Guard, keys=settings.keys, buckets=buckets, max_body=settings.max_body)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    app.add_middleware(Recorder, telemetry=telemetry)


def openapi_document() -> str:
    """The OpenAPI document under the default settings, as it is committed."""
    settings = Settings()  # pyright: ignore[reportCallIssue]
    return json.dumps(create_app(settings, None).openapi(), indent=2, sort_keys=True) + "\n"


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
        manifest = predictor.model.manifest
        results = [
            _result(row.id, answer, why) for row, answer, why in zip(body.utterances, found, explained, strict=True)
        ]
        return schemas.ClassifyOut(
            model=schemas.ModelName(name=manifest.name, version=manifest.version), results=results
        )

    @app.post("/predict", responses=_ERRORS, tags=["answers"])
    async def predict(request: Request, body: schemas.PredictIn, service: Served) -> list[list[schemas.LabelScore]]:
        """The Inference API's text-classification task: one list of labels and scores for each input, best first.

        That task knows no abstaining: there are scores also where /v1/classify would say that no label applies.
        """
        found = await service.answer(request, service.predictor, body.utterances())
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
                "tokens_a_minute": settings.rate,
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
