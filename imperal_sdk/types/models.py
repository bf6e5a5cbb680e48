"""Results of ``ctx.ai``."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """What ``ctx.ai.complete`` answers. ``usage`` holds input_tokens and output_tokens."""

    text: str
    model: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    stop_reason: str = ""
    tokens_used: int = 0
