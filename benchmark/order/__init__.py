"""Does the change of the network come before the change of expression? One set of weights, three orders.

`plan` says what is trained and compared, `forecast` how long it takes, `execute` does it, `saved` keeps
trainings between runs, `statistics` compares, `verdict` holds the criteria, `report` and `figure` show it.
"""
