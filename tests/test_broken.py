"""Tables that cannot be used: each says which column, which rows and what to do."""

import math
from pathlib import Path

import pandas as pd
import pytest
from tables import frame

from forescale.errors import DataError
from forescale.tables.observations import Observations

BROKEN = Path(__file__).parent / "broken"

# What each broken file must be told: the column or file, the rows, the remedy.
BROKEN_SAYS = {
    "billions_twice": ["n_params", "'Params (B)'", "row 1 (1e+17)", "Rename the header"],
    "bits": ["'loss_bits'", "loss_unit='bits'"],
    "bits_per_byte": ["'val_bpb'", "loss_unit='bits-per-byte'", "bytes_per_token="],
    "decimal_comma": [
        "Column loss",
        "row 1 ('3,1'), row 2 ('3,0'), row 3 ('2,8')",
        "point as the decimal mark",
    ],
    "duplicate_runs": ["Column run", "'alpha' in row 1, row 3", "columns={'run': None}", "columns={'family'"],
    "flops_disagree": [
        "flops",
        "run 'beta' (2)",
        "ratio is 2",
        "flops_tolerance",
        "{'flops': None}",
        "6ND+attention",
    ],
    "in_billions": ["n_params (header 'Model Size')", "below one: run 'alpha' (0.1), run 'beta' (0.2)", "'params (B)'"],
    "infinite_loss": ["Column loss", "run 'beta' ('inf')"],
    "long_row": ["long_row.csv", "line 3", "as many cells in every row"],
    "missing_cell": ["Column n_tokens", "1 missing: run 'beta'", "Fill", "columns={'n_tokens': None}"],
    "missing_family": ["Column family", "row 2", "columns={'family': None}"],
    "missing_loss": ["Column loss", "1 missing: row 2", "Fill"],
    "missing_run": ["Column run", "row 2", "columns={'run': None}"],
    "negative_loss": ["Column loss", "above zero", "run 'gamma' (-2.8)", "Correct"],
    "negative_params": ["Column n_params", "above zero", "row 1 (-1e+08)", "Correct"],
    "no_bytes": ["no_bytes.csv", "one line of headers"],
    "no_header": ["'1e8', '2e9', '3.1'", "looks like data", "line of names"],
    "no_input": ["loss and at least one numeric input", "n_params"],
    "no_loss": ["loss", "'n_params', 'n_tokens', 'accuracy'", "columns={'loss': '...'}"],
    "no_rows": ["no runs"],
    "not_a_number": ["Column n_params", "row 2 ('about 200M')", "70B"],
    "not_utf8": ["not_utf8.csv", "UTF-8"],
    "perplexity": ["'Perplexity'", "loss_unit='perplexity'"],
    "perplexity_as_loss": ["Column loss", "13.8", "row 1 (22.2)", "loss_unit='perplexity'"],
    "repeated_header": ["'loss'", "rename"],
    "semicolons": ["'n_params;n_tokens;loss'", "commas"],
    "short_row": ["Column loss", "row 2"],
    "two_headers": ["'N' and 'Model Size'", "n_params", "columns={'n_params': 'N'}"],
    "two_losses": ["'train_loss' and 'val_loss'", "columns={'loss':"],
    "units_row": ["Row 1", "'billions', 'billions', 'nats'", "Delete it", "'tokens (B)'"],
    "zero_loss_se": ["Column loss_se", "'stderr'", "row 2 (0)"],
    "zero_tokens": ["Column n_tokens", "row 3 (0)"],
}


def test_every_broken_file_has_its_message():
    assert {path.stem for path in BROKEN.glob("*.csv")} == set(BROKEN_SAYS)


@pytest.mark.parametrize("name", BROKEN_SAYS)
def test_broken_file_is_refused_by_name_row_and_remedy(name):
    with pytest.raises(DataError) as caught:
        Observations.read(BROKEN / f"{name}.csv")
    message = str(caught.value)
    assert [part for part in BROKEN_SAYS[name] if part not in message] == [], message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bits", {"loss_unit": "bits"}),
        ("bits_per_byte", {"loss_unit": "bits-per-byte", "bytes_per_token": 4.3}),
        ("duplicate_runs", {"columns": {"run": None}}),
        ("duplicate_runs", {"columns": {"family": "model"}}),
        ("flops_disagree", {"flops_tolerance": 1.0}),
        ("flops_disagree", {"columns": {"flops": None}}),
        ("missing_cell", {"columns": {"n_tokens": None}}),
        ("missing_family", {"columns": {"family": None}}),
        ("missing_run", {"columns": {"run": None}}),
        ("perplexity", {"loss_unit": "perplexity"}),
        ("perplexity_as_loss", {"loss_unit": "perplexity"}),
        ("no_loss", {"columns": {"loss": "accuracy"}}),
        ("two_headers", {"columns": {"n_params": "N"}}),
        ("two_losses", {"columns": {"loss": "val_loss"}}),
    ],
)
def test_the_remedy_named_works(name, options):
    assert len(Observations.read(BROKEN / f"{name}.csv", **options)) == 3


def test_at_most_five_rows_are_named():
    bad = pd.DataFrame({"n_params": ["x"] * 17 + [1e8], "loss": 3.0})
    with pytest.raises(DataError, match=r"row 1 .*row 5 \('x'\) \.\.\. and 12 more\."):
        Observations.from_frame(bad)


@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv", "runs.parquet", "runs.xlsx", "runs", "folder.csv"])
def test_unreadable_files_are_data_errors(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=name):
        Observations.read(tmp_path / name)


def test_damaged_parquet_is_a_data_error(tmp_path):
    (tmp_path / "runs.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="runs.parquet"):
        Observations.read(tmp_path / "runs.parquet")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss_unit": "dB"}, "'nats', 'bits', 'bits-per-byte', 'perplexity'"),
        ({"loss_unit": "bits-per-byte"}, "bytes_per_token"),
        ({"bytes_per_token": 4.0}, "go together"),
        ({"loss_unit": "bits-per-byte", "bytes_per_token": 0.0}, "positive"),
        ({"flops_tolerance": -0.1}, "flops_tolerance"),
        ({"flops_tolerance": math.nan}, "flops_tolerance"),
        ({"cost": "5ND"}, "6ND"),
        ({"counts_embeddings": "yes"}, "counts_embeddings"),
        ({"columns": {"params": "n_params"}}, "not one of n_params"),
        ({"columns": {"n_params": "Params"}}, "'n_params', 'n_tokens', 'loss'"),
        ({"columns": {"n_params": "n_tokens", "n_tokens": "n_tokens"}}, "more than one column"),
    ],
)
def test_wrong_options_are_refused(options, says):
    with pytest.raises(DataError, match=says):
        Observations.from_frame(frame(), **options)


@pytest.mark.parametrize("missing", [None, math.nan, pd.NA, "", "n/a", " NaN "], ids=repr)
def test_every_kind_of_missing_is_missing(missing):
    with pytest.raises(DataError, match="n_tokens.*1 missing: row 2"):
        Observations.from_frame(frame(n_tokens=pd.Series([1e9, missing, 2e9, 3e9], dtype=object)))
