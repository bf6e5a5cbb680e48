"""Who may ask what. Pure; deny by absence."""

from imperal_sdk.manifest import Manifest

# Harmless doors that every extension has: they reach the log and the caller, nothing else.
ALWAYS = frozenset({"log.write", "progress.report"})
# What stands in a manifest, and all that it allows: whoever may ask a model may ask it in every way.
GRANTABLE = {"llm.complete": frozenset({"llm.complete", "llm.stream", "llm.embed", "llm.estimate"})}
# An extension that declares no capabilities is a plain one, which may ask the user's model.
_UNDECLARED = frozenset({"llm.complete"})


def granted(manifest: Manifest) -> frozenset[str]:
    """What this extension may ask. A declared capability that the host does not know grants nothing."""
    declared = frozenset(manifest.capabilities) or _UNDECLARED
    return ALWAYS.union(*(GRANTABLE.get(name, ()) for name in declared))
