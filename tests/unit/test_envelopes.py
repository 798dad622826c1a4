"""The envelope of a payload: what is sealed can be opened, and only as it was sealed."""

from millstream_shared import envelopes


def test_the_version_of_payloads_is_part_of_their_contract() -> None:
    """Who changes the layout of payloads has to raise the version, which this test reminds of."""
    header = envelopes.Header("m:f", "f", "", "0" * 32, "run", "flow", None, (), (), 1).encoded
    sealed = envelopes.seal("ab" * 16, 1.5, header, b"", b"body", None)
    assert sealed.hex() == (
        "6d730200abababababababababababababababab000000000016e3600000003700000000000000049aa36d3a66a166a0d920"
        "3030303030303030303030303030303030303030303030303030303030303030a372756ea4666c6f77c0909001626f64791b"
        "e583d2"
    )
