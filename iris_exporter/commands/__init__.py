"""The commands of the program, each a module of that name in this room.

A module has `add_arguments(parser)`, and `run(arguments)`, which sets up the log and returns the exit code. To add a
command, add its module and its row here.
"""

COMMANDS = {
    "serve": "receive streams and serve their metrics (the default)",
    "demo": "run the reference backend and the exporter together, with nothing to set up",
    "backend": "run the reference IRIS backend",
    "completion": "print the completion of commands and flags for bash, zsh or fish",
    "config": "print a configuration file with every option and its default",
    "check": "try each stream once, and say what is wrong and what to do",
    "map": "try a mapping of a source that is not IRIS, run its tests, list presets",
    "watch": "show states, figures and events of streams as they happen",
    "alerts": "write alerting rules for a mapping, and their tests, to files",
    "dashboards": "write the Grafana dashboards to files, or push them into a Grafana",
}
DEFAULT = "serve"
