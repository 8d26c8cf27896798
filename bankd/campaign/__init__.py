"""Run the simulator (`bankd.sim`) from the command line: one run in full, or as many as time allows.

`one` shows a run and shrinks it, `many` is the campaign over a range of seeds, in worker processes (`workers`) and
summed up in a table (`tally`). Both see a run through `run`. The processes, files, clocks and printing that
the simulator does without are here (`output`, `kept`); signals are in `endings`, the clock of a process that may be stopped in `own_time`.
"""
