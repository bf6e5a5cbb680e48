"""LiteLLM's proxy, one worker, no database."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks.proxies import Door, Proxy
from tests.benchmarks.proxies.processes import free_port, program, running


@asynccontextmanager
async def opened(upstream_port: int) -> AsyncIterator[Door]:
    command, port = program("litellm", "bin/litellm"), free_port()
    model = {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "sk-none"}
    with tempfile.TemporaryDirectory() as place:
        config = Path(place, "config.yaml")
        # JSON is YAML
        config.write_text(json.dumps({"model_list": [{"model_name": "gpt-4o-mini", "litellm_params": model}]}))
        arguments = ("--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
        more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        async with running((command, *arguments), port, more):
            yield Door(port)


PROXY = Proxy("LiteLLM proxy", opened)
