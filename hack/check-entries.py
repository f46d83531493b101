#!/usr/bin/env python3
"""Checks test vectors of docs/entry.md without any code of Holdfast: check-entries.py docs/entry-vectors.json"""
import datetime, hashlib, json, re, sys, uuid

MEMBERS = {"event", "final", "id", "kind", "phase", "previousHash", "record", "recordedTime", "salt", "schemaVersion", "sequence", "source"}


class Fault(Exception):
    pass


def require(holds, what):
    if not holds:
        raise Fault(what)


def canonical(value):
    # RFC 8785 for what the vectors have: names sorted by UTF-16 code units, and floats only where Python writes them as ECMAScript does.
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(json.dumps(n, ensure_ascii=False) + ":" + canonical(value[n]) for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


def identify(uid, created, sequence):
    ms = int(datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)
    raw = bytearray(ms.to_bytes(6, "big") + hashlib.sha256(f"{uid}/{sequence}".encode()).digest()[:10])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def check(vector):
    outbox, previous = vector["outbox"], None
    for i, text in enumerate(outbox["entries"]):
        entry, sequence = json.loads(text), outbox["lastSequence"] - len(outbox["entries"]) + 1 + i
        require(set(entry) - {"traceparent"} == MEMBERS, "members")
        require(canonical(entry) == text, "canonical form")
        require(entry["sequence"] == sequence, "sequence")
        require(entry["source"]["uid"] == vector["uid"], "source")
        require(previous in (None, entry["previousHash"]) and (entry["previousHash"] == "") == (sequence == 1), "chain")
        require(entry["id"] == identify(vector["uid"], vector["created"], sequence), "id")
        require(re.fullmatch(r"[A-Za-z0-9_-]{21}[AQgw]", entry["salt"]), "salt")
        require(1 <= entry["schemaVersion"] <= 32767, "schemaVersion")
        require(entry["final"] == (outbox["closed"] and sequence == outbox["lastSequence"]), "final")
        previous = hashlib.sha256(text.encode()).hexdigest()
    require(previous == outbox["headHash"], "head")


for vector in json.load(open(sys.argv[1], encoding="utf-8")):
    try:
        check(vector)
        result = "good"
    except (Fault, ValueError, KeyError, TypeError) as error:
        result = str(error)
    print(f"{vector['name']}: {result}")
    if (result == "good") != vector["good"]:
        sys.exit(f"{vector['name']}: expected {'a good chain' if vector['good'] else 'a fault'}")
