"""Does the change of the network come before the change of expression? One set of weights, three orders.

`arms` names what is compared, `experiment` what is asked for, `plan` looks it up, `forecast` says how long it
takes, `execute` does it, `saved` keeps trainings between runs. `statistics` compares, `reading` says what
differences show, `power` what they could have shown. `preconditions` and `verdict` hold the criteria.
`report`, with `criteria`, `answer`, `tables`, `provenance` and `figure`, shows it.
"""
