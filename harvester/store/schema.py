"""The tables, as SQLAlchemy Core sees them; `migrations/` makes them. Why they are so: docs/design/003-store.md."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
    text,
)

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision this version knows, oldest first; the last one is its own."""

PENDING, ANSWERED, FAILED, EXHAUSTED = "pending", "answered", "failed", "exhausted"
"""States of a request. Failed: the same request would fail again. Exhausted: the next run tries again."""

metadata = MetaData()

# The rendered state of a recipe. Rows point at the newest plan that holds them; older rows stay, with their replies.
plans = Table(
    "plans",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("recipe", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("recipe_text", Text, nullable=False),
    Column("created_at", String, nullable=False),
    # Every answered row was judged by these rules, as far as the runs up to `judged_run` answered it.
    Column("judged_rules", String),
    Column("judged_run", Integer),
)

seeds = Table(
    "seeds",
    metadata,
    Column("seed_id", String, primary_key=True),
    Column("data", Text, nullable=False),  # JSON, without the reference
    sqlite_with_rowid=False,
)

# A teacher as it was that day: its terms and price are kept with the replies it gave.
teachers = Table(
    "teachers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("identity", String, nullable=False),
    Column("terms", Text, nullable=False),  # JSON
    Column("price", Text),  # JSON
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),  # the order in which they were planned, and are asked
    Column("key", String, nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),  # packed (packing.py), canonical JSON
    Column("state", String, nullable=False, server_default=PENDING),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reason", Text),  # why it failed
)
# The id is in every SQLite index as its last column, so this one also gives the order in which requests are asked.
Index("requests_open", requests.c.state, sqlite_where=text(f"state <> '{ANSWERED}'"))

OPEN = requests.c.state != literal_column(f"'{ANSWERED}'")
"""The term by which SQLite sees that `requests_open` will do; a bound value would hide it."""

rows = Table(
    "rows",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("row_id", String, nullable=False, unique=True),
    Column("plan_id", ForeignKey("plans.id"), nullable=False),
    Column("position", Integer, nullable=False),  # order of its seed in the plan; of its first ancestor's
    Column("step", String, nullable=False),
    Column("split", String, nullable=False),
    Column("seed_id", ForeignKey("seeds.seed_id"), nullable=False),
    Column("sample", Integer, nullable=False),
    Column("reference", Text),  # JSON; of the row, as two files may hold the same seed
    Column("request_id", ForeignKey("requests.id"), nullable=False),
    Column("parent", ForeignKey("rows.id")),  # the row it was made from; of none where it was made from a seed
    Column("part", Integer, nullable=False, server_default="0"),  # which of the new seeds that its parent gave
    Column("teacher", String, nullable=False, server_default="teacher"),  # who is asked, by the recipe's name for it
)
Index("rows_in_order", rows.c.plan_id, rows.c.position, rows.c.sample)
Index("rows_of_request", rows.c.request_id, rows.c.plan_id)
Index("rows_of_parent", rows.c.parent, sqlite_where=text("parent IS NOT NULL"))

replies = Table(
    "replies",
    metadata,
    Column("request_id", ForeignKey("requests.id"), primary_key=True),
    Column("teacher_id", ForeignKey("teachers.id"), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("raw", LargeBinary, nullable=False),  # packed: the reply's bytes as they came
    Column("sha256", LargeBinary, nullable=False),  # of the bytes as they came
    Column("cost_nusd", BigInteger, nullable=False),
    Column("received_at", String, nullable=False),  # ISO 8601, UTC
    Column("other_model", Text),  # that the reply names, where it is not the one that was asked
    Column("lacks_logprobs", Boolean),  # true, or NULL: it has what was asked for, or nobody looked
)
Index("replies_of_run", replies.c.run_id)
Index("replies_of_other_models", replies.c.other_model, sqlite_where=text("other_model IS NOT NULL"))
Index("replies_lacking_logprobs", replies.c.lacks_logprobs, sqlite_where=text("lacks_logprobs IS NOT NULL"))

# What the rules of the day made of a reply: can be recomputed at any time, kept so that `status` need not.
outcomes = Table(
    "outcomes",
    metadata,
    Column("id", ForeignKey("rows.id"), primary_key=True),  # a number: counting them reads two tables in one order
    Column("rules", String, nullable=False),  # digest of its step's rules
    Column("accepted", Boolean, nullable=False),
    Column("drop_reason", Text),
    Column("score", Float),
    Column("vote", Text),
    Column("checks", Text),  # JSON, where they took long: exporting does not run them again
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("plan_id", ForeignKey("plans.id"), nullable=False),
    Column("recipe", String, nullable=False),
    Column("price", Text),  # JSON, by teacher; what its requests cost, should it be killed
    Column("started_at", String, nullable=False),
    Column("ended_at", String),  # NULL in an ended process: it was killed
    Column("seconds", Integer),
    Column("handed_out", Integer, nullable=False, server_default="0"),  # before schema 0003: the highest request id
    Column("outstanding", Text),  # JSON; ids of requests handed out and not settled at its last commit
    Column("uncertain", Integer, nullable=False, server_default="0"),  # killed: at most so many were sent unanswered
    Column("outcome", Text),
    Column("progress", Text),  # JSON, as the run last reported it
    Column("judged_rules", String),  # every row of its plan that it answered was judged by these rules
)

# Running totals, in the same commit as what they count: what something cost is known without reading the replies.
spending = Table(
    "spending",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("teacher", Text, primary_key=True),  # by name
    Column("answered_nusd", BigInteger, nullable=False),  # what its stored replies cost
    Column("lost_nusd", BigInteger, nullable=False),  # sent, perhaps billed, and nothing was stored for it
    sqlite_with_rowid=False,
)

# A look through a recipe's answers for what should not be trained on; the newest one of a recipe counts.
curations = Table(
    "curations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("recipe", String, nullable=False),
    Column("settings", Text, nullable=False),  # JSON
    Column("made_at", String, nullable=False),  # ISO 8601, UTC
    Column("looked_at", Integer, nullable=False),  # answered rows of train and dev
)

# The rows that the newest curation looked at and would write, and those that it dropped, with the one reason.
curated = Table(
    "curated",
    metadata,
    Column("id", ForeignKey("rows.id"), primary_key=True),
    Column("curation_id", ForeignKey("curations.id"), nullable=False),
    Column("filter", String),
    Column("reason", String),  # NULL: nothing speaks against it
    Column("detail", Text),  # JSON: what was found and where
)
Index("curated_by", curated.c.curation_id)

# Requests that go to a provider's Batch API as one file; the row is there before anything is sent.
batches = Table(
    "batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token", String, nullable=False, unique=True),  # random; the provider's batch bears it
    Column("recipe", String, nullable=False),
    Column("teacher", String, nullable=False),  # by the recipe's name
    Column("teacher_id", ForeignKey("teachers.id"), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),  # that made it
    Column("requests", Integer, nullable=False),
    Column("sha256", String, nullable=False),  # hex, of the file that is uploaded
    Column("worst_nusd", BigInteger, nullable=False),  # held back while it has no end
    Column("created_at", String, nullable=False),  # ISO 8601, UTC
    Column("file_id", String),  # at the provider; NULL: perhaps not uploaded
    Column("batch_id", String),  # at the provider; NULL: perhaps not created
    Column("status", String),  # as the provider last said
    Column("ended_at", String),  # NULL: its requests wait for it
    Column("result", Text),  # JSON: what became of its requests; while it has no end, whether it is given up
)
Index("batches_live", batches.c.recipe, sqlite_where=text("ended_at IS NULL"))

# The requests of batches that have no end yet: nobody else asks for them. And what batches left over that are given up:
# it is asked one by one, and sent in no other batch.
batched = Table(
    "batched",
    metadata,
    Column("request_id", ForeignKey("requests.id"), primary_key=True),
    Column("batch_id", ForeignKey("batches.id"), nullable=False),
)
Index("batched_in", batched.c.batch_id)

# Lines of a batch's output that belong to none of its requests, or to one that has its answer.
quarantined = Table(
    "quarantined",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", ForeignKey("batches.id"), nullable=False),
    Column("custom_id", Text),
    Column("why", String, nullable=False),
    Column("raw", LargeBinary, nullable=False),  # packed
    Column("sha256", LargeBinary, nullable=False),
)
Index("quarantined_once", quarantined.c.batch_id, quarantined.c.sha256, unique=True)

# What requests or replies have in common: many of them cannot be unpacked without, so each is there twice.
dictionaries = Table(
    "dictionaries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False),  # by which what is packed names it
    Column("holds", String, nullable=False),  # "requests" or "replies"
    Column("data", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
)
