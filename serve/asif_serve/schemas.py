"""Bodies of requests and answers."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from asif_data.encoding import Utterance
from asif_serve.decision import Decision, Reason


def _is_unicode(value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("expected text that UTF-8 can hold, found half of a surrogate pair")
    return value


def _has_words(value: str) -> str:
    if not value.strip():
        raise ValueError("expected words, found only white space")
    return value


AnyText = Annotated[str, AfterValidator(_is_unicode)]
Text = Annotated[AnyText, AfterValidator(_has_words)]


class Strict(BaseModel):
    """A body that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid")


class UtteranceIn(Strict):
    """A counselor's utterance, with the client's utterance before it where it is known."""

    text: Text = Field(description="the counselor's utterance", examples=["It sounds like you felt utterly abandoned."])
    context: AnyText | None = Field(
        None, description="the client's utterance before it", examples=["He left without a word."]
    )
    id: AnyText | None = Field(None, max_length=200, description="given back as it came")

    def utterance(self) -> Utterance:
        """What the model reads."""
        return Utterance(self.text, self.context)


class ClassifyIn(Strict):
    """A batch of utterances."""

    utterances: list[UtteranceIn] = Field(min_length=1)
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

    inputs: Text | TextPair | Annotated[list[Text | TextPair], Field(min_length=1)]
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
