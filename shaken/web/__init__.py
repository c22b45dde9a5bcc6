"""The admin pages: HTML for people who run PBXs, made by the server, usable without script.

`docs/web.md` says how a page is made. Pages call what the JSON API calls; they hold no rule of
the domain and no SQL.
"""
