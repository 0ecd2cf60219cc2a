"""The loop-nest IR, between a Program and machine code: types, builder, verifier, legalization."""
