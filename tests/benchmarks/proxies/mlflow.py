"""MLflow's AI gateway."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks.proxies import Door, Proxy
from tests.benchmarks.proxies.processes import free_port, program, running


@asynccontextmanager
async def opened(upstream_port: int) -> AsyncIterator[Door]:
    command, port = program("mlflow", "bin/mlflow"), free_port()
    with tempfile.TemporaryDirectory() as place:
        config = Path(place, "config.yaml")
        access = {"openai_api_key": "sk-none", "openai_api_base": f"http://127.0.0.1:{upstream_port}/v1"}
        model = {"provider": "openai", "name": "gpt-4o-mini", "config": access}
        endpoint = {"name": "chat", "endpoint_type": "llm/v1/chat", "model": model}
        config.write_text(json.dumps({"endpoints": [endpoint]}))  # JSON is YAML
        arguments = ("--config-path", str(config), "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        path = {"PATH": str(Path(command).parent) + ":/usr/local/bin:/usr/bin:/bin"}  # it starts gunicorn by name
        async with running((command, "gateway", "start", *arguments), port, path):
            yield Door(port, model="chat")


PROXY = Proxy("MLflow AI gateway", opened)
