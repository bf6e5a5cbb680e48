"""Test an extension without a host: ``MockContext`` answers instead of a model."""

from imperal_sdk.testing.mock_context import MockAI, MockContext, MockLlm, call_function

__all__ = ["MockAI", "MockContext", "MockLlm", "call_function"]
