"""Who runs after whom, as a tree of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def tree(lines: list[str]) -> Iterator[str]:
    """What `graph/csv` answers, drawn: below each job those that run after it. One with several parents is below each of
    them, and what is below itself is shown once only.
    """
    notes: dict[str, str] = {}
    children: dict[str, list[str]] = {}
    with_parents: set[str] = set()
    for line in lines:
        # Names have no commas.
        kind, first, *rest = line.split(",")
        if kind == "node":
            notes[first] = _note(*rest)
        else:
            children.setdefault(first, []).append(rest[0])
            with_parents.add(rest[0])
    shown: set[str] = set()
    for name in notes:
        if name not in with_parents:
            yield f"{name}{notes[name]}"
            yield from _below(name, "", children, notes, shown)


def _below(
    name: str, indent: str, children: Mapping[str, list[str]], notes: Mapping[str, str], shown: set[str]
) -> Iterator[str]:
    """Without recursion: chains may be longer than Python's stack."""
    shown.add(name)
    left = [(indent, child, child == children[name][-1]) for child in reversed(children.get(name, []))]
    while left:
        indent, child, is_last = left.pop()
        again = child in shown and child in children
        yield f"{indent}{'└─ ' if is_last else '├─ '}{child}{' …' if again else notes[child]}"
        if again:
            continue
        shown.add(child)
        deeper = indent + ("   " if is_last else "│  ")
        below = children.get(child, [])
        left += [(deeper, one, one == below[-1]) for one in reversed(below)]


def _note(status: str, state: str) -> str:
    """`fresh` and `idle` go without saying."""
    told = [one for one in (status, state) if one not in ("fresh", "idle")]
    return f"  ({', '.join(told)})" if told else ""
