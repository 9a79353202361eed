"""
Property tests: whatever a stranger sends, no exception but our own, and what is taken is read back the same.

What failed once stands as an `@example` above its test, or in `tests/corpus/`, so that it is tried always.
"""

from hypothesis import HealthCheck, settings

# No clock decides, since a machine that is busy would fail. `--hypothesis-seed=N` repeats a run.
settings.register_profile(
    "transfer",
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("transfer")
