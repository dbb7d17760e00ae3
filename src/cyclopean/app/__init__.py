"""The app in the browser: `cyclopean app`. A photo in, its depth, a click, the refocused photo out.

`service` does the work, independent of any browser; `session` keeps visitors apart; `handlers`, `calibration` and
`video` are the steps of a page, `steps` names them and checks what they are given, `jobs` runs them in turn; `routes`
takes files in and gives results out; `guard` stands before all of it; `server` runs it. `static` is the page itself.
"""
