"""Scores of a model on corrupted images: cells of kind and severity, and what follows from all of them.

cell (kind, severity) --corrupted_split--> SplitScores --cell_scores--> a file of `cell_store`
all cells --summary--> mean corrupted, retained share, mCE, intervals; --tables--> CSV files; --strips--> pictures
all of these --measurement--> summary.json, which reports read
"""
