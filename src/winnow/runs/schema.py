"""The tables of a store. What is written here is what the migrations build; a test compares the two.

Text that a model or a user wrote is kept as JSON, which can hold every character on every database. Times are seconds
since 1970 (UTC) and stand only where no ledger is read from: in sessions, locks and the making of a run.

    runs          one row a run: everything that names it (settings) and how it stands
    sessions      one row a process that worked on a run: when, where, with which code, and how it ended
    locks         who works on a run now
    requests      what was asked: key = sha256 of body, body = backend and request as one JSON object
    replies       what was answered, with the sha256 of the body
    steps         the k-th request of a run
    rounds        one row a round: its record (winnow.adaption.ledger names the keys)
    individuals   one row an answer
    lineage       child, parent, share
    accepted      what selection kept: by which evaluator's verdict, made in which context
    notes         all other notes a program gave
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

LATEST = "0002"  # the newest migration
KNOWN = ("0001", "0002")
VERSION_TABLE = "winnow_schema"

metadata = MetaData()


def _run() -> Column[str]:
    return Column("run", String(16), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("settings", Text, nullable=False),  # JSON: what the id is the hash of
    Column("source", Text, nullable=False),  # JSON: how the model was loaded and by which command, for resume
    Column("status", String(16), nullable=False),  # running, done, limit, interrupted, failed
    Column("message", Text, nullable=False),  # how it ended, in words
    Column("created", Double, nullable=False),
    Column("parent", String(16)),  # the run it was derived from
    Column("removed", Text),  # JSON: [{"item", "why", "descendants"}] taken out of the parent
)
sessions = Table(
    "sessions",
    metadata,
    _run(),
    Column("number", Integer, primary_key=True),
    Column("provenance", Text, nullable=False),  # JSON
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("outcome", String(16)),  # None while it works, and for ever when it was killed
    Column("asked", BigInteger, nullable=False),
    Column("replayed", BigInteger, nullable=False),
)
locks = Table(
    "locks",
    metadata,
    _run(),
    Column("token", String(32), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot", Text, nullable=False),  # boot id and process namespace: where the pid means something
    Column("born", Text, nullable=False),  # when the process began, in the kernel's ticks
    Column("since", Double, nullable=False),
    Column("heartbeat", Double, nullable=False),
)
requests = Table(
    "requests",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("body", Text, nullable=False),
)
replies = Table(
    "replies",
    metadata,
    Column("key", String(64), ForeignKey("requests.key"), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("new_tokens", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
steps = Table(
    "steps",
    metadata,
    _run(),
    Column("number", Integer, primary_key=True),
    Column("key", String(64), ForeignKey("requests.key"), nullable=False),
    Index("steps_by_key", "key"),
)
rounds = Table(
    "rounds", metadata, _run(), Column("number", Integer, primary_key=True), Column("record", Text, nullable=False)
)
individuals = Table(
    "individuals",
    metadata,
    _run(),
    Column("number", Integer, primary_key=True),
    Column("round", Integer, nullable=False),
    Column("item", Text, nullable=False),  # JSON: [query, answer]
    Column("score", Double),
    Column("parts", Text, nullable=False),  # JSON
    Column("survival", Double, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("logprob", Double, nullable=False),
    Column("finish", String(16), nullable=False),
    Column("parents", Text, nullable=False),  # JSON: numbers of the answers in its context, in the order they stood
    Index("individuals_by_round", "run", "round"),
)
lineage = Table(
    "lineage",
    metadata,
    _run(),
    Column("child", Integer, primary_key=True),
    Column("parent", Integer, primary_key=True),
    Column("share", Double, nullable=False),
    ForeignKeyConstraint(["run", "child"], ["individuals.run", "individuals.number"], ondelete="CASCADE"),
)
accepted = Table(
    "accepted",
    metadata,
    _run(),
    Column("number", Integer, primary_key=True),
    Column("evaluator", Text, nullable=False),
    Column("context", String(64), nullable=False),  # sha256 of the context it was made in
    ForeignKeyConstraint(["run", "number"], ["individuals.run", "individuals.number"], ondelete="CASCADE"),
)
notes = Table(
    "notes",
    metadata,
    _run(),
    Column("number", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("info", Text, nullable=False),  # JSON, with the cost so far
)
