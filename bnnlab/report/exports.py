"""Tables for other documents: Markdown, CSV, and LaTeX with booktabs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from bnnlab.report.content import Figure, Section, Table, Text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "–": "--",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "⁶": r"$^6$",
    "…": r"\ldots{}",
    "→": r"$\to$",
}


def to_markdown(question: str, tiles: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The report as GitHub-flavoured Markdown; figures are named and left to the page."""
    parts = [f"# {_inline(question)}", " · ".join(f"{_inline(label)} **{_inline(value)}**" for label, value in tiles)]
    for section in sections:
        parts.append(f"## {_inline(section.title)}")
        for block in section.blocks:
            match block:
                case Text(tone="code"):
                    fence = "`" * max(3, 1 + _longest_run(block.text, "`"))
                    parts.append(f"{fence}yaml\n{block.text.rstrip()}\n{fence}")
                case Text():
                    parts.append(("> " if block.tone != "plain" else "") + _inline(block.text))
                case Table():
                    parts.append(_markdown_table(block))
                case Figure():
                    parts.append(f"*Figure on the page: {_inline(block.title)}.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(table: Table) -> str:
    heads = "| " + " | ".join(_inline(column.title) for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.align == "right" else "---" for column in table.columns) + "|"
    lines = ["| " + " | ".join(_inline(cell.text) for cell in line.cells) + " |" for line in table.lines]
    return "\n".join([heads, rule, *lines]) + f"\n\n{_inline(table.caption)}"


def _inline(text: str) -> str:
    for character in "\\`*_|<[":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _longest_run(text: str, character: str) -> int:
    longest = run = 0
    for found in text:
        run = run + 1 if found == character else 0
        longest = max(longest, run)
    return longest


def to_csv(table: Table) -> str:
    """A table for programs: values in the unit of records (fractions, MiB), and the keys of each line's
    runs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(column.title for column in table.columns), "runs"])
    for line in table.lines:
        values = [cell.text if cell.value is None else cell.value for cell in line.cells]
        writer.writerow([*values, " ".join(line.run_keys)])
    return out.getvalue()


def to_latex(table: Table) -> str:
    """A table as a LaTeX `tabular` with booktabs rules, its caption above it."""
    form = "".join("r" if column.align == "right" else "l" for column in table.columns)
    heads = " & ".join(_latex(column.title) for column in table.columns)
    lines = "\n".join("  " + " & ".join(_latex(cell.text) for cell in line.cells) + r" \\" for line in table.lines)
    return (
        "% needs \\usepackage{booktabs}\n"
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{_latex(table.caption)}}}\n  \\label{{tab:{table.name.replace('_', '-')}}}\n"
        f"  \\begin{{tabular}}{{{form}}}\n  \\toprule\n  {heads} \\\\\n  \\midrule\n{lines}\n  \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
