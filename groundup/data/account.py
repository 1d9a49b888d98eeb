"""What became of the documents of each source, read from a corpus's report.json, whatever of it is there."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.report.reading import NOTHING, Row, finite, mapping, number, total, words

SPLITS = ("train", "valid", "test")
STAGES = {
    "read": "reading",
    "filter": "rules",
    "exact": "exact duplicates",
    "near": "near-duplicates",
    "leak": "leaks",
}
STAGE = {"unreadable": "read", "empty": "read", "exact-duplicate": "exact", "near-duplicate": "near", "leak": "leak"}


@dataclass(frozen=True)
class Volume:
    """Documents and their bytes; not-a-number where that is not known."""

    documents: float = NOTHING
    bytes: float = NOTHING

    @classmethod
    def of(cls, row: Row) -> "Volume":
        return cls(number(row, "documents"), number(row, "bytes"))


def volumes(parts: Sequence[Volume]) -> Volume:
    return Volume(total(part.documents for part in parts), total(part.bytes for part in parts))


@dataclass(frozen=True)
class Account:
    """Of one source, or of several together."""

    name: str
    read: Volume
    pieces: float
    """Documents after long ones were cut."""
    removed: dict[str, Volume]
    """By reason, in the order of the stages."""
    kept: dict[str, Volume]
    """By split."""
    counted: bool = True
    """Whether it is on record what was removed, be it nothing."""

    @property
    def gone(self) -> Volume:
        nothing = Volume(0, 0) if self.counted else Volume()
        return volumes(list(self.removed.values())) if self.removed else nothing

    @property
    def stays(self) -> Volume:
        return volumes(list(self.kept.values()))

    @property
    def cleaned(self) -> float:
        """Bytes by which cleaning made the text shorter (or, if negative, longer) inside the documents."""
        return self.read.bytes - self.gone.bytes - self.stays.bytes

    def at(self, report: Row, stage: str) -> dict[str, Volume]:
        """What a stage removed, by reason."""
        return {reason: volume for reason, volume in self.removed.items() if stage_of(report, reason) == stage}


def stage_of(report: Row, reason: str) -> str:
    """The stage at which documents leave for a reason: one of `STAGES`."""
    stated = words(mapping(mapping(report, "reasons"), reason), "stage")
    return stated if stated in STAGES else STAGE.get(reason, "filter")


def accounts(report: Row) -> list[Account]:
    """One for each source, in the recipe's order."""
    sources = mapping(report, "sources")
    reasons = list(dict.fromkeys([*mapping(report, "reasons"), *STAGE]))
    return [_account(report, name, mapping(sources, name), reasons) for name in sources]


def _account(report: Row, name: str, source: Row, reasons: list[str]) -> Account:
    removed, kept = mapping(source, "removed"), mapping(source, "kept")
    known = [reason for reason in dict.fromkeys([*reasons, *removed]) if reason in removed]
    known.sort(key=lambda reason: list(STAGES).index(stage_of(report, reason)))
    return Account(
        name,
        Volume.of(mapping(source, "read")),
        number(source, "pieces"),
        {reason: Volume.of(mapping(removed, reason)) for reason in known},
        {split: Volume.of(mapping(kept, split)) for split in dict.fromkeys([*SPLITS, *kept])},
        "removed" in source,
    )


def together(report: Row, name: str, parts: Sequence[Account]) -> Account:
    """The sum of several accounts."""
    reasons = list(dict.fromkeys(reason for part in parts for reason in part.removed))
    reasons.sort(key=lambda reason: list(STAGES).index(stage_of(report, reason)))
    splits = dict.fromkeys(split for part in parts for split in part.kept)
    return Account(
        name,
        volumes([part.read for part in parts]),
        total(part.pieces for part in parts),
        {reason: volumes([part.removed[reason] for part in parts if reason in part.removed]) for reason in reasons},
        {split: volumes([part.kept[split] for part in parts if split in part.kept]) for split in splits},
        all(part.counted for part in parts),
    )


def amount(volume: Volume) -> float:
    """Bytes as the height of a band: 0 where they are not known, or make no sense."""
    return max(0.0, finite(volume.bytes, 0.0))
