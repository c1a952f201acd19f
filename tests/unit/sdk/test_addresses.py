import pytest

from koinon.sdk.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5055", Address("127.0.0.1", 5055)),
        ("master.example", Address("master.example", 5050)),
        ("http://m:80/", Address("m", 80)),
        ("http://m/master/", Address("m", 5050)),
        ("//m:81/api/v1/scheduler", Address("m", 81)),
        ("[::1]:5051", Address("::1", 5051)),
    ],
)
def test_a_server_is_given_as_host_and_port_or_as_url(text, address):
    assert parse_address(text, 5050) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", ":5050", "a:x", "a:99999", "a", "https://m:5050", "ftp://m"])
def test_what_cannot_be_called_is_refused_with_what_to_give(text):
    with pytest.raises(ValueError, match="give host:port"):
        parse_address(text)
