import pytest

from lifecycle.exits import PermanentError
from lifecycle.steps.replicas import addresses, replicas
from small_triton import serving_triton


def test_an_address_without_a_port_stops() -> None:
    for given in ("", "triton", "triton:", ":9101", "triton:http"):
        with pytest.raises(PermanentError, match="must be host:port of Triton's headless Service"):
            addresses({"TRITON_REPLICAS": given})


def test_an_ipv6_address_has_brackets() -> None:
    assert addresses({"TRITON_REPLICAS": "::1:9101"}) == ["[::1]:9101"]


def test_a_replica_that_does_not_answer_is_named_with_the_reason() -> None:
    answered, silent = replicas("trip", {"TRITON_REPLICAS": "127.0.0.1:9"})
    assert answered == []
    assert len(silent) == 1
    assert silent[0].startswith("127.0.0.1:9: ")


def test_a_replica_that_knows_nothing_of_the_model_serves_nothing() -> None:
    with serving_triton() as triton:
        answered, silent = replicas("trip", {"TRITON_REPLICAS": f"127.0.0.1:{triton.port}"})
    assert silent == []
    assert [(each.serving, each.wanted, each.refused) for each in answered] == [(None, None, {})]
