"""How sound files are spoiled: bytes, numbers and words at which readers break, by the format of the file."""

import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Numbers as files hold them, and values as JSON does, at which readers break.
INTEGERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63))


WORDS = (
    "nan",
    "inf",
    "-inf",
    "0",
    "-1",
    "1e308",
    "1e-320",
    "9" * 400,
    "0.5",
    "",
    "x",
    "../../x",
    "/etc/passwd",
    "\0",
    "é",
)


VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "\0", "../..", "x" * 5000, [], {}, [[]], [None], {"a": {}}, 10**400, -(10**400)),
    *(0, -1, 1, 0.5, 2**31, 2**64, 1e308, 1e-320, float("nan"), float("inf"), float("-inf"), [1e308, 1], "\ud800"),
)


def spoiled(name: str, data: bytes, rng: random.Random) -> bytes:
    """`data` of a file called `name`, with one to four things wrong with it."""
    suffix = Path(name).suffix.lower()
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        ways: list[Callable[[bytes, random.Random], bytes]] = [_bytes]
        if suffix in BY_SUFFIX and rng.random() < 0.6:
            ways = list(BY_SUFFIX[suffix])
        elif b"\0" not in data and rng.random() < 0.7:
            ways = [_text]
        try:
            data = rng.choice(ways)(data, rng)
        except Exception:  # what is spoiled already is no more what its suffix says
            data = _bytes(data, rng)
    return data


def _bytes(data: bytes, rng: random.Random) -> bytes:
    """Bits turned, numbers put in, pieces lost, doubled or moved, the end cut off."""
    at = rng.randrange(len(data)) if data else 0
    at = rng.randrange(min(len(data), 256)) if data and rng.random() < 0.4 else at  # headers come first
    some = rng.randrange(1, 1 + max(1, len(data) // 8))
    number, width = rng.choice(INTEGERS), rng.choice((1, 2, 4, 8))
    put = (number % 2 ** (8 * width)).to_bytes(width, rng.choice(("little", "big")))
    turned = bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1])
    return rng.choice(
        (
            data[:at] + turned + data[at + 1 :],
            data[:at] + put + data[at + width :],
            data[:at],
            data[:at] + data[at + some :],
            data[: at + some] + data[at:],
            data[:at] + rng.randbytes(min(some, 64)) + data[at:],
            data[:at] + bytes(some) + data[at + some :],
        )
    )


def _text(data: bytes, rng: random.Random) -> bytes:
    """Words replaced, lines lost, doubled and exchanged, another coding."""
    lines = data.decode("latin-1").split("\n")
    n = rng.randrange(len(lines))
    way = rng.randrange(6)
    if way <= 2:
        words = lines[n].split(" ")
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        lines[n] = " ".join(words)
    elif way == 3:
        lines[n : n + 1] = rng.choice(([], [lines[n]] * 2, [""], ["x" * 5000]))
    elif way == 4:
        rng.shuffle(lines)
    else:
        coding = rng.choice(("utf-8-sig", "utf-16", "utf-32", "utf-16-be"))
        return "\n".join(lines).encode(coding)
    return "\n".join(lines).encode("latin-1", "replace")


def _json(data: bytes, rng: random.Random) -> bytes:
    """A value somewhere in it replaced, lost or wrapped."""
    content = json.loads(data)
    if rng.random() < 0.05:
        return rng.choice(("[", '{"a":', '{"kind":[')).encode() * rng.choice((70, 1000, 100_000))
    boxes = [content]
    for box in boxes:
        inner = box.values() if isinstance(box, dict) else box if isinstance(box, list) else ()
        boxes += [value for value in inner if isinstance(value, dict | list) and value]
    box = rng.choice(boxes)
    if not box or not isinstance(box, dict | list):
        return json.dumps(rng.choice(VALUES)).encode()
    key: Any = rng.choice(list(box)) if isinstance(box, dict) else rng.randrange(len(box))
    if rng.random() < 0.15:
        del box[key]
    elif rng.random() < 0.1:
        box[key] = [box[key]] * rng.choice((1, 2, 2000))
    else:
        box[key] = rng.choice(VALUES)
    return json.dumps(content, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _png(data: bytes, rng: random.Random) -> bytes:
    """One chunk spoiled, its checksum right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    n = rng.randrange(len(chunks))
    chunks[n] = (chunks[n][0], _bytes(chunks[n][1], rng))
    if rng.random() < 0.2:
        rng.shuffle(chunks)
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _npy(data: bytes, rng: random.Random) -> bytes:
    """The header's text spoiled, its length right; or other numbers."""
    start = 10 + int.from_bytes(data[8:10], "little")
    header, body = data[10:start], data[start:]
    if rng.random() < 0.4:
        value = rng.choice((np.nan, np.inf, -np.inf, 0, -1, 1e38, 1e-45, 3e38))
        numbers = np.frombuffer(body[: len(body) // 4 * 4], "<f4").copy()
        numbers[rng.randrange(len(numbers)) :: rng.choice((1, 1000))] = value
        return data[:start] + numbers.tobytes()
    shape = rng.choice(
        ("(24, 32L)", "(-24, 32)", "(0, 0)", "(16000, 16000)", "(99999999999, 9)", "(True, 32)", "768", "(24, 32")
    )
    kind = rng.choice(("'<f8'", "'|O'", "'<U9'", "[('a', '<f4')]", "'>f2'", "'|b1'", "'<c8'", "'x'", "'|V1000000'"))
    text = header.decode("latin-1").strip()
    text = rng.choice(
        (text.replace("(24, 32)", shape), text.replace("'<f4'", kind), _text(header, rng).decode("latin-1"))
    )
    header = text.encode("latin-1", "replace")
    return data[:8] + struct.pack("<H", len(header) % 65536) + header + body


def _zip(data: bytes, rng: random.Random) -> bytes:
    """The members packed again: another method, another name, one spoiled, one more."""
    result = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    n = rng.randrange(len(members))
    members[n] = (members[n][0], spoiled(members[n][0], members[n][1], rng))
    if rng.random() < 0.2:
        members.append((rng.choice(("more.npy", "../more.npy", "depth.npy", "x")), rng.choice(members)[1]))
    way = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(result, "w", way) as new:
        for name, content in dict(members).items():
            new.writestr(name, content)
    return _bytes(result.getvalue(), rng) if rng.random() < 0.3 else result.getvalue()


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """The table of tensors spoiled, its length right."""
    end = 8 + int.from_bytes(data[:8], "little")
    table = _json(data[8:end], rng)
    return len(table).to_bytes(8, "little") + table + data[end:]


def _state(data: bytes, rng: random.Random) -> bytes:
    """The state of a run with a value somewhere in it replaced or lost."""
    values = torch.load(BytesIO(data), weights_only=True)
    boxes = [values]
    for box in boxes:
        boxes += [
            inner
            for inner in (box.values() if isinstance(box, dict) else box)
            if isinstance(inner, dict | list) and inner
        ]
    box = rng.choice(boxes)
    key = rng.choice(list(box)) if isinstance(box, dict) else rng.randrange(len(box))
    wrong = (
        *(value for value in VALUES if value != "\ud800"),
        torch.zeros(2),
        torch.tensor(torch.nan),
        torch.zeros(0, 3),
    )
    if rng.random() < 0.2:
        del box[key]
    else:
        box[key] = rng.choice(wrong)
    result = BytesIO()
    torch.save(rng.choice(wrong) if rng.random() < 0.05 else values, result)
    return result.getvalue()


BY_SUFFIX = {
    ".json": (_json,),
    ".png": (_png,),
    ".npy": (_npy,),
    ".npz": (_zip,),
    ".safetensors": (_safetensors,),
    ".pt": (_state, _state, _bytes),
}
