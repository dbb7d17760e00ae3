"""The app in the browser: `cyclopean app`. A photo in, its depth, a click, the refocused photo out.

`developing` does the work and knows no browser; `session` keeps visitors apart; `routes` takes pictures in and gives
them out; `page` is what Gradio shows; `server` runs it all.
"""
