"""Whether the attention of a method knows the regulatory network: its rankings against the truth.

`truth` holds the network, `rankings` what attention and what plain expression say, `scores` the formulas,
`questions` what is asked, `findings` the comparison with intervals, `report` the text.
"""
