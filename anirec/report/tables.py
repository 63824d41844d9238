"""A leaderboard as a table: on the terminal with as many metrics as fit, in Markdown with the first few."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from anirec.report import numbers as cells
from anirec.report.leaderboard import Leaderboard, Row

FLOOR = "best reachable"
GAP = 2
MODEL_SHARE = 0.3
MARKDOWN_METRICS = 6


@dataclass(frozen=True)
class Column:
    """A heading, one cell a row, which of them are best, and the cell of the best reachable value."""

    heading: str
    cells: list[str]
    best: list[bool]
    floor: str = ""

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.heading, self.floor, *self.cells))


def columns(board: Leaderboard, others: Sequence[str]) -> list[Column]:
    """Model, the metric sorted by with its interval, the other metrics, and what the runs cost."""
    return [
        plain_column(board, "model", lambda row: row.group.label, floor=FLOOR),
        metric_column(board, board.metric, sorted_by=True),
        interval_column(board),
        *(metric_column(board, name) for name in others),
        plain_column(board, "runs", lambda row: str(row.n_runs)),
        plain_column(board, "time", lambda row: cells.duration(row.cost.get("wall_seconds"))),
        plain_column(board, "memory", lambda row: cells.memory(row.cost.get("peak_memory_mb"))),
    ]


def plain_column(board: Leaderboard, heading: str, cell: Callable[[Row], str], floor: str = "") -> Column:
    return Column(heading, [cell(row) for row in board.rows], [False] * len(board.rows), floor)


def metric_column(board: Leaderboard, name: str, *, sorted_by: bool = False) -> Column:
    """Means; of the metric sorted by also deviations and the best reachable value."""
    places = places_of(board, name)
    best = board.best(name)
    return Column(
        cells.heading(name),
        [cells.spread(row.mean.get(name), row.std.get(name) if sorted_by else None, places) for row in board.rows],
        [best is not None and row.mean.get(name) == best for row in board.rows],
        cells.number(board.floor, places) if sorted_by and board.floor is not None else "",
    )


def interval_column(board: Leaderboard) -> Column:
    places = places_of(board, board.metric)
    return plain_column(board, "95% interval", lambda row: cells.interval(row.interval.get(board.metric), places))


def places_of(board: Leaderboard, name: str) -> int:
    return cells.decimals(row.mean[name] for row in board.rows if name in row.mean)


def terminal_table(board: Leaderboard, width: int) -> Table:
    """At most `width` characters wide; a long model name breaks over lines, all else stays whole."""
    chosen = fitting_columns(board, width)
    table = Table(title=Text(board.title, style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD)
    table.show_edge = table.pad_edge = False
    table.padding = (0, GAP - 1, 0, 0)  # the box adds one
    table.add_column(chosen[0].heading, max_width=max(1, room_for_model(chosen, width)), overflow="fold")
    for column in chosen[1:]:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in range(len(board.rows)):
        marked = (Text(column.cells[row], style="bold" if column.best[row] else "") for column in chosen)
        table.add_row(*marked, end_section=row == len(board.rows) - 1)
    if board.floor is not None:
        table.add_row(*(column.floor for column in chosen), style="dim")
    return table


def fitting_columns(board: Leaderboard, width: int) -> list[Column]:
    """Leave out other metrics, the last ones first, until the rest fits with model names broken between words."""
    for n in range(len(board.others), 0, -1):
        chosen = columns(board, board.others[:n])
        longest_word = max(cell_len(word) for label in chosen[0].cells for word in label.split())
        if min(longest_word, int(width * MODEL_SHARE)) <= room_for_model(chosen, width):
            return chosen
    return columns(board, [])


def room_for_model(chosen: list[Column], width: int) -> int:
    return width - sum(GAP + column.width for column in chosen[1:])


def markdown_table(board: Leaderboard) -> str:
    """A GitHub table under its title."""
    chosen = columns(board, board.others[:MARKDOWN_METRICS])
    lines = [[column.heading for column in chosen], ["---", *["---:"] * (len(chosen) - 1)]]
    for row in range(len(board.rows)):
        lines.append([f"**{column.cells[row]}**" if column.best[row] else column.cells[row] for column in chosen])
    if board.floor is not None:
        lines.append([column.floor for column in chosen])
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "\n".join([f"### {board.title}", "", *(f"| {line} |" for line in escaped), ""])
