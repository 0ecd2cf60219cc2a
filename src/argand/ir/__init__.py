"""The intermediate representation: ops and their registry, the scalar language, Programs."""
