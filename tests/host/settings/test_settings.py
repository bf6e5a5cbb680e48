from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from imperal_host.settings import Settings


def test_private_networks_are_a_list_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPERAL_PRIVATE_NETWORKS", "127.0.0.1/32, fd00::/8,10.1.0.0/16")
    assert Settings().private_networks == tuple(map(ip_network, ("127.0.0.1/32", "fd00::/8", "10.1.0.0/16")))


def test_a_private_endpoint_is_named_by_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPERAL_PRIVATE_NETWORKS", "Ollama.lan:11434, [::1]:8080,10.0.0.5:80,10.1.0.0/16")
    assert Settings().private_networks == ("ollama.lan:11434", "[::1]:8080", "10.0.0.5:80", ip_network("10.1.0.0/16"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRIVATE_NETWORKS", "localhost:0"),
        ("PRIVATE_NETWORKS", "localhost:65536"),
        ("PRIVATE_NETWORKS", "http://localhost:80"),
        ("PRIVATE_NETWORKS", "*:80"),
        ("PRIVATE_NETWORKS", "localhost"),
        ("PRIVATE_NETWORKS", "10.0.0.1/8"),
        ("SANDBOX", "off"),
        ("CALL_SECONDS_MAX", "0"),
        ("ISOLATES_MAX", "many"),
        ("USER_BUDGET_NANO_USD", "-1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"IMPERAL_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_every_bound_has_its_unit_last_in_its_name() -> None:
    bounds = [name for name in Settings.model_fields if "max" in name]
    assert bounds
    assert all(name.endswith("_max") for name in bounds)
