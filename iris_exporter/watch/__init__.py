"""What `iris-exporter watch` shows: a sidecar's streams or streams of its own, on a screen or in lines.

`view` is pure: what came in, what is shown out. `sidecar` and `direct` bring what happens, `session` joins the two,
`lines` and `screen` are the shells for pipes and terminals.
"""
