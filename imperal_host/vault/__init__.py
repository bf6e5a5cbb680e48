"""Where keys are kept: KEK (a file of the operator's) -> tenant key -> secret, AES-256-GCM throughout.

Promises: a plaintext key exists only between ``SecretView.open`` and the outgoing request; a ciphertext
moved to another tenant, name or version does not open; a secret that does not open is ``SealedError``,
never "not there"; a KEK is never made anew over data sealed with another.

Absent on purpose: listing values, a cache of plaintext, a default key.
"""
