"""The manifest is read from an untrusted isolate: everything in it is bounded and plain."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imperal_sdk.manifest import FUNCTIONS_MAX, FunctionManifest, Manifest

LEAST: dict[str, Any] = {"app_id": "notes", "version": "1.0.0"}
FUNCTION: dict[str, Any] = {"name": "add"}


@pytest.mark.parametrize("app_id", ["ab", "a1", "0-9", "a_b", "my-ext", "a" * 64])
def test_an_app_id_is_lower_case_and_short(app_id: str) -> None:
    assert Manifest(app_id=app_id, version="1.0.0").app_id == app_id


@pytest.mark.parametrize(
    "app_id",
    ["", "a", "A-b", "-ab", "ab-", "a b", "a.b", "a/b", "..", "a/../b", "ab\n", "\nab", "a\0b", "ä-b", "a" * 65],
)
def test_any_other_app_id_is_refused(app_id: str) -> None:
    with pytest.raises(ValidationError, match="app_id"):
        Manifest(app_id=app_id, version="1.0.0")


@pytest.mark.parametrize("version", ["0.0.1", "1.2.3", "10.20.30", "1.2.3-rc.1", "1.2.3+build5", "1.2.3.dev1"])
def test_a_version_begins_with_three_numbers(version: str) -> None:
    assert Manifest(app_id="notes", version=version).version == version


@pytest.mark.parametrize(
    "version", ["", "1", "1.2", "v1.2.3", "1.2.3 ", "1.2.3\n", "1.2.3-", "\u0661.2.3", "1.2.3-" + "a" * 64]
)
def test_any_other_version_is_refused(version: str) -> None:
    with pytest.raises(ValidationError, match="version"):
        Manifest(app_id="notes", version=version)


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a.b", "a b", "add\n", "größe", "a" * 65])
def test_a_function_name_is_an_ascii_identifier(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        FunctionManifest(name=name)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        pytest.param({"tenant_id": "t"}, "tenant_id", id="an unknown member"),
        pytest.param({"app_id": 7}, "app_id", id="a number for a string"),
        pytest.param({"display_name": "x" * 201}, "display_name", id="a long name"),
        pytest.param({"description": "x" * 4_001}, "description", id="a long description"),
        pytest.param({"icon": "x" * 100_001}, "icon", id="a large icon"),
        pytest.param({"capabilities": ["x" * 101]}, "capabilities.0", id="a long capability"),
        pytest.param({"capabilities": ["x"] * 101}, "capabilities", id="many capabilities"),
        pytest.param({"functions": [{"name": f"f{i}"} for i in range(FUNCTIONS_MAX + 1)]}, "functions", id="many"),
        pytest.param({"functions": [{**FUNCTION, "action_type": "delete"}]}, "functions.0.action_type", id="a verb"),
        pytest.param({"functions": [{**FUNCTION, "grant": "*"}]}, "functions.0.grant", id="an unknown member inside"),
        pytest.param({"functions": [{**FUNCTION, "parameters": []}]}, "functions.0.parameters", id="no object"),
        pytest.param({"functions": [{**FUNCTION, "description": "x" * 4_001}]}, "functions.0.description", id="long"),
        pytest.param({"functions": [{**FUNCTION, "event": "x" * 201}]}, "functions.0.event", id="a long event"),
    ],
)
def test_a_member_out_of_bounds_is_refused(body: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate({**LEAST, **body})
    assert ".".join(map(str, caught.value.errors()[0]["loc"])).startswith(where)


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two functions are named 'add'"):
        Manifest.model_validate({**LEAST, "functions": [FUNCTION, {"name": "other"}, FUNCTION]})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_say_is_refused(number: float) -> None:
    # pydantic writes a default of infinity into the schema as it is; a listing with it could not be answered
    schema = {"type": "object", "properties": {"limit": {"type": "number", "default": number}}}

    with pytest.raises(ValidationError, match="not JSON compliant"):
        FunctionManifest(name="add", parameters=schema)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), {7: "a key that is no string"}])
def test_a_value_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="parameters"):
        FunctionManifest.model_validate({**FUNCTION, "parameters": {"default": value}})


schemas = st.dictionaries(
    st.text(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(
    names=st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True), unique=True, max_size=4),
    parameters=schemas,
    capabilities=st.lists(st.text(max_size=20), max_size=3),
)
def test_a_manifest_survives_the_way_to_the_host(
    names: list[str], parameters: dict[str, Any], capabilities: list[str]
) -> None:
    manifest = Manifest(
        app_id="notes",
        version="1.0.0",
        capabilities=tuple(capabilities),
        functions=tuple(FunctionManifest(name=name, parameters=parameters) for name in names),
    )
    text = json.dumps(manifest.model_dump(mode="json"), allow_nan=False)

    assert Manifest.model_validate(json.loads(text)) == manifest


def test_a_function_is_found_by_its_name() -> None:
    manifest = Manifest.model_validate({**LEAST, "functions": [FUNCTION, {"name": "remove"}]})

    found = manifest.function("remove")
    assert found is not None
    assert found.name == "remove"
    assert manifest.function("Remove") is None


def test_a_manifest_does_not_change() -> None:
    manifest = Manifest.model_validate(LEAST)

    with pytest.raises(ValidationError, match="frozen"):
        manifest.app_id = "other"  # type: ignore[misc]
