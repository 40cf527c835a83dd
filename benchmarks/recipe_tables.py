"""What recipes made, stage by stage, and how far it is from the paper's: tables of Markdown."""

from collections.abc import Mapping
from typing import Any

from benchmarks.tables import markdown_table


def recipe_stages(result: Mapping[str, Any]) -> str:
    """The stages of a recipe's report, with what each made."""
    return markdown_table(
        ["Stage", "Command", "Values", "MB", "EM", "F1", "F1 with answer", "Seconds"],
        [
            [
                stage["name"],
                stage["run"],
                f"{stage['num_parameters']:,}",
                f"{stage['n_bytes'] / 1e6:.1f}",
                *(f"{stage['scores'][key]:.2f}" for key in ("exact", "f1", "HasAns_f1")),
                f"{stage['seconds']:.0f}",
            ]
            for stage in result["stages"]
        ],
    )


def training_steps(result: Mapping[str, Any]) -> str:
    """The stages of a recipe's report, with scores before and after each and what it read."""
    return markdown_table(
        ["Stage", "MB", "F1 before", "EM before", "F1 after", "EM after", "Tokens read", "Seconds"],
        [
            [
                stage["name"],
                f"{stage['n_bytes'] / 1e6:.1f}",
                *(
                    f"{scores[key]:.1f}" if scores else "-"
                    for scores in (stage["before"], stage["scores"])
                    for key in ("f1", "exact")
                ),
                "-" if stage["tokens"] is None else f"{stage['tokens']:,}",
                f"{stage['seconds']:.0f}",
            ]
            for stage in result["stages"]
        ],
    )


def paper_tables(result: Mapping[str, Any]) -> str:
    """What `tools.tables` measured, beside what the paper says."""
    rows = result["rows"]
    asked = {row["scores"]["total"] for row in rows if row["scores"]}
    ours = f"F1/EM, {max(asked):.0f} questions" if asked else "F1/EM"
    return "\n\n".join(
        f"Table {table}:\n\n"
        + markdown_table(
            ["Model", "Values", "MB", "Paper MB", "Off", ours, "Paper F1/EM"],
            [
                [
                    row["name"],
                    f"{(row['num_parameters'] + row['pooler_parameters']) / 1e6:.1f}M",
                    f"{row['with_pooler'] / 1e6:.1f}",
                    f"{row['paper']['megabytes']}",
                    f"{row['with_pooler'] / 1e6 / row['paper']['megabytes'] - 1:+.1%}",
                    _f1_and_exact(row["scores"]),
                    _f1_and_exact(row["paper"]),
                ]
                for row in rows
                if row["table"] == table
            ],
        )
        for table in sorted({row["table"] for row in rows})
    )


def _f1_and_exact(scores: Mapping[str, float] | None) -> str:
    return f"{scores['f1']:.1f}/{scores['exact']:.1f}" if scores else "-"
