"""How runs come about and are carried out: the clock, the workers, the fleet's live state, and one piece of work.

`zendeskd.jobs` is the face of it; nothing outside asks these modules for work.
"""
