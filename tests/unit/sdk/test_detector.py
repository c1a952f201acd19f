import pytest

from koinon.sdk.detector import Address, detector_for


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
async def test_a_master_is_given_as_host_and_port_or_as_url(text, address):
    assert await detector_for(text).detect() == address


@pytest.mark.parametrize("address", [Address("::1", 1), Address("a", 2)])
async def test_an_address_as_text_is_read_back_the_same(address):
    assert await detector_for(str(address)).detect() == address


@pytest.mark.parametrize("text", ["", ":5050", "a:x", "a:99999", "https://m:5050", "ftp://m"])
def test_what_cannot_be_called_is_refused_with_what_to_give(text):
    with pytest.raises(ValueError, match="give host:port"):
        detector_for(text)


def test_zookeeper_is_refused_for_now():
    with pytest.raises(ValueError, match="ZooKeeper"):
        detector_for("zk://z1:2181,z2:2181/mesos")
