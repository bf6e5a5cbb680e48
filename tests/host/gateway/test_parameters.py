"""The cascade of parameters: the first layer that says something wins, and every value says where it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import InvalidError
from imperal_host.gateway.parameters import Layer, LayerKey, admin_keys, resolve_parameters
from imperal_sdk.llm import PURPOSE_PATTERN, Parameters
from imperal_sdk.manifest import APP_ID_PATTERN

ALL = frozenset(Parameters.model_fields)
PARAMETERS = st.builds(
    Parameters,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1, 1_000_000),
    stop_sequences=st.none() | st.lists(st.text(min_size=1, max_size=3), max_size=3).map(tuple),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    seed=st.none() | st.integers(0, 2**32 - 1),
)
LAYERS = st.lists(PARAMETERS, max_size=6).map(
    lambda found: [Layer(f"layer {number}", parameters) for number, parameters in enumerate(found)]
)
ACCEPTED = st.sets(st.sampled_from(sorted(ALL))).map(frozenset)


@given(layers=LAYERS)
def test_the_first_layer_that_says_something_wins(layers: list[Layer]) -> None:
    resolved = resolve_parameters(layers, ALL)
    for name in ALL:
        saying = [layer for layer in layers if getattr(layer.parameters, name) is not None]
        if not saying:
            assert name not in resolved.values
            assert name not in resolved.provenance
            continue
        assert resolved.values[name] == saying[0].parameters.said()[name]
        assert resolved.provenance[name].layer == saying[0].name
        assert resolved.provenance[name].value == resolved.values[name]


@given(layers=LAYERS, accepted=ACCEPTED)
def test_what_the_model_does_not_take_is_not_sent_and_is_named(layers: list[Layer], accepted: frozenset[str]) -> None:
    everything, resolved = resolve_parameters(layers, ALL), resolve_parameters(layers, accepted)
    assert resolved.values.keys() == everything.values.keys() & accepted
    assert resolved.provenance.keys() == everything.provenance.keys()
    for name, origin in resolved.provenance.items():
        assert bool(origin.dropped) == (name not in accepted)
        assert (origin.layer, origin.value) == (everything.provenance[name].layer, everything.provenance[name].value)


@given(layers=LAYERS, silent=st.integers(0, 6))
def test_a_layer_that_says_nothing_changes_nothing(layers: list[Layer], silent: int) -> None:
    more = [*layers[:silent], Layer("silent", Parameters()), *layers[silent:]]
    assert resolve_parameters(more, ALL) == resolve_parameters(layers, ALL)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("temperature", 0.0), ("top_p", 0.0), ("presence_penalty", 0.0), ("seed", 0)],
)
def test_zero_is_a_value(name: str, value: float) -> None:
    layers = [Layer("call", Parameters(**{name: value})), Layer("platform", Parameters(**{name: 1}))]  # type: ignore[arg-type]
    resolved = resolve_parameters(layers, ALL)
    assert resolved.values == {name: value}
    assert resolved.provenance[name].layer == "call"


def test_no_stop_sequences_are_a_value_too() -> None:
    layers = [Layer("call", Parameters(stop_sequences=())), Layer("platform", Parameters(stop_sequences=("END",)))]
    assert resolve_parameters(layers, ALL).values == {"stop_sequences": []}


@pytest.mark.parametrize(
    ("extension", "purpose", "names"),
    [
        ("mail", "draft", ["extension mail, purpose draft", "extension mail", "purpose draft", "platform"]),
        ("mail", "", ["extension mail", "platform"]),
    ],
)
def test_the_admins_layers_go_from_the_narrow_to_the_wide(extension: str, purpose: str, names: list[str]) -> None:
    assert [str(key) for key in admin_keys(extension, purpose)] == names


@given(
    extension=st.from_regex(rf"(?:{APP_ID_PATTERN})?", fullmatch=True),
    purpose=st.from_regex(rf"(?:{PURPOSE_PATTERN})?", fullmatch=True),
)
def test_every_key_has_a_name_of_its_own_place(extension: str, purpose: str) -> None:
    keys = {LayerKey(), LayerKey(extension), LayerKey(purpose=purpose), LayerKey(extension, purpose)}
    assert len({str(key) for key in keys}) == len(keys)


@pytest.mark.parametrize("wrong", ["a b", "a/b", "ä", "x" * 65, "a\n", " "])
def test_a_key_that_could_never_match_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidError, match="purpose"):
        LayerKey(purpose=wrong)
    with pytest.raises(InvalidError, match="extension"):
        LayerKey(extension=wrong)
