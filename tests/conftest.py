"""Settings of every suite."""

from hypothesis import settings

# The same examples in every run: a red run is then about the change, not about the dice. To roll
# them, and more of them: pytest --hypothesis-profile=search
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("same")
