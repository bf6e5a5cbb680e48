"""A child that answers JSON lines: the least that a plugin process can be. One call after the other."""

import json
import sys

from pydantic import BaseModel, Field


class EchoParams(BaseModel):
    text: str = Field(min_length=1)
    number: int = Field(ge=0)
    tags: list[str] = []


def main() -> None:
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        result = EchoParams.model_validate(request["arguments"]).model_dump()
        sys.stdout.write(json.dumps({"id": request["id"], "result": result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
