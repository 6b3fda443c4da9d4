"""Mutation testing: can the checks fail? Every derivative is made wrong in many small ways.

    python -m tests.mutation [--markdown FILE | --only NAME]

A mutant is the source of a derivative with one change in its syntax tree: a term dropped, a sign turned, a matrix
not transposed, an axis mistaken. The mutant takes the place of the right function, and the checks try it until one
finds a wrong number: then it is killed. A mutant that survives is either equivalent, its numbers are right all the
same, or it is a hole in the checks.

`targets` says which functions are mutated: every primitive that has a row in `tinygrad_np.check.cases`, and what
they share. `mutate` makes the mutants. `trials` has what a mutant is tried with, and `verdict` puts it in place and
tries it. `equivalents` explains the survivors one by one. `report` writes the tables.
"""
