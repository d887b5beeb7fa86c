"""The Markdown pages of `docs/errors`, generated from the table of rules. A test keeps them up to date."""

from __future__ import annotations

from lsu_onto.diagnostics import RULES, Rule

_GROUPS = {
    "0": "The text",
    "1": "Identity",
    "2": "References",
    "3": "Relations",
    "4": "Maps that disagree",
    "9": "Changes between versions",
}


def error_pages() -> dict[str, str]:
    """File name → Markdown: one page per rule, and `README.md`, the index.

    >>> error_pages()["TAX306.md"].splitlines()[0]
    '# TAX306: relations contradict each other'
    """
    pages = {f"{rule.code}.md": _page(rule) for rule in RULES.values()}
    index = [
        "# Diagnostics",
        "",
        "`lsu-onto docs` generates these pages from the rules. `lsu-onto explain CODE` prints the same text on a"
        " terminal.",
        "",
    ]
    for digit, title in _GROUPS.items():
        index += [f"## {digit}xx: {title}", "", "| code | severity | finding |", "|---|---|---|"]
        index += [
            f"| [{r.code}]({r.code}.md) | {r.severity} | {r.title} |" for r in RULES.values() if r.code[3] == digit
        ]
        index.append("")
    pages["README.md"] = "\n".join(index)
    return pages


def _page(rule: Rule) -> str:
    return (
        f"# {rule.code}: {rule.title}\n\nSeverity: {rule.severity}. {rule.why}\n\n"
        f"Bad:\n\n```\n{rule.bad}\n```\n\nGood:\n\n```\n{rule.good}\n```\n"
    )
