"""A model on disk: the trees in XGBoost's own UBJSON and a card in plain JSON, and nothing that
runs code when it is read."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cdp_lib.checks import Refusal
from cdp_lib.customers.features import Feature
from cdp_lib.predict.calibration import Calibration
from cdp_lib.predict.columns import Columns
from cdp_lib.predict.logistic import Logistic
from cdp_lib.predict.propensity import FORMAT, Propensity
from cdp_lib.predict.trees import library

CARD, TREES = "card.json", "trees.ubj"


def save(model: Propensity, folder: str | Path) -> Path:
    """Write a model into a new folder, in one step. Out: the folder.

    A model that is there already is replaced; any other folder is refused. The same model gives
    the same bytes.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / CARD).is_file():
        raise Refusal("folder", str(folder), "exists and holds no model", "name another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    written = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        text = json.dumps(_plain(model.card), indent=1, ensure_ascii=False, allow_nan=False)
        (written / CARD).write_text(text + "\n", encoding="utf-8")
        if model.booster is not None:
            (written / TREES).write_bytes(model.booster.save_raw("ubj"))
        old = folder.with_name(f"{written.name}.old")
        if folder.exists():
            os.replace(folder, old)
        os.replace(written, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return folder


def load(
    folder: str | Path, features: Sequence[Feature] | None = None, threads: int = 2
) -> Propensity:
    """Read a model that `save` wrote; it predicts bit for bit as it did.

    features: those of the profile that is to be scored, if known: a column that is missing there,
    or of another kind, is refused by name. Raises Refusal for a folder without a model, a card of
    another format, and trees that do not fit the card.
    """
    folder = Path(folder)
    place = str(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refusal("folder", place, f"no readable {CARD}: {error}", "save a model") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise Refusal("format", found, f"this version reads format {FORMAT}", "fit the model again")
    try:
        columns = Columns.from_card(card["features"])
        used = tuple(
            Feature(
                f["name"], f["meaning"], f["unit"], f["source"], f["group"], f["kind"], f["dated"]
            )
            for f in card["features"]
        )
        linear = None if card["logistic"] is None else Logistic.from_card(card["logistic"])
        booster = _trees(folder, card, columns)
        model = Propensity(
            winner=card["winner"],
            verdict=card["verdict"],
            reason=card["reason"],
            n_needed=card["n_needed"],
            features=used,
            columns=columns,
            booster=booster,
            linear=linear,
            calibration=Calibration(**card["calibration"]),
            base_rate=card["base_rate"],
            card=card,
            threads=threads,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Refusal("card", place, f"is not whole: {error}", "save the model again") from error
    if model.winner not in ("constant", "logistic") and booster is None:
        raise Refusal("folder", place, f"{TREES} is missing", "save the model again")
    if features is not None:
        check_fits(model, features)
    return model


def check_fits(model: Propensity, features: Sequence[Feature]) -> None:
    """Refuse a profile that lacks a column of the model, or has it in another kind."""
    there = {feature.name: feature.kind for feature in features}
    for name, kind in zip(model.columns.names, model.columns.kinds, strict=True):
        if name not in there:
            raise Refusal(
                "features", name, "the model needs it and the profile lacks it",
                "add the table it comes from, or fit again",
            )  # fmt: skip
        if there[name] != kind:
            raise Refusal(
                "features", name, f"is a {there[name]} now, and was a {kind} at the fit",
                "fit again",
            )  # fmt: skip


def _trees(folder: Path, card: dict, columns: Columns):
    if card["trees"] is None or not (folder / TREES).is_file():
        return None
    xgb = library()
    booster = xgb.Booster()
    try:
        booster.load_model(bytearray((folder / TREES).read_bytes()))
    except xgb.core.XGBoostError as error:
        said = str(error).strip().splitlines()[-1]
        raise Refusal(TREES, str(folder), f"cannot be read: {said}", "save the model again") from (
            error
        )
    if booster.num_boosted_rounds() != card["trees"]["n_trees"]:
        raise Refusal(
            TREES, booster.num_boosted_rounds(),
            f"the card says {card['trees']['n_trees']} trees", "save the model again",
        )  # fmt: skip
    names = tuple(booster.feature_names or ())
    for ours, theirs in zip(columns.names, (*names, *[None] * len(columns.names)), strict=False):
        if ours != theirs:
            raise Refusal(TREES, theirs, f"the card has {ours!r} there", "save the model again")
    return booster


def _plain(value):
    """JSON has no NaN: an undefined number is null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
