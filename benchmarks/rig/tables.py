"""Lay raw records out as markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median
from typing import Any

from rig.figures import Mean, auc_of, bootstrap_mean, f1_of, oracle_of, streams

Record = dict[str, Any]
STREAM, STREAM_BAD, STREAMS = 300, 21, 500
HOW = {
    "input": "arrays of the input's size",
    "original": "arrays of the original size",
    "files": "JPEG files, decoding included",
}


def page(records: Sequence[Record], facts: dict[str, Any]) -> list[str]:
    """Return every table that there are records for, ready for a page."""
    lines = [*about(facts)]
    for title, parts, make in SECTIONS:
        here = [record for record in records if record["part"] in parts]
        if here:
            lines += ["", f"### {title}", "", *make(here, records)]
    return lines


def about(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what it was measured with."""
    on = facts["machine"]
    yield f"{on['cpu']}, {on['cpus']} CPUs, {facts['threads']} threads; {on['system']}, Python {on['python']}."
    for program in ("ours", "peer"):
        if program in facts:
            yield f"{program}: " + ", ".join(f"{k} {v}" for k, v in facts[program].items() if k != "from") + "."
    yield "Load average (1 minute) before and after each part: " + ", ".join(f"{p} {x}" for p, x in facts["load"]) + "."


# Parts a and g


def verdict_lines(records: Sequence[Record], _: Sequence[Record]) -> Iterator[str]:
    """Yield the table of verdicts, and what ours and the peer differ by on the same splits."""
    yield from head(
        "set", "program", "input", "F1, published", "resplits", "F1, their mean", "ROC AUC, their mean",
        "best F1 (oracle), their mean", "train s", "CPU s", "threshold s", "peak MB", "",
    )  # fmt: skip
    for (name, program), group in grouped(records, lambda record: (record["set"], called(record))):
        done = [record for record in group if "scores" in record]
        published = [record for record in done if record["published"]]
        again = [record for record in done if not record["published"]]
        yield row(
            name, program, size(done), each(published, f1_of), len(again), bootstrap_mean(map(f1_of, again)),
            bootstrap_mean(map(auc_of, again)), bootstrap_mean(map(oracle_of, again)), *used(done), stopped(group),
        )  # fmt: skip
    yield ""
    yield from differences(records)


def differences(records: Sequence[Record]) -> Iterator[str]:
    """Yield how ours and the peer differ on the splits that both were measured on."""
    done = [record for record in records if record["part"] == "a" and "scores" in record]
    peers = {(record["set"], record["split"]): record for record in done if record["program"] == "peer"}
    ours = [record for record in done if record["program"] == "ours"]
    for (name, program), group in grouped(ours, lambda record: (record["set"], called(record))):
        pairs = [(one, peers[name, one["split"]]) for one in group if (name, one["split"]) in peers]
        again = [(one, peer) for one, peer in pairs if not one["published"]]
        if pairs:
            f1 = bootstrap_mean(f1_of(one) - f1_of(peer) for one, peer in again)
            auc = bootstrap_mean(auc_of(one) - auc_of(peer) for one, peer in again)
            yield (
                f"- {name}, {program} minus peer on the same {len(again)} resplits: F1 {signed(f1)}, "
                f"ROC AUC {signed(auc)}; training, {faster(pairs)}"
            )


# Parts b and d


def painting_lines(records: Sequence[Record], _: Sequence[Record]) -> Iterator[str]:
    """Yield the table of painted types: each split's IoU, and the mean of types and of splits."""
    yield from head(
        "program", "input", "type", "IoU, pooled: each split", "mean", "IoU, per image: each split", "mean",
        "test images", "train s", "CPU s", "peak MB", "",
    )  # fmt: skip
    for (program,), group in grouped(records, lambda record: (called(record),)):
        done = [record for record in group if "types" in record]
        types = sorted({kind for record in done for kind in record["types"]})
        for kind in types:
            here = [record["types"][kind] for record in done if kind in record["types"]]
            told = ", ".join(str(one["images"]) for one in here)
            pooled, mean = ([one[key] for one in here] for key in ("pooled", "mean"))
            yield row(program, size(done), kind, *spread(pooled), *spread(mean), f"{told} with it", *[""] * 4)
        pooled, mean = ([types_mean(record, key) for record in done] for key in ("pooled", "mean"))
        seconds, cpu, _threshold, peak = used(done)
        yield row(
            program, size(done), f"mean of {len(types)}", *spread(pooled), *spread(mean),
            ", ".join(str(record["images"]) for record in done), seconds, cpu, peak, stopped(group),
        )  # fmt: skip


def types_mean(record: Record, key: str) -> float:
    """Return the mean over the types of one split."""
    return float(sum(one[key] for one in record["types"].values())) / max(1, len(record["types"]))


# Part c


def normal_only_lines(records: Sequence[Record], _: Sequence[Record]) -> Iterator[str]:
    """Yield the table of models that saw normal images alone."""
    yield from head(
        "program", "input", "ROC AUC", "pixel ROC AUC", "F1", "best F1 (oracle)", "train s", "CPU s", "threshold s",
        "peak MB", "",
    )  # fmt: skip
    for (program,), group in grouped(records, lambda record: (called(record),)):
        done = [record for record in group if "scores" in record]
        yield row(
            program, size(done), each(done, auc_of), each(done, lambda record: float(record["pixel_auc"])),
            each(done, f1_of), each(done, oracle_of), *used(done), stopped(group),
        )  # fmt: skip


# Part e


def stream_lines(records: Sequence[Record], every: Sequence[Record]) -> Iterator[str]:
    """Yield the table of streams; the peer's scores are those of part a, where that was run."""
    yield from head(
        "program", "told the share", "splits", "F1: mean of streams (95 % of them)", "calibration error, mean"
    )
    peer = [r for r in every if r["part"] == "a" and r["set"] == "aliens" and r["program"] == "peer" and r["published"]]
    both = [*records, *peer]
    for (program, share), group in grouped(
        both, lambda record: (called(record), str(record.get("prevalence") or "no"))
    ):
        if any("unsupported" in record for record in group):
            yield row(program, share, "this version's `vt.train` has no `prevalence`", "", "")
            continue
        done = [record for record in group if record.get("called") is not None]
        drawn = [streams(record, images=STREAM, anomalies=STREAM_BAD, count_of=STREAMS) for record in done]
        f1 = sorted(value for one in drawn for value in one["f1"])
        error = [value for one in drawn for value in one["ece"]]
        if f1:
            low, high = f1[int(0.025 * len(f1))], f1[int(0.975 * len(f1))]
            told = f"{sum(f1) / len(f1):.3f} ({low:.3f}–{high:.3f})"
            sure = f"{sum(error) / len(error):.3f}" if error else "scores are no probabilities"
            yield row(program, share, len(drawn), told, sure)


# Part f


def speed_lines(records: Sequence[Record], _: Sequence[Record]) -> Iterator[str]:
    """Yield the tables of images a second, and of memory and fitting."""
    (record,) = records
    programs = list(record["fits"])
    yield f"Input {record.get('height', '?')}x{record.get('width', '?')}, heat maps included."
    yield ""
    yield from head(
        "images given as", "at once", *(f"{name}, images/s" for name in programs), "ours / peer (range)",
        *(f"{name}, images per CPU s" for name in programs), "ours / peer (range)",
    )  # fmt: skip
    for how, batch in dict.fromkeys((told["how"], told["batch"]) for told in record["rates"]):
        here = [told for told in record["rates"] if (told["how"], told["batch"]) == (how, batch)]
        cells: list[str] = []
        for clock in ("seconds", "cpu_seconds"):
            rates = {
                name: [told["count"] / told[clock] for told in here if told["program"] == name] for name in programs
            }
            pairs = zip(rates["ours"], rates.get("peer", []), strict=False)
            cells += [f"{median(rates[name]):.0f}" if rates[name] else "–" for name in programs]
            cells.append(ratios([one / peer for one, peer in pairs]))
        yield row(HOW[how], batch, *cells)
    yield ""
    yield from head(
        "program", "fit s", "fit CPU s", "peak MB of the first fit", "predicting 500 files: peak MB", "images/s", ""
    )
    for program in programs:
        fits = [fit for fit in record["fits"][program] if "seconds" in fit]
        fresh = record["memory"].get(program)
        told = (f"{fresh['peak_mb']:.0f}", f"{fresh['count'] / fresh['seconds']:.0f}") if fresh else ("–", "–")
        first = f"{fits[0]['peak_mb']:.0f}" if fits else "–"
        why = stopped(record["fits"][program])
        yield row(program, number(fits, "seconds"), number(fits, "cpu_seconds"), first, *told, why)
    both = list(zip(record["fits"]["ours"], record["fits"].get("peer", []), strict=False))
    if both and all("seconds" in peer for _ours, peer in both):
        yield from ("", f"- fitting, {faster(both)}")


SECTIONS: list[tuple[str, str, Callable[[Sequence[Record], Sequence[Record]], Iterator[str]]]] = [
    ("Verdict: normal or anomaly (a, g)", "ag", verdict_lines),
    ("Cracks painted (b)", "b", painting_lines),
    ("Magnetic tiles, trained on normal images alone (c)", "c", normal_only_lines),
    ("Five types painted on magnetic tiles (d)", "d", painting_lines),
    ("Aliens as a stream of 300 images, 7 % anomalies (e)", "e", stream_lines),
    ("Speed and memory (f)", "f", speed_lines),
]


# Cells


def called(record: Record) -> str:
    """Return what a row is called."""
    if record["program"] == "peer":
        return f"anomalib PatchCore, coreset {record['ratio']:g}"
    own = ", own backbone" if record["part"] == "g" else ""
    return f"ours, {record['preset']}{own}"


def grouped(records: Iterable[Record], key: Callable[[Record], tuple[str, ...]]) -> Iterator[tuple[Any, list[Record]]]:
    """Yield records of one key together, in the order of their first appearance."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    yield from found.items()


def head(*titles: str) -> Iterator[str]:
    """Yield the two first lines of a table."""
    yield row(*titles)
    yield "|" + "---|" * len(titles)


def row(*cells: object) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def stopped(records: Iterable[Record]) -> str:
    """Return why a program was ended, where one was."""
    found = {record[key] for record in records for key in ("stopped", "threshold_stopped") if key in record}
    return "; ".join(sorted(found))


def size(records: Sequence[Record]) -> str:
    """Return the input sizes."""
    return ", ".join(sorted({f"{record['height']}x{record['width']}" for record in records}))


def each(records: Sequence[Record], figure: Callable[[Record], float]) -> str:
    """Return the mean over splits, each where there are several, and the number of test images of one."""
    values = [figure(record) for record in records]
    if not values:
        return "–"
    several = f"{', '.join(f'{value:.3f}' for value in values)}; " if len(values) > 1 else ""
    return f"{sum(values) / len(values):.3f} ({several}n={len(records[0]['truth'])})"


def spread(values: Sequence[float]) -> tuple[str, str]:
    """Return each value, and their mean."""
    mean = f"{sum(values) / len(values):.3f}" if values else "–"
    return ", ".join(f"{value:.3f}" for value in values), mean


def used(records: Sequence[Record]) -> tuple[str, str, str, str]:
    """Return seconds and CPU seconds of a training, seconds of a threshold of its own, and peak of memory."""
    peak = f"{max(record['peak_mb'] for record in records):.0f}" if records else "–"
    return number(records, "seconds"), number(records, "cpu_seconds"), number(records, "threshold_seconds"), peak


def number(records: Sequence[Record], key: str) -> str:
    """Return the median of a figure where it is known."""
    values = [record[key] for record in records if key in record]
    return f"{median(values):.1f}" if values else "–"


def ratios(values: Sequence[float]) -> str:
    """Return the median of ratios, with the lowest and the highest."""
    return f"{median(values):.1f} ({min(values):.1f}–{max(values):.1f})" if values else "–"


def faster(pairs: Sequence[tuple[Record, Record]]) -> str:
    """Return how many times as long the second of each pair took as the first."""
    wall, cpu = ([peer[key] / one[key] for one, peer in pairs] for key in ("seconds", "cpu_seconds"))
    return f"peer / ours: {ratios(wall)} in seconds, {ratios(cpu)} in CPU seconds"


def signed(mean: Mean) -> str:
    """Return a mean difference with its interval."""
    return f"{mean.value:+.3f} ({mean.low:+.3f} to {mean.high:+.3f})" if mean.n else "–"
