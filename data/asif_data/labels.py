"""The labels of the codebook, in the order of the model's outputs."""

LABELS = ("empathy", "sympathy", "over-identification")
NONE = "none"
MARKS = (*LABELS, NONE)

CODEBOOK_VERSION = "1.1"
CODEBOOK_LINES = {
    "empathy": "Speaks from the client's experience, as if from inside, and leaves it with the client.",
    "sympathy": "Speaks from the counselor's own reaction to the client's situation: pity, consolation, reassurance.",
    "over-identification": "Speaks from the counselor's own experience, merged with the client's.",
    "none": "Answers no inner experience: questions, facts, advice, small talk, backchannels.",
}
