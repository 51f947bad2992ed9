"""Hooks of Schemathesis: who sends each case, which ids it names, and counts of what was answered."""

import atexit
import collections
import json
import os
import random
import threading

import schemathesis

with open(os.environ["TOLLGATE_FUZZ_CALLERS"]) as file:
    CALLERS = json.load(file)

DRAW = random.Random(CALLERS["seed"])
ANSWERS: collections.Counter = collections.Counter()

# Half of the cases are one account’s, whose writes therefore meet their rate limits.
BUSY_SHARE = 0.5
# One case in twenty has no key, and as many have a key of each kind that the route may refuse.
SHARES = {"none": 0.05, "inference": 0.05, "management": 0.05, "token": 0.05}
# Most names of models, and half of the ids, are real ones of the same account, so that more than 404 is seen.
REAL_MODEL_SHARE = 0.8
REAL_ID_SHARE = 0.5
# A run prints how far it is from the counts of so many cases ago, at most.
SAVED_EVERY = 500


def kind_for(path):
    """The kind of key: mostly one that the route accepts."""
    drawn = DRAW.random()
    for kind, share in SHARES.items():
        if drawn < share:
            return kind
        drawn -= share
    return "management" if path.startswith("/v1/keys") else DRAW.choice(["inference", "inference", "token"])


@schemathesis.hook
def before_call(ctx, case, kwargs):
    accounts = CALLERS["accounts"]
    account = accounts[0] if DRAW.random() < BUSY_SHARE else DRAW.choice(accounts)
    secret = account.get(kind_for(case.operation.path))
    for name in ("Authorization", "x-api-key"):
        case.headers.pop(name, None)
    if secret is not None:
        case.headers["Authorization"] = f"Bearer {secret}"
    name_real_things(case, account["ids"])


def name_real_things(case, ids):
    own = ids.get(case.operation.path.strip("/").split("/")[1]) if "{id}" in case.operation.path else None
    if own and DRAW.random() < REAL_ID_SHARE:
        case.path_parameters["id"] = DRAW.choice(own)
    if not isinstance(case.body, dict):
        return
    if isinstance(case.body.get("model"), str) and DRAW.random() < REAL_MODEL_SHARE:
        case.body["model"] = "deepseek-reasoner"
    if isinstance(case.body.get("input_file_id"), str) and DRAW.random() < REAL_ID_SHARE:
        case.body["input_file_id"] = DRAW.choice(ids["files"])


@schemathesis.hook
def after_call(ctx, case, response):
    ANSWERS[f"{case.operation.method.upper()} {case.operation.path} {response.status_code}"] += 1
    if ANSWERS.total() % SAVED_EVERY == 0:
        save()


@atexit.register
def save():
    """Writes the counts; a reader never sees half of them."""
    path = os.environ["TOLLGATE_FUZZ_ANSWERS"]
    written = f"{path}.{threading.get_ident()}"
    with open(written, "w") as file:
        json.dump(ANSWERS.copy(), file)
    os.replace(written, path)
