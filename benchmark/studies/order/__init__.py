"""Does the change of the network come before the change of expression? One set of weights, three orders.

`arms` names what is compared, `plan` says what is trained, `forecast` how long it takes, `execute` does it,
`saved` keeps trainings between runs, `statistics` compares, `verdict` holds the criteria, `report` and
`figure` show it.
"""
