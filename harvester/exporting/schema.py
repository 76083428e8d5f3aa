"""The dataset's columns: the contract with finetune (docs/design/005-dataset.md)."""

import pyarrow as pa

_TOKEN = pa.struct(
    [
        ("bytes", pa.binary()),
        ("logprob", pa.float32()),
        ("top", pa.struct([("bytes", pa.list_(pa.binary())), ("logprob", pa.list_(pa.float32()))])),
    ]
)

_TERMS = pa.struct([(name, pa.string()) for name in ("teacher", "id", "verdict", "as_of", "basis", "accepted_by")])

_CHECK = pa.struct([("name", pa.string()), ("params", pa.string()), ("passed", pa.bool_()), ("reason", pa.string())])

SCHEMA = pa.schema(
    [
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("tools", pa.string()),
        ("reasoning", pa.string()),
        ("logprobs", pa.list_(_TOKEN)),
        ("sampling", pa.string()),
        ("row_id", pa.string()),
        ("request_key", pa.string()),
        ("seed_id", pa.string()),
        ("seed", pa.string()),
        ("sample", pa.int32()),
        ("step", pa.string()),
        ("recipe", pa.string()),
        ("teacher", pa.string()),
        ("model", pa.string()),
        ("provider", pa.string()),
        ("terms", pa.list_(_TERMS)),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("cost_usd", pa.float64()),
        ("score", pa.float64()),
        ("checks", pa.list_(_CHECK)),
        ("accepted", pa.bool_()),
        ("drop_reason", pa.string()),
        ("reference", pa.string()),
        ("collected_at", pa.timestamp("us", tz="UTC")),
    ]
)
