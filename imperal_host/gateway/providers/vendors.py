"""The values that a binding's ``provider`` may have. A vendor that speaks Chat Completions is a row of data.

Sources: the vendors' pages on their OpenAI-compatible endpoints. A row says only what differs.
"""

import re
from typing import Any

from imperal_host.gateway.providers.anthropic import Anthropic
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.providers.ollama import Ollama
from imperal_host.gateway.providers.openai import SAMPLING, AzureOpenAI, OpenAI, Thinking

_PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
_BASIC = frozenset({"temperature", "max_tokens", "top_p", "stop_sequences"})


def _thinking(models: str, off: dict[str, Any], on: dict[str, Any]) -> Thinking:
    return Thinking(re.compile(models), off, on)


def _effort(models: str, off: str, on: str) -> Thinking:
    return _thinking(models, {"reasoning_effort": off}, {"reasoning_effort": on})


# The template of a model that thinks reads this one (Qwen3 and those that follow it).
_BY_TEMPLATE = _thinking(
    "", {"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"enable_thinking": True}}
)
# Of an unknown server either may be the one that counts; without it a local reasoning model can spend the whole
# output bound on thinking, and answer nothing.
_EITHER_WAY = _thinking("", {"think": False, "reasoning_effort": "none"}, {"think": True, "reasoning_effort": "medium"})
_ANY_SERVER = OpenAI(thinking=(_EITHER_WAY,))
_BY_REASONING = _thinking("", {"reasoning": {"enabled": False}}, {"reasoning": {"enabled": True}})
_BY_TYPE = _thinking("deepseek-(?!reasoner)", {"thinking": {"type": "disabled"}}, {"thinking": {"type": "enabled"}})
_GEMINI = (_effort(r"(?:.*/)?gemini-2\.5-flash", "none", "medium"), _effort(r"(?:.*/)?gemini-", "low", "high"))
_GROQ = (_effort(r"(?:.*/)?qwen", "none", "default"), _effort(r"(?:.*/)?gpt-oss", "low", "medium"))

LOCAL = Vendor("local", OpenAI(thinking=(_BY_TEMPLATE,)))

BUILT_IN = (
    Vendor("openai", OpenAI(), "https://api.openai.com/v1"),
    Vendor("anthropic", Anthropic(), "https://api.anthropic.com"),
    Vendor(
        "google",
        OpenAI(_BASIC, thinking=_GEMINI),
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    Vendor("azure_openai", AzureOpenAI()),
    Vendor("ollama", Ollama(), "http://127.0.0.1:11434", needs_key=False),
    # the seed's name for the same
    Vendor("local-ollama", Ollama(), "http://127.0.0.1:11434", needs_key=False),
    Vendor("openai_compatible", _ANY_SERVER, needs_key=False),
    Vendor("custom", _ANY_SERVER, needs_key=False),
    Vendor("vllm", OpenAI(thinking=(_BY_TEMPLATE,)), "http://127.0.0.1:8000/v1", needs_key=False),
    Vendor("llamacpp", OpenAI(thinking=(_BY_TEMPLATE,)), "http://127.0.0.1:8080/v1", needs_key=False),
    Vendor("lmstudio", OpenAI(thinking=()), "http://127.0.0.1:1234/v1", needs_key=False),
    Vendor("together", OpenAI(thinking=()), "https://api.together.xyz/v1"),
    Vendor("groq", OpenAI(SAMPLING - _PENALTIES, "json_object", _GROQ), "https://api.groq.com/openai/v1"),
    Vendor("fireworks", OpenAI(thinking=()), "https://api.fireworks.ai/inference/v1"),
    # its public endpoints closed in 2024: the address is that of one's own deployment
    Vendor("anyscale", OpenAI(schema="json_object", thinking=())),
    Vendor("openrouter", OpenAI(thinking=(_BY_REASONING,)), "https://openrouter.ai/api/v1"),
    Vendor(
        "mistral",
        OpenAI(thinking=(), names={"seed": "random_seed"}, says_usage=False),
        "https://api.mistral.ai/v1",
    ),
    Vendor(
        "deepseek",
        OpenAI(SAMPLING - {"seed"}, "json_object", (_BY_TYPE,), thinking_back=True),
        "https://api.deepseek.com/v1",
    ),
    Vendor("xai", OpenAI(SAMPLING - _PENALTIES - {"stop_sequences"}, thinking=()), "https://api.x.ai/v1"),
)
