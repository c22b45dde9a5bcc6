"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# An example that takes long says that the machine is busy, not that the code is wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
