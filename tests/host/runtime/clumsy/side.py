from typing import Any


def look_up(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {"found": table[key]}
