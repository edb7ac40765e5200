"""Bodies of requests and answers."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from asif_data.encoding import Utterance
from asif_serve.decision import Decision, Reason

# Past it a list is refused unread: naming what is wrong with each of a million rows would take a minute and gigabytes.
MOST_ROWS = 4096


def _is_unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected text that UTF-8 can hold, found half of a surrogate pair") from None
    return value


def _has_words(value: str) -> str:
    if not value.strip():
        raise ValueError("expected words, found only white space")
    return value


AnyText = Annotated[str, AfterValidator(_is_unicode)]
ShortText = Annotated[str, Field(max_length=200), AfterValidator(_is_unicode)]
Text = Annotated[AnyText, AfterValidator(_has_words), Field(json_schema_extra={"pattern": r"\S"})]


class Strict(BaseModel):
    """A body that refuses fields it does not know, and guesses at no value: 0 is not false."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _unknown_fields_count_as_one(cls, value: Any) -> Any:
        """Keep one unknown field of many: it is enough to refuse the body, and thousands would take seconds to name."""
        if not isinstance(value, dict) or len(value) <= len(cls.model_fields):
            return value
        unknown = next(name for name in value if name not in cls.model_fields)
        return {name: value[name] for name in (*cls.model_fields, unknown) if name in value}


class UtteranceIn(Strict):
    """A counselor's utterance, with the client's utterance before it where it is known."""

    text: Text = Field(description="the counselor's utterance", examples=["It sounds like you felt utterly abandoned."])
    context: AnyText | None = Field(
        None, description="the client's utterance before it", examples=["He left without a word."]
    )
    id: ShortText | None = Field(None, description="given back as it came")

    def utterance(self) -> Utterance:
        """What the model reads."""
        return Utterance(self.text, self.context)


class ClassifyIn(Strict):
    """A batch of utterances."""

    utterances: list[UtteranceIn] = Field(min_length=1, max_length=MOST_ROWS)
    explain: bool = Field(False, description="also say which clauses and words decided; costs a model run a word")


class ClauseOut(BaseModel):
    """One clause, judged by itself. Offsets count characters (code points) of the text, the end excluded."""

    start: int
    end: int
    label: str | None
    scores: dict[str, float]
    in_scope: float


class HighlightOut(BaseModel):
    """A word that moved the decision: `weight` is how much of its probability goes when the word is taken out."""

    start: int
    end: int
    weight: float


class ResultOut(BaseModel):
    """The answer to one utterance."""

    id: str | None
    label: str | None = Field(description="null where the model abstains")
    scores: dict[str, float] = Field(description="calibrated, sum to 1 over the labels")
    in_scope: float = Field(ge=0, le=1, description="probability that one of the labels applies")
    abstained: bool
    reason: Reason | None
    prediction_set: list[str] = Field(description="holds the true label with 95 % coverage among utterances in scope")
    truncated: bool = Field(description="part of the input did not fit and was not read")
    clauses: list[ClauseOut] | None
    highlights: list[HighlightOut] | None


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class ClassifyOut(BaseModel):
    """One result for each utterance, in their order."""

    model: ModelName
    results: list[ResultOut]


class TextPair(Strict):
    """One input of /predict with its context."""

    text: Text
    text_pair: AnyText | None = None


class PredictParameters(Strict):
    """Parameters of the text-classification task."""

    top_k: int | None = Field(None, ge=1, description="give only the best labels")
    function_to_apply: str | None = Field(None, pattern="^softmax$", description="softmax, the only one")


class PredictIn(Strict):
    """The text-classification task of the Inference API."""

    inputs: Text | TextPair | Annotated[list[Text | TextPair], Field(min_length=1, max_length=MOST_ROWS)]
    parameters: PredictParameters | None = None

    def utterances(self) -> list[Utterance]:
        """One utterance an input."""
        inputs = self.inputs if isinstance(self.inputs, list) else [self.inputs]
        return [Utterance(i) if isinstance(i, str) else Utterance(i.text, i.text_pair) for i in inputs]


class LabelScore(BaseModel):
    """One label of an answer to /predict."""

    label: str
    score: float


class LabelOut(BaseModel):
    """A label and what the codebook says of it; null for a label of other data."""

    label: str
    codebook: str | None


class ModelOut(ModelName):
    """What is served: labels, limits, thresholds, hashes and headline figures."""

    labels: list[LabelOut]
    limits: dict[str, int]
    thresholds: dict[str, float]
    form: str
    base_model: str
    manifest_sha256: str
    corpus_sha256: str
    metrics: dict[str, dict[str, Any]] | None = Field(
        description="held-out figures with 95 % intervals; null before an evaluation"
    )


class Health(BaseModel):
    """Whether the server lives, or is ready to answer."""

    status: str


def scores_out(decision: Decision) -> dict[str, float]:
    """Scores by label."""
    return dict(zip(decision.labels, decision.scores, strict=True))
