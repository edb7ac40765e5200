"""Tables: what goes into a cell."""

from asif_train.tables import Grid, baseline_name, lowest_topics


def topic(rows: int, accuracy: float) -> dict:
    estimate = {"value": accuracy, "low": float("nan"), "high": float("nan"), "rows": rows}
    names = ("macro-F1", "in-scope AUROC", "accuracy incl. none")
    return {"rows": rows, "in_scope_rows": rows} | dict.fromkeys(names, estimate)


def test_words_do_not_break_a_markdown_table() -> None:
    grid = Grid("errors", ("row", "words"), [("a", "either | or\nboth <b>")])
    assert grid.markdown() == "| row | words |\n| --- | --- |\n| a | either \\| or both &lt;b> |"


def test_brackets_in_a_cell_are_no_markup_for_the_terminal() -> None:
    cells = Grid("errors", ("words",), [("[red]tearful[/red]",)]).rich().columns[0].cells
    assert list(cells) == ["\\[red]tearful\\[/red]"]


def test_the_lowest_topics_are_those_with_enough_rows() -> None:
    topics = {"few": topic(9, 0.1), "low": topic(10, 0.5), "high": topic(30, 0.9), "middle": topic(10, 0.6)}
    found = lowest_topics({"slices": {"topic": topics}}, 2)
    assert [row[0] for row in found.rows] == ["low", "middle"]
    assert found.rows[0][1:] == ("10", "10", "0.500", "0.500", "0.500")
    assert not lowest_topics({"slices": {}}).rows


def test_a_baseline_is_named_with_what_it_sees_where_that_is_not_all() -> None:
    names = [baseline_name({"name": "TF-IDF", "view": v}) for v in ("utterance and client's turn", "utterance alone")]
    assert names == ["TF-IDF", "TF-IDF, utterance alone"]
    assert baseline_name({"name": "majority", "view": None}) == "majority"
