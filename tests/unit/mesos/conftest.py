from hypothesis import settings

# A machine that is busy is no reason to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
