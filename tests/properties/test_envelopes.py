"""Whatever is sealed comes out as it went in, and whatever was touched on its way does not come out at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_shared import envelopes
from millstream_shared.envelopes import Header
from millstream_shared.errors import PayloadRefused

run_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
keys = st.none() | st.binary(min_size=1, max_size=64)
microseconds = st.integers(0, 2**52)
tags = st.lists(st.text(), max_size=3).map(tuple)
headers = st.builds(
    Header,
    function=st.text(),
    task_name=st.text(),
    queue=st.text(),
    flow_run_id=run_ids,
    flow_run_name=st.text(),
    flow_name=st.text(),
    parent_run_id=st.none() | run_ids,
    tags=tags,
    inherited_tags=tags,
    depth=st.integers(1, 10_000),
    flow_run_count=st.integers(1, 3),
    log_prints=st.booleans(),
    around=st.none() | st.binary(),
    flow_version=st.none() | st.text(),
)
sealings = st.fixed_dictionaries(
    {
        "run_id": run_ids,
        "created": microseconds.map(lambda moment: moment / 1e6),
        "header": headers.map(lambda header: header.encoded),
        "upstream": st.lists(run_ids, max_size=4).map(lambda ids: bytes.fromhex("".join(ids))),
        "body": st.binary(max_size=100),
        "key": keys,
        "is_elsewhere": st.booleans(),
    }
)


@given(headers)
def test_a_header_is_decoded_as_it_was(header: Header) -> None:
    """With all its fields, of the types that they had."""
    assert Header.decode(header.encoded) == header


@given(sealings)
def test_what_is_sealed_can_be_opened(sealing: dict) -> None:
    """By who has the key, for the run that it was made for; a look at it, which asks for neither, shows the same."""
    payload = envelopes.seal(**sealing)
    opened = envelopes.open_payload(payload, sealing["run_id"], sealing["key"])
    assert opened == envelopes.open_unchecked(payload)
    assert (opened.run_id, opened.header, opened.body) == (sealing["run_id"], sealing["header"], sealing["body"])
    assert opened.is_elsewhere == sealing["is_elsewhere"]
    assert opened.created == pytest.approx(sealing["created"], abs=2e-6)
    assert bytes.fromhex("".join(opened.upstream)) == sealing["upstream"]


@given(sealings, st.integers(1, 255))
def test_every_flipped_byte_is_noticed(sealing: dict, flip: int) -> None:
    """Wherever it is, in the check itself too, it is refused by name and breaks nothing else."""
    payload = envelopes.seal(**sealing)
    for at, byte in enumerate(payload):
        altered = payload[:at] + bytes((byte ^ flip,)) + payload[at + 1 :]
        with pytest.raises(PayloadRefused):
            envelopes.open_payload(altered, sealing["run_id"], sealing["key"])


@given(sealings)
def test_every_cut_is_noticed(sealing: dict) -> None:
    """However much is missing, at either end."""
    payload = envelopes.seal(**sealing)
    for at in range(1, len(payload) + 1):
        for torn in (payload[:-at], payload[at:]):
            with pytest.raises(PayloadRefused):
                envelopes.open_payload(torn, sealing["run_id"], sealing["key"])


@given(sealings, st.binary(min_size=1, max_size=64))
def test_nothing_may_be_added(sealing: dict, more: bytes) -> None:
    """Neither before nor behind."""
    payload = envelopes.seal(**sealing)
    for longer in (payload + more, more + payload):
        with pytest.raises(PayloadRefused):
            envelopes.open_payload(longer, sealing["run_id"], sealing["key"])


@given(sealings, run_ids, keys)
def test_only_the_same_run_and_key_open_it(sealing: dict, run_id: str, key: bytes | None) -> None:
    """A payload cannot be passed off as another run's, nor an unsigned one as signed, nor the other way round."""
    payload = envelopes.seal(**sealing)
    if (run_id, key) == (sealing["run_id"], sealing["key"]):
        return
    with pytest.raises(PayloadRefused):
        envelopes.open_payload(payload, run_id, key)


@given(st.sampled_from([b"", b"ms", b"ms\x01", b"ms\x01\x00", b"ms\x01\x01"]), st.binary(max_size=200), keys)
def test_nonsense_is_refused(beginning: bytes, rest: bytes, key: bytes | None) -> None:
    """Also where it begins as a payload does."""
    with pytest.raises(PayloadRefused):
        envelopes.open_payload(beginning + rest, "0" * 32, key)
