"""The fault campaign: does anything go wrong in silence, or get lost?

    python -m tests.faults                     # or: make faults
    python -m tests.faults --seed 7 --only numbers
    python -m tests.faults --only numbers --trial 1234

tries four kinds of thing that a user, a disk or an operating system may do, and prints how many of each went wrong:

- `numbers`: random calls, with ordinary and nasty arguments, held against NumPy, an independent derivative, and
  PyTorch where it is installed. A call is right, or says in one sentence what is wrong with it.
- `files`: damaged files. They are refused with one sentence, or are what they were.
- `kills`: trainings killed at random moments. What is left is one whole epoch, or nothing.
- `forks`: processes forked, and weights shared, while threads compute.

Everything is drawn from a seed, and every failure is printed with the command that repeats it alone. What is
promised, and the table of the last campaign, stand in docs/reliability.md.
"""
