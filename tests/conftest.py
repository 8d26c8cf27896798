"""What all tests share: hypothesis without wall-clock deadlines, and failures that can be replayed."""

from hypothesis import settings

# A shared or busy machine must not turn a slow example into a failure; print_blob gives the line
# that replays the one found.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")
