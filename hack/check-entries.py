#!/usr/bin/env python3
"""Checks test vectors of docs/entry.md without any code of Holdfast: check-entries.py docs/entry-vectors.json"""
import base64, datetime, hashlib, json, sys, uuid

MEMBERS = {"event", "final", "id", "kind", "phase", "previousHash", "record", "recordedTime", "salt", "schemaVersion", "sequence", "source"}


def canonical(value):
    # RFC 8785 for what the vectors have: no number but integers, and names whose UTF-16 order is that of their code points.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def identify(uid, created, sequence):
    ms = int(datetime.datetime.fromisoformat(created).timestamp() * 1000)
    raw = bytearray(ms.to_bytes(6, "big") + hashlib.sha256(f"{uid}/{sequence}".encode()).digest()[:10])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def check(vector):
    outbox, previous = vector["outbox"], ""
    for i, text in enumerate(outbox["entries"]):
        entry, sequence = json.loads(text), outbox["lastSequence"] - len(outbox["entries"]) + 1 + i
        assert set(entry) - {"traceparent"} == MEMBERS, "members"
        assert canonical(entry) == text, "canonical form"
        assert entry["sequence"] == sequence and entry["previousHash"] == previous, "chain"
        assert entry["id"] == identify(entry["source"]["uid"], vector["created"], sequence), "id"
        assert len(base64.urlsafe_b64decode(entry["salt"] + "==")) == 16, "salt"
        previous = hashlib.sha256(text.encode()).hexdigest()
    assert previous == outbox["headHash"], "head"


for vector in json.load(open(sys.argv[1], encoding="utf-8")):
    try:
        check(vector)
        result = "good"
    except (AssertionError, ValueError, KeyError) as error:
        result = str(error)
    print(f"{vector['name']}: {result}")
    if (result == "good") != vector["good"]:
        sys.exit(f"{vector['name']}: expected {'a good chain' if vector['good'] else 'a fault'}")
