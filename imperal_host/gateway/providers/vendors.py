"""The values that a binding's ``provider`` may have."""

from imperal_host.gateway.providers.anthropic import Anthropic
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.providers.openai import OpenAI

_GOOGLE_ACCEPTS = frozenset({"temperature", "max_tokens", "top_p", "stop_sequences"})
LOCAL = Vendor("local", OpenAI())

BUILT_IN = (
    Vendor("openai", OpenAI(), "https://api.openai.com/v1"),
    Vendor("anthropic", Anthropic(), "https://api.anthropic.com"),
    Vendor("google", OpenAI(_GOOGLE_ACCEPTS), "https://generativelanguage.googleapis.com/v1beta/openai"),
    Vendor("openai_compatible", OpenAI(), needs_key=False),
    Vendor("custom", OpenAI(), needs_key=False),
    Vendor("local-ollama", OpenAI(), "http://127.0.0.1:11434/v1", needs_key=False),
)
