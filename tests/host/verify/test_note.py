"""Signed notes and checkpoints, against the published examples of C2SP, and against what is not one."""

import base64

import pytest

from imperal_host.ledger.checkpoint import Signer
from imperal_host.verify.note import NotProvenError, VerifierKey, open_checkpoint, open_note
from tests.host.conftest import SIGNER

# https://c2sp.org/signed-note, the example
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "\N{EM DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu"
    "72IneyaQM=\n"
)
# The documentation of Go's package sumdb/note: the example of a signed note and its key
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT + "\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBw"
    "JnAM=\n"
)


@pytest.mark.parametrize(
    ("key", "note", "text"), [(EXAMPLE_KEY, EXAMPLE, "This is an example message.\n"), (GO_KEY, GO_NOTE, GO_TEXT)]
)
def test_the_published_notes_open_and_their_keys_are_spelled_the_same(key: str, note: str, text: str) -> None:
    parsed = VerifierKey.parse(key)
    assert str(parsed) == key
    assert open_note(note, parsed) == text
    with pytest.raises(NotProvenError):
        open_note(note.replace("a", "b", 1), parsed)


def test_signatures_of_others_are_passed_over() -> None:
    note = SIGNER.checkpoint(3, bytes(32))
    other = Signer.generate()
    theirs = other.checkpoint(3, bytes(32)).rpartition("\n\n")[2]
    assert open_checkpoint(note + theirs, SIGNER.key).size == 3
    with pytest.raises(NotProvenError, match="not signed by"):
        open_checkpoint(note, other.key)


def test_a_checkpoint_says_origin_size_and_root() -> None:
    root = bytes(range(32))
    note = SIGNER.checkpoint(1_000_000, root)
    lines = note.split("\n")
    assert lines[:4] == [SIGNER.key.name, "1000000", base64.b64encode(root).decode(), ""]
    assert lines[4].startswith(f"\N{EM DASH} {SIGNER.key.name} ")
    opened = open_checkpoint(note, SIGNER.key)
    assert (opened.origin, opened.size, opened.root) == (SIGNER.key.name, 1_000_000, root)


NOTE = SIGNER.checkpoint(3, bytes(32))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        NOTE[:-1],
        NOTE.split("\n\n")[0] + "\n",
        NOTE.replace("\n3\n", "\n4\n"),
        NOTE.replace("\N{EM DASH}", "-"),
        NOTE.replace("\n3\n", "\n3\r\n"),
        NOTE + "\n",
        NOTE + "junk\n",
        "x" * 100_000 + "\n\n" + NOTE,
    ],
)
def test_what_is_no_checkpoint_of_this_key_is_refused(note: str) -> None:
    with pytest.raises(NotProvenError):
        open_checkpoint(note, SIGNER.key)


def signed(text: str) -> str:
    signature = base64.b64encode(SIGNER.key.id + SIGNER._private.sign(text.encode())).decode()
    return f"{text}\n\N{EM DASH} {SIGNER.key.name} {signature}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"other.example/log\n3\n{base64.b64encode(bytes(32)).decode()}\n", "of the log other.example/log"),
        (f"{SIGNER.key.name}\n3\n{base64.b64encode(bytes(31)).decode()}\n", "no checkpoint"),
        ("I owe you nothing.\n", "no checkpoint"),
    ],
)
def test_what_the_key_has_signed_elsewhere_is_no_checkpoint(text: str, said: str) -> None:
    with pytest.raises(NotProvenError, match=said):
        open_checkpoint(signed(text), SIGNER.key)


@pytest.mark.parametrize("size", ["03", "-3", "+3", "3 ", "\u0663", "9" * 20, ""])
def test_a_size_has_one_spelling(size: str) -> None:
    with pytest.raises(NotProvenError):
        open_checkpoint(signed(f"{SIGNER.key.name}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n"), SIGNER.key)


@pytest.mark.parametrize(
    "key",
    ["", "a+b", "a b+00000000+AAAA", EXAMPLE_KEY[:-4], EXAMPLE_KEY.replace("530d903a", "530d903b"), "x" + EXAMPLE_KEY],
)
def test_a_mistyped_key_is_told(key: str) -> None:
    with pytest.raises(NotProvenError, match="public key"):
        VerifierKey.parse(key)


def test_a_signer_never_shows_its_key() -> None:
    assert repr(SIGNER) == f"Signer({SIGNER.key.name})"


def test_a_commitment_says_whether_and_nothing_else() -> None:
    said = SIGNER.commitment("acme", {"b": 1, "a": [0.5, "\u00f6"]})
    assert said == SIGNER.commitment("acme", {"a": [0.5, "\u00f6"], "b": 1})
    assert len({said, SIGNER.commitment("globex", {"a": [0.5, "\u00f6"], "b": 1}), SIGNER.commitment("acme", {})}) == 3
    assert said != Signer.generate().commitment("acme", {"a": [0.5, "\u00f6"], "b": 1})
